"""The log replayed: every entry decided again by the rules the hub ran at intake, with its bodies.

An entry that is refused ends the replay there: what follows stands on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from auditor.commitments import CommitmentSeen
from auditor.findings import Check, Result, Results
from auditor.issuances import IssuanceLog, IssuedSeen
from auditor.ledgers import LedgerReplay
from auditor.participants import Participation
from auditor.statements import StatementFiles
from engine import released
from engine.log_facts import LogFacts
from engine.released import ReleasedFiles, ReleasedRows
from privacy import envelope
from privacy.acceptance import Admission, LogState
from privacy.chunks import HALF_BYTES
from privacy.envelope import Kind
from privacy.erasures import ERASED
from privacy.journal import JournalRows
from privacy.links import LinkRows
from privacy.rosters import RosterRows
from privacy.standing import HUB_ID, LoggedProgramme
from protos.epochs import Epoch
from protos.problems import Problem, Unavailable
from protos.v1 import books_pb2, custodian_pb2, evidence_pb2, release_pb2
from protos.v1.problem_pb2 import (
    REASON_BEACON_INVALID,
    REASON_BEACON_KNOWN,
    REASON_BODIES_MISSING,
    REASON_BODY_MISMATCH,
    REASON_BODY_TRUNCATED,
    REASON_BUDGET_EXCEEDED,
    REASON_CLAIM_WRONG,
    REASON_COMMITMENT_CLOSED,
    REASON_COMMITMENT_MISSING,
    REASON_MERGE_TOO_SOON,
    REASON_SELECTION_WRONG,
    REASON_TICKET_INVALID,
    REASON_TICKET_USED,
    REASON_TRUST_ROOT_INVALID,
)
from runtime.log_follower import Entry
from runtime.log_reader import LogReader

WITH_BODIES = frozenset(
    {
        Kind.PACK,
        Kind.PROGRAMME,
        Kind.ROSTER_BATCH,
        Kind.RELEASE,
        Kind.LINK_BATCH,
        Kind.CHOICE_BATCH,
        Kind.SELECTION,
        Kind.ACCOUNT_CHANGE,
        Kind.JOURNAL_SEGMENT,
    }
)
PUBLIC_BODIES = frozenset({Kind.PACK, Kind.PROGRAMME})

_CHECK_BY_REASON = {
    REASON_TRUST_ROOT_INVALID: Check.TRUST_ROOT,
    REASON_BUDGET_EXCEEDED: Check.BUDGETS,
    REASON_CLAIM_WRONG: Check.BUDGETS,
    REASON_BODY_MISMATCH: Check.BODIES,
    REASON_BODY_TRUNCATED: Check.BODIES,
    REASON_COMMITMENT_MISSING: Check.COMMITMENTS,
    REASON_COMMITMENT_CLOSED: Check.COMMITMENTS,
    REASON_BEACON_INVALID: Check.BEACONS,
    REASON_BEACON_KNOWN: Check.BEACONS,
    REASON_SELECTION_WRONG: Check.SELECTIONS,
    REASON_TICKET_INVALID: Check.TICKETS,
    REASON_TICKET_USED: Check.TICKETS,
    REASON_MERGE_TOO_SOON: Check.TICKETS,
}

# What is decided on bodies alone, beside that they are the bodies signed.
_OF_BODIES = frozenset({Check.SELECTIONS, Check.TICKETS})


@dataclass(frozen=True, slots=True)
class Released:
    """A release, its entry, and the files its rows lie in (None where bodies were not at hand)."""

    index: int
    message: release_pb2.Release
    files: ReleasedFiles | None


@dataclass(frozen=True, slots=True)
class Linked:
    """A link batch, its entry, the first epoch it acts for, and the file its rows lie in."""

    index: int
    effective: Epoch
    file: Path


@dataclass(slots=True)
class Replay:
    """What the replay established: the log's state, and the facts the later checks are made from."""

    state: LogState
    complete: bool = True
    packs: dict[tuple[str, int], bytes] = field(default_factory=dict)
    programmes: dict[tuple[str, int], bytes] = field(default_factory=dict)
    releases: list[Released] = field(default_factory=list)
    links: list[Linked] = field(default_factory=list)
    closes: list[tuple[int, books_pb2.EpochClose]] = field(default_factory=list)
    counts: list[custodian_pb2.CountReport] = field(default_factory=list)
    pseudonyms: dict[str, bytearray] = field(default_factory=dict)
    # Slots whose openings were found empty, and how many links were.
    erased: dict[str, set[int]] = field(default_factory=dict)
    links_erased: int = 0
    # When the hub says it made each missing entry, and the newest time of any of its messages.
    stated_at: dict[int, int] = field(default_factory=dict)
    # The closes whose accounts were found right, which need no second fold.
    compared: set[int] = field(default_factory=set)
    newest_at: int = 0
    commitments: list[CommitmentSeen] = field(default_factory=list)
    participation: Participation = field(default_factory=Participation)
    ledgers: LedgerReplay = field(default_factory=LedgerReplay)
    issued: IssuedSeen = field(default_factory=IssuedSeen)
    # Entries before this one were followed in the ledgers while their bodies were whole.
    carried: int = 0

    def stated(self, close: books_pb2.EpochClose, files: StatementFiles) -> released.Released:
        """Give the files of what stands in the beginning of the log that a close names, changes applied."""
        statements = [
            one.files
            for one in self.releases
            if one.index < close.log_size and one.message.epoch <= close.epoch and one.files
        ]
        links = [
            linked.file
            for linked in self.links
            if linked.index < close.log_size and linked.effective <= close.epoch
        ]
        moves = self.state.participants.moves_on(Epoch(close.epoch), close.log_size)
        return files.moved(statements, links, moves)

    def issuance_log(self) -> IssuanceLog:
        """Give what issued tonnes are reckoned from."""
        releases = [
            (one.index, self.state.policy_by_hash(one.message.policy_hash), one.message)
            for one in self.releases
        ]
        return IssuanceLog(releases, self.packs, self.programmes)

    def programme_body(self, logged: LoggedProgramme) -> bytes:
        """Give the body of a programme's record; raises Unavailable where it did not come."""
        found = self.programmes.get((logged.id, logged.version))
        if found is None:
            raise Unavailable(REASON_BODIES_MISSING, f"The body of programme {logged.id} is not at hand.")
        return found

    @property
    def awaits_orders(self) -> bool:
        """Say whether rows are empty that no order has named yet: books before it cannot be told apart.

        Once it stands in the log, the hub folds as whoever reads the empty rows does.
        """
        return any(found - self.state.erased_slots(one) for one, found in self.erased.items())


