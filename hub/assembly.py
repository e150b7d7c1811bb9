"""The parts of a hub: what each is made of and tells the others, made once, when it is first asked for."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Engine

from engine.eligibility import CelConditions
from hub.account_exports import AccountExports
from hub.accounts import Closer, Resources
from hub.api import Parts
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
from hub.intake import Intake, Step
from hub.issuing import Issuer
from hub.join import Registrar
from hub.ledger import Ledger
from hub.log import LogWriter, PublicLog
from hub.participation import Participation
from hub.point_moves import PointMoves
from hub.programme_views import ProgrammeViews
from hub.publishing import Publishing
from hub.redemption import Redemptions
from hub.replaying import first_trust_root
from hub.setup import Opened
from hub.state import State
from hub.store.writer import Writer
from hub.views import Views
from hub.vouchers import Vouchers, voucher_key
from hub.witnesses import Witnessing
from runtime.identity import Identity
from runtime.metrics import Metrics

# How long a close waits for the witnesses of what it stands on.
WITNESS_SECONDS_MAX = 30.0


@dataclass(frozen=True)
class Assembly:
    """What a hub is put together from; every part knows here which others it stands on."""

    opened: Opened
    engine: Engine
    readers: Engine
    identity: Callable[[], Identity]
    on_broken: Callable[[], None]
    step: Step
    clock: Callable[[], int]

    @cached_property
    def metrics(self) -> Metrics:
        """Give the figures /metrics shows."""
        return Metrics("hub")

    @cached_property
    def meters(self) -> BookMeters:
        """Give what counts the books' work."""
        return BookMeters(self.metrics)

    @cached_property
    def state(self) -> State:
        """Give the log's state in memory, into which the log is replayed."""
        return State(self.opened.settings.origin)

    @cached_property
    def witnessing(self) -> Witnessing:
        """Give what asks witnesses to cosign."""
        return Witnessing(self.opened.home.folder, lambda: self.state.trust_root)

    @cached_property
    def log(self) -> LogWriter:
        """Give what writes the public folder."""
        return LogWriter(
            self.opened.home.folder,
            self.opened.settings.origin,
            self.opened.log_key,
            step=self.step,
            offer=self.witnessing.offer,
        )

    @cached_property
    def public(self) -> PublicLog:
        """Give the public folder as others read it."""
        return PublicLog(self.opened.home.folder)

    @cached_property
    def publishing(self) -> Publishing:
        """Give what lets the public folder follow the database."""
        return Publishing(self.state, self.log, self.witnessing, self.metrics)

    @cached_property
    def writer(self) -> Writer:
        """Give the one that writes the database."""
        writer = Writer(
            self.engine, after_commit=self.publishing.publish, on_broken=self._break, step=self.step
        )
        writer.measure(self.meters.commit_seconds.observe)
        return writer

    @cached_property
    def intake(self) -> Intake:
        """Give what takes messages into the log; ledger, beacons and forgetting tie themselves to it."""
        return Intake(
            self.state,
            self.log,
            self.writer,
            self.opened.hub_key,
            merge_delay_seconds=self.opened.settings.merge_delay_seconds,
            clock=self.clock,
            step=self.step,
        )

    @cached_property
    def ledger(self) -> Ledger:
        """Give what takes operations on the ledgers."""
        ledger = Ledger(
            self.state,
            self.intake,
            self.writer,
            self.readers,
            CelConditions(),
            clock=self.clock,
            step=self.step,
        )
        self.intake.seal_with(ledger.seal_open)
        ledger.measure(self.meters)
        self.meters.watch(ledger.health, self.clock)
        return ledger

    @cached_property
    def closer(self) -> Closer:
        """Give what closes epochs."""
        resources = Resources.of(self.opened)
        closer = Closer(
            self.state,
            self.intake,
            self.writer,
            self.readers,
            resources,
            random=secrets.token_bytes,
            step=self.step,
            ledgers=LedgerCloser(self.state, self.ledger, self.readers, resources.ledgers),
            wait_witnessed=self._wait_witnessed,
        )
        closer.measure(self.meters.close_seconds.observe)
        closer.log_missing_with(self.deadlines.log_missing)
        return closer

    @cached_property
    def issuer(self) -> Issuer:
        """Give what issues units."""
        return Issuer(
            self.state,
            self.intake,
            self.ledger,
            self.writer,
            self.readers,
            wait_witnessed=self._wait_witnessed,
        )

    @cached_property
    def beacons(self) -> Beacons:
        """Give what has beacons drawn."""
        beacons = Beacons(
            self.opened.home.folder,
            self.state,
            self.intake,
            self.writer,
            served=self.public.checkpoint,
            wait_witnessed=self._wait_witnessed,
            connect=lambda custodian: connected_custodian(custodian, self.identity),
        )
        self.intake.refuse_commitments_where(beacons.is_bound)
        return beacons

    @cached_property
    def forgetting(self) -> Forgetting:
        """Give what follows an erasure."""
        forgetting = Forgetting(self.state, self.closer, self.opened.home.database)
        self.intake.on_erasure(forgetting.order)
        return forgetting

    @cached_property
    def deadlines(self) -> Deadlines:
        """Give what watches deadlines."""
        deadlines = Deadlines(self.state, self.intake, self.writer, clock=self.clock)
        deadlines.measure(
            self.metrics.gauge("answers_due", "Answers due within a week that the log does not hold."),
            self.metrics.gauge("answers_missing", "Answers missing after their deadline."),
        )
        return deadlines

    @cached_property
    def views(self) -> Views:
        """Give what is shown of log and accounts."""
        return Views(self.state, self.readers, clock=self.clock)

    @cached_property
    def book_views(self) -> BookViews:
        """Give what is shown of the ledgers."""
        return BookViews(self.state, self.ledger, self.readers, self.views)

    @cached_property
    def participation(self) -> Participation:
        """Give what turns participants' acts into entries."""
        return Participation(self.state, self.intake, self.writer, clock=self.clock, spent=self.ledger.spent)

    @cached_property
    def exports(self) -> AccountExports:
        """Give what signs exports of accounts."""
        return AccountExports(self.state, self.readers, self.opened.hub_key, self.book_views)

    @cached_property
    def registrar(self) -> Registrar:
        """Give what lets parties join."""
        return Registrar(
            self.opened.settings,
            self.opened.authority,
            self.writer,
            self.readers,
            first_trust_root=lambda: first_trust_root(self.readers),
            clock=self.clock,
        )

    @cached_property
    def vouchers(self) -> Vouchers:
        """Give what keeps voucher codes; raises where codes are there and their key is not."""
        with self.readers.begin() as connection:
            key = voucher_key(self.opened.home.voucher_key, connection, secrets.token_bytes)
        return Vouchers(self.writer, key, clock=self.clock, random=secrets.token_bytes)

    @cached_property
    def redemptions(self) -> Redemptions:
        """Give what takes orders of rewards."""
        return Redemptions(self.state, self.ledger, self.readers, self.vouchers, clock=self.clock)

    @cached_property
    def moves(self) -> PointMoves:
        """Give what collects and gives points."""
        return PointMoves(self.state, self.ledger, clock=self.clock)

    @cached_property
    def certificates(self) -> Certificates:
        """Give what signs certificates of rewards."""
        return Certificates(
            self.redemptions,
            self.ledger,
            self.readers,
            self.opened.hub_key,
            origin=self.opened.settings.origin,
            clock=self.clock,
            random=secrets.token_bytes,
        )

    def api(self, waiting_for: Callable[[], str]) -> Parts:
        """Give what the HTTPS interface answers from."""
        return Parts(
            views=self.views,
            log=self.public,
            registrar=self.registrar,
            ca_pem=self.opened.authority.ca_pem,
            metrics=self.metrics,
            waiting_for=waiting_for,
            limits=self.opened.settings.limits,
            rewards=RewardParts(
                self.redemptions,
                self.certificates,
                self.participation,
                self.moves,
                self.readers,
                self.public,
            ),
            books=self.book_views,
            programmes=ProgrammeViews(self.ledger, self.readers, self.book_views),
            boards=BoardEntries(self.state, self.ledger, self.writer, self.clock),
            participation=self.participation,
            exports=self.exports,
        )

    def _break(self) -> None:
        """Follow a writer that stopped: what it would have published is waited for in vain."""
        self.witnessing.give_up()
        self.on_broken()

    def _wait_witnessed(self, size: int) -> None:
        self.witnessing.wait(size, seconds=WITNESS_SECONDS_MAX)
