"""Builds one hub from its home folder and runs it: lock, replay, writer, HTTPS, gRPC; stops in reverse."""

from __future__ import annotations

import datetime
import logging
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Self

from engine.eligibility import CelConditions
from hub import rpc, rpc_accounts, rpc_operations, rpc_rewards
from hub.account_exports import AccountExports
from hub.accounts import Closer, Resources
from hub.api import Parts, create_app
from hub.api_rewards import RewardParts
from hub.beacons import Beacons
from hub.board_entries import BoardEntries
from hub.book_meters import BookMeters
from hub.book_views import BookViews
from hub.certificates import Certificates
from hub.closing import LedgerCloser
from hub.custodian_client import connected_custodian
from hub.deadlines import Deadlines
from hub.forgetting import Forgetting
from hub.https import HttpsServer
from hub.intake import Intake, Step
from hub.issuing import Issuer
from hub.join import Registrar
from hub.ledger import Ledger
from hub.log import LogWriter, PublicLog, WriterLock
from hub.participation import Participation
from hub.point_moves import PointMoves
from hub.programme_views import ProgrammeViews
from hub.redemption import Redemptions
from hub.replaying import first_trust_root, replay
from hub.setup import Opened
from hub.state import State
from hub.store.database import open_readers, open_writer
from hub.store.writer import Writer
from hub.views import Views
from hub.vouchers import Vouchers, voucher_key
from hub.witnesses import Witnessing
from protos.problems import InvariantBroken
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN
from runtime.identity import Identity
from runtime.metrics import Metrics
from runtime.servers import GrpcServer, ServerOptions

logger = logging.getLogger(__name__)

