"""Why is this my balance: every released figure an account is made of, what was left out, who is missing.

The lines add up to the balance of the last close, by the same rules that fold it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from accounting.accounts import anchor_weight
from accounting.shares import BASIS_POINTS, cut, cut_variance
from hub.state import State
from hub.store import books, entries
from privacy import envelope
from privacy.chunks import STATEMENT_ROWS_MAX, chunk_count
from privacy.envelope import Kind
from privacy.holdings import ALWAYS, FOREVER, Holding, holdings
from privacy.laplace import variance_upper
from privacy.ownership import Move, Split, names_in
from privacy.releases import parse_statement_chunk
from privacy.series import MeasureKind
from privacy.standing import AnswerKind
from protos.epochs import Epoch, format_epoch
from protos.v1 import books_pb2, release_pb2

Place = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Figure:
    """One released number of one slot: a month's grams, an anchor's, or points."""

    enterprise: str
    measure: str
    slot: int
    epoch: Epoch
    value: int
    variance: int
    # Of an anchor: the epochs it totals.
    covered: tuple[Epoch, ...]
    is_points: bool
    index: int


@dataclass(slots=True)
class Explanation:
    """The lines of an account, in epoch order, and the totals they give."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    balance_mg: int = 0
    variance_mg2: int = 0
    points: int = 0

    def add(self, line: dict[str, Any], grams: int, variance: int) -> None:
        """Take a line that counts."""
        self.lines.append(line)
        self.balance_mg += grams * 1000
        self.variance_mg2 += variance * 1_000_000


def explain(connection: Connection, state: State, account: bytes) -> Explanation:
    """Explain an account's balance after the last close."""
    found, epoch = Explanation(), state.last_closed
    if epoch is None:
        return found
    held = _held(connection, state, account, epoch)
    slots = state.slots_of(set(held))
    released = list(_figures(connection, state, slots, epoch))
    size = state.log.closes[epoch].log_size
    figures = [one for one in released if one.index < size]
    found.lines += [
        _line(one, "counts at the next close", one.value, one.variance) for one in released[len(figures) :]
    ]
    names = _names(state, slots, held)
    _explain_grams(found, [one for one in figures if not one.is_points], held, names, account)
    _explain_points(found, [one for one in figures if one.is_points], held, names, account)
    found.lines += _exclusions(state, slots)
    found.lines += _missing(connection, state, slots)
    found.lines.sort(key=lambda line: (line["epoch"], line["enterprise"], line["what"]))
    return found


def _held(
    connection: Connection, state: State, account: bytes, epoch: Epoch
) -> dict[bytes, tuple[Holding, ...]]:
    """Give who gets the statements of every pseudonym that the account gets anything of."""
    participants = state.log.participants
    moves, linked = _concerning(connection, state, account, epoch)
    changed: dict[bytes, list[Holding]] = defaultdict(list)
    for one in holdings(moves, linked).holdings:
        changed[one.pseudonym].append(one)
    found = {}
    for pseudonym, holder in linked.items():
        whole = Holding(pseudonym, ALWAYS, FOREVER, ((participants.current(holder), BASIS_POINTS),))
        mine = tuple(changed.get(pseudonym, [whole]))
        if any(holder == account for one in mine for holder, _ in one.parts):
            found[pseudonym] = mine
    return found


def _concerning(
    connection: Connection, state: State, account: bytes, epoch: Epoch
) -> tuple[list[Move], dict[bytes, bytes]]:
    """Give the changes that an account has anything to do with, and the links of all they name."""
    accounts, linked, fresh = set[bytes](), dict[bytes, bytes](), {account}
    while fresh:
        accounts |= fresh
        linked |= {name: holder for holder in fresh for name in books.pseudonyms_of(connection, holder)}
        moves = state.moves_about([*accounts, *linked], epoch)
        split = {one.pseudonym for one in moves if isinstance(one, Split)}
        linked |= books.accounts_of(connection, split - linked.keys())
        named = set[bytes]().union(*map(names_in, moves)) - split
        fresh = (named | set(linked.values())) - accounts
    return moves, linked


def _names(
    state: State, slots: Mapping[str, Sequence[int]], held: Mapping[bytes, Any]
) -> dict[tuple[str, int], bytes]:
    """Give the pseudonym behind each slot."""
    return {
        (enterprise, slot): name
        for name in held
        for enterprise, mine in state.slots_of({name}).items()
        for slot in mine
        if slot in slots[enterprise]
    }


def _figures(
    connection: Connection, state: State, slots: Mapping[str, Sequence[int]], epoch: Epoch
) -> Iterator[Figure]:
    released = (
        (answer.index, enterprise, spoken)
        for enterprise in slots
        for spoken, answer in state.answers(enterprise).items()
        if spoken <= epoch and answer.kind is AnswerKind.RELEASE
    )
    for index, enterprise, spoken in sorted(released):
        places = ((slot, state.row_of(enterprise, slot, spoken)) for slot in slots[enterprise])
        rows = {slot: row for slot, row in places if row is not None}
        entry = entries.read_entry(connection, index) if rows else None
        if entry is None:
            continue
        message = envelope.open_envelope(entry.envelope).parse(release_pb2.Release)
        first = 0
        for statement in message.statements:
            for slot, row in rows.items():
                yield Figure(
                    enterprise=enterprise,
                    measure=statement.measure_id,
                    slot=slot,
                    epoch=spoken,
                    value=_value(connection, index, first, row),
                    variance=variance_upper(statement.claim.scale),
                    covered=tuple(map(Epoch, statement.epochs)),
                    is_points=int(statement.kind) == MeasureKind.POINTS,
                    index=index,
                )
            first += chunk_count(statement.rows, STATEMENT_ROWS_MAX)