def begin(pinned: bytes) -> Replay:
    """Give a replay that has seen nothing but the trust root handed over."""
    return Replay(LogState(pinned=pinned, replaying=True))


def begin_anew(pinned: bytes, before: Replay) -> Replay:
    """Give a replay that reads all bodies again, for persons were erased from them since.

    Closes that were found right stay so, and the ledgers go on from where they are.
    """
    size = max(before.state.size, before.carried)
    return replace(begin(pinned), ledgers=before.ledgers, compared=set(before.compared), carried=size)


def replay(
    replayed: Replay,
    entries: Iterable[Entry],
    reader: LogReader,
    files: StatementFiles,
    results: Results,
    after: Callable[[Entry, int], None] = lambda entry, body_bytes: None,
) -> None:
    """Replay further entries; `after` sees each one taken, and how many bytes its bodies had."""
    facts = LogFacts(replayed.state, replayed.programme_body)
    replayed.ledgers.bind(files, facts)
    for entry in entries if replayed.complete else ():
        bodies = _bodies(reader, entry.index, entry.data, results)
        admission = _decide(replayed.state, entry.index, entry.data, bodies, results)
        if admission is None:
            replayed.complete = False
            return
        replayed.state.apply(admission)
        _keep(replayed, admission, bodies, files)
        _keep_time(replayed, admission)
        _keep_ledgers(replayed, admission, files, results[Check.LEDGERS])
        replayed.participation.take(admission, bodies, results)
        replayed.issued.take(admission)
        results[Check.ENTRIES].examined += 1
        after(entry, sum(map(len, bodies or ())))


def leave_unchecked(replayed: Replay, results: Results) -> None:
    """Say what cannot be checked after this replay, and why."""
    unchecked = replayed.state.unchecked
    if unchecked:
        results.leave_unchecked(
            [
                Check.BODIES,
                Check.SELECTIONS,
                Check.TICKETS,
                Check.ACCOUNTS,
                Check.LEDGERS,
                Check.DIFFERENCES,
            ],
            f"the bodies of {len(unchecked)} entries are not at hand",
        )
    if not replayed.complete:
        results.leave_unchecked(
            [
                Check.COMPLETENESS,
                Check.PSEUDONYMS,
                Check.ERASURES,
                Check.SELECTIONS,
                Check.TICKETS,
                Check.ACCOUNTS,
                Check.LEDGERS,
                Check.ISSUANCES,
                Check.POPULATION,
                Check.DIFFERENCES,
            ],
            "the replay ended at an entry that does not hold",
        )


def _bodies(reader: LogReader, index: int, entry: bytes, results: Results) -> list[bytes] | None:
    try:
        kind = envelope.open_envelope(entry).kind
        if kind not in WITH_BODIES:
            return None
        bodies = reader.bodies(index)
        if bodies is None and kind in PUBLIC_BODIES:
            public = reader.body(index, 0)
            bodies = None if public is None else [public]
    except Problem as problem:
        results[Check.BODIES].find_problem(f"entry {index}", problem)
        return None
    results[Check.BODIES].examined += len(bodies or ())
    # An entry none of whose bodies came is unchecked; whether any belong to it, its message says.
    return bodies or None


