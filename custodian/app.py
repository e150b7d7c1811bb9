"""Puts a custodian together from its home, and runs it."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from custodian.beacons import BeaconEvaluator
from custodian.delivery import DeliveryLoop, ReportDelivery
from custodian.evaluation import Evaluator, Turns
from custodian.followed_log import FollowedLog
from custodian.holding import Holding
from custodian.quota import Rate
from custodian.reports import CountReports
from custodian.rpc import SERVICE, EvaluationServicer, connected_hub
from custodian.setup import Opened
from custodian.share import Purpose, obstacle
from custodian.store import Store
from privacy import sodium, trust
from protos.problems import InvariantBroken
from protos.v1 import custodian_pb2_grpc
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN
from runtime.log_mirror import LogMirror
from runtime.log_reader import HttpLog, LogReader
from runtime.metrics import HealthServer, Metrics
from runtime.servers import GrpcServer, ServerOptions

logger = logging.getLogger(__name__)

RPC_WORKERS = 8
LOG_SECONDS_MAX = 10.0


class Custodian:
    """One custodian at work: a context manager that serves inside and drains on the way out."""

    def __init__(
        self,
        opened: Opened,
        *,
        reader: LogReader | None = None,
        on_broken: Callable[[], None] | None = None,
    ) -> None:
        self._opened = opened
        self._on_broken = on_broken
        self._is_broken = False
        with ExitStack() as resources:
            resources.enter_context(opened.home.locked())
            self._holding = Holding.open(opened.resting_share, opened.next_share)
            self._beacon_holding = _beacon_holding(opened)
            self._store = Store(opened.home.database)
            resources.callback(self._store.close)
            if reader is None:
                reader = HttpLog(
                    opened.settings.hub_https, opened.identity().ca_pem, timeout_seconds=LOG_SECONDS_MAX
                )
                resources.callback(reader.close)
            reports = _reports(opened, self._store)
            self._log = _followed(opened, reader, reports)
            self._log.start()
            self._loop = self._delivery_loop(reports)
            self._metrics = _metrics(self._store)
            self._server = self._bound()
            self._resources = resources.pop_all()
        self._thread = threading.Thread(target=self._loop.run, name="reports")

    @property
    def address(self) -> str:
        """Give host:port of the EvaluationService."""
        return self._server.address

    def waiting_for(self) -> str:
        """Say what keeps this custodian from answering orders; "" if nothing does."""
        if obstacle(self._holding.under(self._log.root), self._log.root) is not None:
            return "a trust root that names this custodian's share"
        return "an explanation of the log" if self._log.is_stopped else ""

    def __enter__(self) -> Self:
        if self._opened.settings.health:
            health = HealthServer(self._opened.settings.health, self._metrics, self.waiting_for)
            self._resources.enter_context(health)
        self._server.start()
        self._thread.start()
        logger.info(
            "custodian ready",
            extra={
                "custodian_id": self._holding.share.custodian_id,
                "key_id": self._holding.share.key_id.hex(),
                "library": sodium.provider(),
            },
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        self._loop.stop()
        self._thread.join()
        self._resources.close()

    def raise_broken(self) -> None:
        """Raise InvariantBroken if that is why the service ended."""
        if self._is_broken:
            raise InvariantBroken(
                REASON_INVARIANT_BROKEN,
                "The custodian stopped because one of its own promises did not hold; its log says which.",
                remedy="Keep the home folder as it is and report it.",
            )

    def _stop_broken(self) -> None:
        self._is_broken = True
        if self._on_broken is not None:
            self._on_broken()

    def _delivery_loop(self, reports: CountReports) -> DeliveryLoop:
        settings, identity = self._opened.settings, self._opened.identity
        delivery = ReportDelivery(reports, self._store, lambda: connected_hub(settings.hub_grpc, identity))
        return DeliveryLoop(
            self._log,
            delivery,
            wait_seconds=settings.report_wait_seconds,
            clock=time.monotonic,
            on_broken=self._stop_broken,
        )

    def _beacons(self) -> BeaconEvaluator:
        return BeaconEvaluator(self._beacon_holding, self._log, self._store, random=secrets.token_bytes)

    def _bound(self) -> GrpcServer:
        settings = self._opened.settings
        evaluator = Evaluator(
            self._holding,
            self._log,
            self._store,
            Turns(settings.batches_per_enterprise),
            Rate(settings.evaluations_per_minute, settings.evaluations_at_once),
            clock=time.time,
            random=secrets.token_bytes,
            threads=settings.evaluation_threads,
            on_charged=self._loop.wake,
        )
        options = ServerOptions(
            address=settings.listen, services=(SERVICE,), workers=RPC_WORKERS, reflection=settings.reflection
        )
        server = GrpcServer(self._opened.identity, options, self._metrics, on_broken=self._stop_broken)
        custodian_pb2_grpc.add_EvaluationServiceServicer_to_server(
            EvaluationServicer(evaluator, self._store, self._beacons()), server.server
        )
        return server


def _beacon_holding(opened: Opened) -> Holding | None:
    """Open the share of the beacon key, where this custodian has one."""
    resting = opened.resting(Purpose.BEACON)
    return Holding.open(resting, opened.waiting(Purpose.BEACON)) if resting.path.exists() else None


def _metrics(store: Store) -> Metrics:
    metrics = Metrics("cgsp-custodian")
    charged = metrics.gauge("evaluations", "Evaluations charged.")
    charged.set_function(lambda: store.totals()[0])
    unreported = metrics.gauge("unreported", "Evaluations charged that the log does not show yet.")
    unreported.set_function(lambda: store.totals()[1])
    return metrics


def _reports(opened: Opened, store: Store) -> CountReports:
    settings = opened.settings
    key = opened.home.signing_key()
    return CountReports(store, key, custodian_id=settings.id, origin=settings.origin, clock=time.time)


def _followed(opened: Opened, reader: LogReader, reports: CountReports) -> FollowedLog:
    pinned = opened.pinned_trust_root()
    return FollowedLog(
        LogMirror(opened.home.log, trust.verify_first(pinned).log_vkey),
        reader,
        pinned,
        reports,
        refresh_seconds=opened.settings.refresh_seconds,
        clock=time.monotonic,
    )