def _value(connection: Connection, index: int, first: int, row: int) -> int:
    """Read a statement's row from the chunks of a release, of which its own begin at body `first`."""
    body = entries.read_body(connection, index, first + row // STATEMENT_ROWS_MAX)
    assert body is not None
    return parse_statement_chunk(body.data).grams()[row % STATEMENT_ROWS_MAX]


def _explain_grams(
    found: Explanation,
    figures: Sequence[Figure],
    held: Mapping[bytes, tuple[Holding, ...]],
    names: Mapping[tuple[str, int], bytes],
    account: bytes,
) -> None:
    months = {(_place(one), one.epoch): one for one in figures if not one.covered}
    for anchor in (one for one in figures if one.covered):
        spans = held[names[anchor.enterprise, anchor.slot]]
        if not _is_whole(anchor, spans):
            continue
        places = [(_place(anchor), epoch) for epoch in anchor.covered]
        year = [months.pop(one) for one in places if one in months]
        if year and spans_at(spans, anchor.epoch) == ((account, BASIS_POINTS),):
            _explain_year(found, year, anchor)
    for one in months.values():
        _explain_month(found, one, held[names[one.enterprise, one.slot]], account)


def _place(one: Figure) -> Place:
    return one.enterprise, one.measure, one.slot


def _is_whole(anchor: Figure, spans: Sequence[Holding]) -> bool:
    """Say whether nothing happened to a pseudonym in the year, so that its anchor counts."""
    first, last = anchor.covered[0], anchor.covered[-1]
    return all(not first < one.since <= last for one in spans) and len(spans_at(spans, last)) == 1


def spans_at(spans: Sequence[Holding], epoch: Epoch) -> tuple[tuple[bytes, int], ...]:
    """Give who gets an epoch's statements."""
    return next((one.parts for one in spans if one.since <= epoch < one.until), ())


def _explain_year(found: Explanation, months: Sequence[Figure], anchor: Figure) -> None:
    """One year's months and its anchor, weighed by their noise."""
    total = sum(one.value for one in months)
    weight = anchor_weight([one.variance for one in months], anchor.variance)
    combined = total + (anchor.value - total) * weight.share // weight.whole
    line = _line(anchor, "year", combined, weight.variance) | {
        "months": [{"epoch": format_epoch(one.epoch), "grams": one.value} for one in months],
        "months_total_grams": total,
        "anchor_grams": anchor.value,
        "anchor_weight": f"{weight.share}/{weight.whole}",
    }
    found.add(line, combined, weight.variance)


def _explain_month(found: Explanation, one: Figure, spans: Sequence[Holding], account: bytes) -> None:
    parts = spans_at(spans, one.epoch)
    points = dict(parts).get(account)
    if points is None:
        return
    grams, variance = dict(cut(one.value, parts))[account], cut_variance(one.variance, points)
    line = _line(one, "month", grams, variance)
    if points != BASIS_POINTS:
        line |= {"household_grams": one.value, "share_basis_points": points}
    found.add(line, grams, variance)


def _explain_points(
    found: Explanation,
    figures: Sequence[Figure],
    held: Mapping[bytes, tuple[Holding, ...]],
    names: Mapping[tuple[str, int], bytes],
    account: bytes,
) -> None:
    for one in figures:
        parts = spans_at(held[names[one.enterprise, one.slot]], one.epoch)
        if account in dict(parts):
            points = dict(cut(one.value, parts))[account]
            variance = cut_variance(one.variance, dict(parts)[account])
            line = _line(one, "points", points, variance)
            line["points"] = line.pop("grams")
            line["sigma_points"] = line.pop("sigma_grams")
            found.points += points
            found.lines.append(line)


def _line(one: Figure, what: str, grams: int, variance: int) -> dict[str, Any]:
    from hub.views import root_up

    return {
        "what": what,
        "enterprise": one.enterprise,
        "epoch": format_epoch(one.epoch),
        "measure": one.measure,
        "grams": grams,
        "sigma_grams": root_up(variance),
        "entry": one.index,
    }


def _exclusions(state: State, slots: Mapping[str, Sequence[int]]) -> Iterator[dict[str, Any]]:
    """Name what others record: classes left out of an enterprise's epochs."""
    participants = state.log.participants
    for enterprise, mine in slots.items():
        for epoch in participants.selected_epochs(enterprise):
            selected = participants.selection(enterprise, epoch)
            selection = selected.selection if selected is not None else None
            for overlap_class, excluded in (selection.exclusions if selection else {}).items():
                if any(_stands_in(excluded, slot) for slot in mine):
                    yield {
                        "what": "recorded elsewhere",
                        "enterprise": enterprise,
                        "epoch": format_epoch(epoch),
                        "overlap_class": overlap_class,
                    }


def _stands_in(slots: Sequence[int], slot: int) -> bool:
    """Say whether a slot stands among others, which ascend."""
    place = bisect_left(slots, slot)
    return place < len(slots) and slots[place] == slot


def _missing(
    connection: Connection, state: State, slots: Mapping[str, Sequence[int]]
) -> Iterator[dict[str, Any]]:
    """Name the enterprises of this person that closed epochs are still without."""
    answered = {enterprise: state.answers(enterprise) for enterprise in slots}
    for close in entries.find_entries(connection, Kind.EPOCH_CLOSE.value):
        message = envelope.open_envelope(close.envelope).parse(books_pb2.EpochClose)
        for enterprise in message.missing:
            if enterprise in slots:
                late = Epoch(message.epoch) in answered[enterprise]
                yield {
                    "what": "came late" if late else "missing",
                    "enterprise": enterprise,
                    "epoch": format_epoch(Epoch(message.epoch)),
                }