def _decide(
    state: LogState, index: int, entry: bytes, bodies: list[bytes] | None, results: Results
) -> Admission | None:
    """Decide on an entry; one that holds but for its bodies is taken without them, as a finding."""
    try:
        return state.check(entry, bodies, index)
    except Problem as refused:
        if bodies is not None:
            try:
                admission = state.check(entry, None, index)
            except Problem:
                pass
            else:
                check = _CHECK_BY_REASON.get(refused.reason, Check.BODIES)
                found = check if check in _OF_BODIES else Check.BODIES
                results[found].find_problem(_bodies_place(index, bodies), refused)
                return admission
        _result_of(refused, results).find_problem(f"entry {index}", refused)
        return None


def _bodies_place(index: int, bodies: list[bytes]) -> str:
    last = len(bodies) - 1
    return f"entry {index}, body {index}-0" + (f" to {index}-{last}" if last else "")


def _result_of(problem: Problem, results: Results) -> Result:
    return results[_CHECK_BY_REASON.get(problem.reason, Check.ENTRIES)]


def _keep(replayed: Replay, admission: Admission, bodies: list[bytes] | None, files: StatementFiles) -> None:
    message = admission.message
    match admission.kind:
        case Kind.PACK if bodies:
            replayed.packs[message.id, message.version] = bodies[0]
        case Kind.PROGRAMME if bodies:
            replayed.programmes[message.id, message.version] = bodies[0]
        case Kind.ROSTER_BATCH if isinstance(admission.rows, RosterRows):
            _keep_roster(replayed, admission.issuer, admission.rows)
        case Kind.RELEASE:
            replayed.releases.append(_released(replayed, admission, bodies, files))
        case Kind.LINK_BATCH if isinstance(admission.rows, LinkRows):
            file = files.write_links(admission.leaf_hash, admission.rows)
            replayed.links.append(Linked(admission.index, Epoch(message.effective_epoch), file))
            replayed.links_erased += admission.rows.erased
        case Kind.ERASURE_ORDER | Kind.HUB_ERASURE_ORDER:
            _keep_erasure(replayed, message)
        case Kind.COMMITMENT:
            epoch = Epoch(message.epoch)
            committed = replayed.state.commitments(admission.issuer)[epoch]
            replayed.commitments.append(
                CommitmentSeen(admission.issuer, epoch, committed, replayed.newest_at)
            )
        case Kind.EPOCH_CLOSE:
            replayed.closes.append((admission.index, message))
        case Kind.COUNT_REPORT:
            replayed.counts.append(message)
        case _:
            pass


def _keep_ledgers(replayed: Replay, admission: Admission, files: StatementFiles, result: Result) -> None:
    """Decide operations again where they stand; make each close again and hold it against what it says."""
    ledgers = replayed.ledgers
    if admission.index < replayed.carried:
        return
    if replayed.state.unchecked:
        ledgers.leave_parts(erased=False)
    match admission.kind:
        case Kind.JOURNAL_SEGMENT if isinstance(admission.rows, JournalRows):
            ledgers.decide(admission.index, admission.rows, result)
        case Kind.EPOCH_CLOSE:
            if replayed.awaits_orders:
                ledgers.leave_parts(erased=True)
            stated = replayed.stated(admission.message, files)
            if ledgers.close(admission.index, admission.message, stated, result):
                replayed.compared.add(admission.index)
        case _:
            pass


def _keep_time(replayed: Replay, admission: Admission) -> None:
    """Note the hub's own times, by which deadlines pass."""
    if admission.issuer == HUB_ID:
        issued_at = admission.message.header.issued_at
        replayed.newest_at = max(replayed.newest_at, issued_at)
        if admission.kind is Kind.MISSING:
            replayed.stated_at[admission.index] = issued_at


def _keep_roster(replayed: Replay, issuer: str, rows: RosterRows) -> None:
    mine = replayed.pseudonyms.setdefault(issuer, bytearray())
    if rows.erased and rows.pseudonyms is not None:
        first = len(mine) // HALF_BYTES
        replayed.erased.setdefault(issuer, set()).update(
            first + at // HALF_BYTES
            for at in range(0, len(rows.pseudonyms), HALF_BYTES)
            if rows.pseudonyms[at : at + HALF_BYTES] == ERASED
        )
    mine += rows.pseudonyms or b""


def _keep_erasure(replayed: Replay, order: evidence_pb2.ErasureOrder) -> None:
    """Fold as the hub does from here on, also where it has not erased what it was told to."""
    mine = replayed.pseudonyms.get(order.enterprise_id, bytearray())
    for slot in order.slots:
        mine[slot * HALF_BYTES : (slot + 1) * HALF_BYTES] = ERASED


def _released(
    replayed: Replay, admission: Admission, bodies: list[bytes] | None, files: StatementFiles
) -> Released:
    message: release_pb2.Release = admission.message
    roster = replayed.state.roster(admission.issuer)
    known = replayed.pseudonyms.get(admission.issuer, bytearray())
    if not admission.bodies_checked or len(known) != roster.total * HALF_BYTES:
        return Released(admission.index, message, None)
    slots = roster.active_slots(Epoch(message.epoch))
    names = b"".join(known[number * HALF_BYTES : (number + 1) * HALF_BYTES] for number in slots)
    rows = ReleasedRows(admission.leaf_hash, message, tuple(bodies or ()), names, slots)
    return Released(admission.index, message, files.write(rows))