RENEWAL_CHECK_SECONDS = 3600.0
GRPC_WORKERS = 16
GRPC_CALLS_MAX = 128
PUBLISH_LAG_SECONDS_MAX = 30.0
# How long a close waits for the witnesses of what it stands on.
WITNESS_SECONDS_MAX = 30.0


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
        self._published_at = time.monotonic()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(WriterLock(self._opened.home.lock))
            self._opened.issue_server()
            self._opened.renew_certificates(datetime.datetime.now(datetime.UTC))
            self._identity = Identity.load(self._opened.home.server)
            self._open_store(stack)
            self._build()
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
        return self._state.size

    @property
    def deadlines(self) -> Deadlines:
        """Give what watches deadlines."""
        return self._deadlines

    @property
    def ledger(self) -> Ledger:
        """Give what takes operations on the ledgers."""
        return self._ledger

    @property
    def closer(self) -> Closer:
        """Give what closes epochs."""
        return self._closer

    def raise_broken(self) -> None:
        """Raise InvariantBroken if the hub stopped because memory and database had parted."""
        if self._writer.broken is not None:
            raise InvariantBroken(
                REASON_INVARIANT_BROKEN,
                f"The hub stopped: {type(self._writer.broken).__name__} while writing.",
                remedy="Start it again: it rebuilds its state from the log. If it stops again, run doctor.",
            )

    def _open_store(self, stack: ExitStack) -> None:
        """Open the database and fold the whole log into memory, comparing roots on the way."""
        opened = self._opened
        engine = open_writer(opened.home.database)
        stack.callback(engine.dispose)
        self._readers = open_readers(opened.home.database)
        stack.callback(self._readers.dispose)
        self._state = State(opened.settings.origin)
        self._witnessing = Witnessing(opened.home.folder, lambda: self._state.trust_root)
        stack.callback(self._witnessing.stop)
        self._log = LogWriter(
            opened.home.folder,
            opened.settings.origin,
            opened.log_key,
            step=self._step,
            offer=self._witnessing.offer,
        )
        replay(self._state, self._log, self._readers)
        self._writer = Writer(engine, after_commit=self._publish, on_broken=self._on_broken, step=self._step)

    def _build(self) -> None:
        """Put the parts together, each after those it stands on."""
        self._build_metrics()
        self._build_intake()
        self._build_books()
        self._build_deadlines()
        self._build_views()
        self._build_rewards()

    def _build_metrics(self) -> None:
        self._metrics = Metrics("hub")
        self._entries = self._metrics.gauge("log_entries", "Entries of the log.")
        self._unpublished = self._metrics.gauge("log_unpublished", "Entries no checkpoint covers yet.")
        self._unwitnessed = self._metrics.gauge(
            "log_unwitnessed", "Entries that no served checkpoint covers yet."
        )
        self._entries.set(self._state.size)
        self._meters = BookMeters(self._metrics)
        self._writer.measure(self._meters.commit_seconds.observe)

    def _build_intake(self) -> None:
        settings = self._opened.settings
        self._intake = Intake(
            self._state,
            self._log,
            self._writer,
            self._opened.hub_key,
            merge_delay_seconds=settings.merge_delay_seconds,
            clock=self._clock,
            step=self._step,
        )
        self._ledger = Ledger(
            self._state,
            self._intake,
            self._writer,
            self._readers,
            CelConditions(),
            clock=self._clock,
            step=self._step,
        )
        self._intake.seal_with(self._ledger.seal_open)
        self._ledger.measure(self._meters)
        self._meters.watch(self._ledger.health, self._clock)

    def _build_books(self) -> None:
        """Build what writes of its own: closes, issuances, beacons."""
        resources = Resources.of(self._opened)
        self._closer = Closer(
            self._state,
            self._intake,
            self._writer,
            self._readers,
            resources,
            random=secrets.token_bytes,
            step=self._step,
            ledgers=LedgerCloser(self._state, self._ledger, self._readers, resources.ledgers),
            wait_witnessed=self._wait_witnessed,
        )
        self._closer.measure(self._meters.close_seconds.observe)
        self._issuer = Issuer(
            self._state,
            self._intake,
            self._ledger,
            self._writer,
            self._readers,
            wait_witnessed=self._wait_witnessed,
        )
        self._beacons = Beacons(
            self._opened.home.folder,
            self._state,
            self._intake,
            self._writer,
            served=PublicLog(self._opened.home.folder).checkpoint,
            wait_witnessed=self._wait_witnessed,
            connect=lambda custodian: connected_custodian(custodian, lambda: self._identity),
        )
        self._intake.refuse_commitments_where(self._beacons.is_bound)
        self._forgetting = Forgetting(self._state, self._closer, self._opened.home.database)
        self._intake.on_erasure(self._forgetting.order)

    def _build_deadlines(self) -> None:
        self._deadlines = Deadlines(self._state, self._intake, self._writer, clock=self._clock)
        self._deadlines.measure(
            self._metrics.gauge("answers_due", "Answers due within a week that the log does not hold."),
            self._metrics.gauge("answers_missing", "Answers missing after their deadline."),
        )
        self._closer.log_missing_with(self._deadlines.log_missing)

    def _build_views(self) -> None:
        self._views = Views(self._state, self._readers, clock=self._clock)
        self._participation = Participation(
            self._state, self._intake, self._writer, clock=self._clock, spent=self._ledger.spent
        )
        self._book_views = BookViews(self._state, self._ledger, self._readers, self._views)
        self._exports = AccountExports(self._state, self._readers, self._opened.hub_key, self._book_views)
        self._registrar = Registrar(
            self._opened.settings,
            self._opened.authority,
            self._writer,
            self._readers,
            first_trust_root=lambda: first_trust_root(self._readers),
            clock=self._clock,
        )

    def _build_rewards(self) -> None:
        with self._readers.begin() as connection:
            key = voucher_key(self._opened.home.voucher_key, connection, secrets.token_bytes)
        self._vouchers = Vouchers(
            self._writer,
            key,
            clock=self._clock,
            random=secrets.token_bytes,
        )
        self._redemptions = Redemptions(
            self._state, self._ledger, self._readers, self._vouchers, clock=self._clock
        )
        self._moves = PointMoves(self._state, self._ledger, clock=self._clock)
        self._certificates = Certificates(
            self._redemptions,
            self._ledger,
            self._readers,
            self._opened.hub_key,
            origin=self._opened.settings.origin,
            clock=self._clock,
            random=secrets.token_bytes,
        )

    def _wait_witnessed(self, size: int) -> None:
        self._witnessing.wait(size, seconds=WITNESS_SECONDS_MAX)

    def _serve(self, stack: ExitStack) -> None:
        """Start what stops last first."""
        home, settings = self._opened.home, self._opened.settings
        self._writer.start()
        stack.callback(self._writer.stop)
        self._ledger.start()
        stack.callback(self._ledger.stop)
        self._deadlines.start()
        stack.callback(self._deadlines.stop)
        self._forgetting.start()
        stack.callback(self._forgetting.stop)
        public = PublicLog(home.folder)
        parts = Parts(
            self._views,
            public,
            self._registrar,
            self._opened.authority.ca_pem,
            self._metrics,
            self._waiting_for,
            settings.limits,
            RewardParts(
                self._redemptions,
                self._certificates,
                self._participation,
                self._moves,
                self._readers,
                public,
            ),
            self._book_views,
            ProgrammeViews(self._ledger, self._readers, self._book_views),
            BoardEntries(self._state, self._ledger, self._writer, self._clock),
            self._participation,
            self._exports,
        )
        self._https = HttpsServer(create_app(parts), settings.listen_https, home.server)
        self._https.start()
        stack.callback(self._https.stop)
        options = ServerOptions(
            settings.listen_grpc,
            (*rpc.SERVICES, rpc_rewards.SERVICE, rpc_accounts.SERVICE, rpc_operations.SERVICE),
            workers=GRPC_WORKERS,
            calls_max=GRPC_CALLS_MAX,
            reflection=True,
        )
        self._grpc = GrpcServer(lambda: self._identity, options, self._metrics, on_broken=self._on_broken)
        rpc.register(
            self._grpc.server,
            rpc.IntakeRpc(self._intake, settings.limits),
            rpc.BodyRpc(self._views),
            rpc.OperatorRpc(
                self._intake, self._registrar, self._closer, self._views, settings.limits, self._beacons
            ),
        )
        rpc_accounts.register(self._grpc.server, rpc_accounts.AccountRpc(self._participation, self._exports))
        rpc_operations.register(
            self._grpc.server, rpc_operations.OperationRpc(self._ledger, self._issuer, self._readers)
        )
        rpc_rewards.register(
            self._grpc.server,
            rpc_rewards.RewardRpc(self._redemptions, self._certificates, self._vouchers, self._moves),
        )
        self._grpc.start()
        stack.callback(self._grpc.stop)
        threading.Thread(target=self._renew, name="renewal", daemon=True).start()

    def _publish(self) -> None:
        """Let the public folder follow the database."""
        self._log.publish()
        self._published_at = time.monotonic()
        self._entries.set(self._state.size)
        self._unpublished.set(self._log.unpublished)
        self._unwitnessed.set(self._state.size - max(self._witnessing.served_size, 0))

    def _waiting_for(self) -> str:
        if self._writer.broken is not None or self._stopping.is_set():
            return "stopping"
        if self._log.unpublished and time.monotonic() - self._published_at > PUBLISH_LAG_SECONDS_MAX:
            return "publishing the log"
        return ""

    def _renew(self) -> None:
        """Renew the hub's own certificates in time; new connections use them at once."""
        while not self._stopping.wait(RENEWAL_CHECK_SECONDS):
            if self._opened.renew_certificates(datetime.datetime.now(datetime.UTC)):
                self._identity = Identity.load(self._opened.home.server)
                self._https.reload()
                logger.info("certificates renewed")
