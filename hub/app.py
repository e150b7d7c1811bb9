"""Runs one hub over its home folder: lock, replay, writer, HTTPS, gRPC; stops in reverse."""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Protocol, Self

import grpc

from hub import rpc, rpc_accounts, rpc_operations, rpc_rewards
from hub.accounts import Closer
from hub.api import create_app
from hub.assembly import Assembly
from hub.deadlines import Deadlines
from hub.https import HttpsServer
from hub.intake import Step
from hub.ledger import Ledger
from hub.log import WriterLock
from hub.replaying import replay
from hub.setup import Opened
from hub.store.database import open_readers, open_writer
from protos.problems import InvariantBroken
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN
from runtime.identity import Identity
from runtime.servers import GrpcServer, ServerOptions

logger = logging.getLogger(__name__)

RENEWAL_CHECK_SECONDS = 3600.0
GRPC_WORKERS = 16
GRPC_CALLS_MAX = 128
SERVICES = (*rpc.SERVICES, rpc_rewards.SERVICE, rpc_accounts.SERVICE, rpc_operations.SERVICE)


class _Running(Protocol):
    """What works on threads of its own from its start to its stop."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


def _nothing(name: str) -> None:
    """Stand where tests cut the program off."""


class Hub:
    """A running hub; `on_broken` is called when it must stop, `step` where a crash could leave a trace."""

    def __init__(
        self,
        opened: Opened,
        *,
        on_broken: Callable[[], None] = lambda: None,
        step: Step = _nothing,
        clock: Callable[[], int] = lambda: int(time.time()),
    ) -> None:
        self._opened = opened
        self._on_broken = on_broken
        self._step = step
        self._clock = clock
        self._stack = ExitStack()
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(WriterLock(self._opened.home.lock))
            self._opened.issue_server()
            self._opened.renew_certificates(datetime.datetime.now(datetime.UTC))
            self._identity = Identity.load(self._opened.home.server)
            self._parts = self._assembled(stack)
            self._serve(stack)
            self._stack = stack.pop_all()
        logger.info("hub serves", extra={"size": self.log_size})
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopping.set()
        self._stack.close()

    @property
    def grpc_address(self) -> str:
        """Give host:port of the gRPC services."""
        return self._grpc.address

    @property
    def https_address(self) -> str:
        """Give host:port of the HTTPS interface."""
        return self._https.address

    @property
    def log_size(self) -> int:
        """Count the entries of the log."""
        return self._parts.state.size

    @property
    def parts(self) -> Assembly:
        """Give what it is put together from, for who drives a hub in its own process."""
        return self._parts

    @property
    def deadlines(self) -> Deadlines:
        """Give what watches deadlines."""
        return self._parts.deadlines

    @property
    def ledger(self) -> Ledger:
        """Give what takes operations on the ledgers."""
        return self._parts.ledger

    @property
    def closer(self) -> Closer:
        """Give what closes epochs."""
        return self._parts.closer

    def raise_broken(self) -> None:
        """Raise InvariantBroken if the hub stopped because memory and database had parted."""
        broken = self._parts.writer.broken
        if broken is not None:
            raise InvariantBroken(
                REASON_INVARIANT_BROKEN,
                f"The hub stopped: {type(broken).__name__} while writing.",
                remedy="Start it again: it rebuilds its state from the log. If it stops again, run doctor.",
            )

    def _assembled(self, stack: ExitStack) -> Assembly:
        """Open the database and fold the whole log into memory, comparing roots on the way."""
        engine = open_writer(self._opened.home.database)
        stack.callback(engine.dispose)
        readers = open_readers(self._opened.home.database)
        stack.callback(readers.dispose)
        parts = Assembly(
            self._opened,
            engine,
            readers,
            identity=lambda: self._identity,
            on_broken=self._on_broken,
            step=self._step,
            clock=self._clock,
        )
        stack.callback(parts.witnessing.stop)
        replay(parts.state, parts.log, readers)
        return parts

    def _serve(self, stack: ExitStack) -> None:
        """Make every part before the first one runs, then start what stops last first."""
        parts, settings = self._parts, self._opened.settings
        api = create_app(parts.api(self._waiting_for))
        self._https = HttpsServer(api, settings.listen_https, self._opened.home.server)
        options = ServerOptions(
            settings.listen_grpc, SERVICES, workers=GRPC_WORKERS, calls_max=GRPC_CALLS_MAX, reflection=True
        )
        self._grpc = GrpcServer(lambda: self._identity, options, parts.metrics, on_broken=self._on_broken)
        _register(self._grpc.server, parts)
        running: Sequence[_Running] = (
            parts.writer,
            parts.ledger,
            parts.deadlines,
            parts.forgetting,
            self._https,
            self._grpc,
        )
        for one in running:
            one.start()
            stack.callback(one.stop)
        renewal = threading.Thread(target=self._renew, name="renewal", daemon=True)
        renewal.start()
        stack.callback(renewal.join)

    def _waiting_for(self) -> str:
        if self._parts.writer.broken is not None or self._stopping.is_set():
            return "stopping"
        if self._parts.publishing.is_late:
            return "publishing the log"
        return ""

    def _renew(self) -> None:
        """Renew the hub's own certificates in time; new connections use them at once."""
        while not self._stopping.wait(RENEWAL_CHECK_SECONDS):
            if self._opened.renew_certificates(datetime.datetime.now(datetime.UTC)):
                self._identity = Identity.load(self._opened.home.server)
                self._https.reload()
                logger.info("certificates renewed")


def _register(server: grpc.Server, parts: Assembly) -> None:
    """Add the gRPC services to a server."""
    limits = parts.opened.settings.limits
    rpc.register(
        server,
        rpc.IntakeRpc(parts.intake, limits),
        rpc.BodyRpc(parts.views),
        rpc.OperatorRpc(parts.intake, parts.registrar, parts.closer, parts.views, limits, parts.beacons),
    )
    rpc_accounts.register(server, rpc_accounts.AccountRpc(parts.participation, parts.exports))
    rpc_operations.register(server, rpc_operations.OperationRpc(parts.ledger, parts.issuer, parts.readers))
    rewards = rpc_rewards.RewardRpc(parts.redemptions, parts.certificates, parts.vouchers, parts.moves)
    rpc_rewards.register(server, rewards)
