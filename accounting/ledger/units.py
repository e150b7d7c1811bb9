"""Tonnes: issued from a programme's pool, sold, used or cancelled; claims and units move together.

What the pooled cells hold is not in the books: whoever asks to issue says it, and hub and auditor hold it
against the log. Everything else of a batch is decided here.
"""

from __future__ import annotations

import datetime

from accounting import issuance
from accounting.issuance import MG_PER_TONNE, Claims, Issue, Pooled
from accounting.ledger import chart, stakes
from accounting.ledger.books import Batch, Books, Decision, Outcome
from accounting.ledger.queueing import serve
from accounting.ledger.redeeming import passed
from accounting.ledger.transfers import Code, Transfer, moved
from accounting.programmes.issue_rules import FUND, PARTICIPANTS, IssueRule
from accounting.programmes.programme import Programme
from accounting.programmes.words import WHOLE_BASIS_POINTS
from protos.epochs import Epoch, checked_epoch, format_epoch, next_epoch
from protos.problems import Conflict, Malformed, Refused
from protos.v1 import ledger_pb2
from protos.v1.problem_pb2 import (
    REASON_ALREADY_EXISTS,
    REASON_EPOCH_NOT_READY,
    REASON_NOTHING_TO_ISSUE,
    REASON_OFFSET_CAP_EXCEEDED,
    REASON_PROGRAMME_UNKNOWN,
    REASON_UNKNOWN_FIELD_VALUE,
)

COMPLIANCE, VOLUNTARY = "compliance", "voluntary"
FEN_MAX = 10**15
NAME_CHARACTERS_MAX = 128
_CHINA = datetime.timezone(datetime.timedelta(hours=8))


def issue(books: Books, operation: ledger_pb2.Operation) -> Decision:
    """Move a pool's claims behind whole tonnes; every figure of the message must be the books' own."""
    asked = operation.issue
    programme, rule = _rule(books, asked.programme, asked.programme_version, asked.rule)
    if issuing(books, programme.id, Epoch(asked.last_epoch)) != programme:
        raise Refused(REASON_PROGRAMME_UNKNOWN, f"Another version of {programme.id} is in force.")
    pooled = Pooled(asked.pooled_grams, asked.variance_grams2)
    expected = batch_message(books, programme, asked.rule, checked_epoch(asked.last_epoch), pooled)
    if asked != expected:
        names = [field.name for field in asked.DESCRIPTOR.fields if _differs(asked, expected, field.name)]
        raise Refused(REASON_NOTHING_TO_ISSUE, f"The books give other figures: {', '.join(names)}.")
    tonnes = asked.issued_tonnes + asked.buffer_tonnes
    pool = chart.pool(programme.id)
    transfers = [
        *moved(asked.issued_tonnes * MG_PER_TONNE, pool, chart.issued(asked.batch), Code.ISSUE),
        *moved(asked.buffer_tonnes * MG_PER_TONNE, pool, chart.claims_buffer(programme.id), Code.ISSUE),
        *_units(asked, chart.units_hold(asked.batch), asked.issued_tonnes),
        *_units(asked, chart.units_buffer(asked.batch), asked.buffer_tonnes),
    ]
    return Decision(
        Outcome(milligrams=tonnes * MG_PER_TONNE),
        tuple(transfers),
        counts={_serials(rule.registry): tonnes},
        batch=batch_of(asked, rule),
    )


def sell(books: Books, operation: ledger_pb2.Operation) -> Decision:
    """Sell units of a batch; the proceeds go where the programme says, to the last fen.

    What is for the participants and no grams of theirs brought goes into the fund with the rest.
    """
    asked = operation.sell
    batch = _batch(books, asked.programme, asked.batch)
    programme, rule = _rule(books, batch.programme, batch.version, batch.rule)
    _check_tonnes(asked.tonnes, asked.buyer)
    if not 1 <= asked.fen <= FEN_MAX:
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, f"A price is 1 to {FEN_MAX} fen.")
    hold = chart.units_hold(batch.name)
    _check_there(books.balance(hold).of(hold), asked.tonnes, "are for sale")
    source = chart.money_source(f"sale:{batch.name}")
    shares = issuance.split(asked.fen, rule.proceeds_split_bp)
    theirs, counts = stakes.sold(books, batch, shares.pop(PARTICIPANTS, 0))
    into_fund = asked.fen - theirs - sum(share for name, share in shares.items() if name != FUND)
    served = serve(books, programme.id, operation.at, gained={rule.proceeds_fund: into_fund})
    transfers = [
        *moved(asked.tonnes, hold, chart.units_sold(batch.name, asked.buyer), Code.SELL),
        *moved(into_fund, source, chart.fund(programme.id, rule.proceeds_fund), Code.SELL),
        *moved(theirs, source, stakes.account_of(programme.id), Code.SELL),
        *served.transfers,
    ]
    for name, share in sorted(shares.items()):
        if name != FUND:
            transfers += moved(share, source, chart.fee(name), Code.SELL)
    return Decision(
        Outcome(fen=asked.fen),
        tuple(transfers),
        counts=served.counted_with(counts),
        funded=served.orders,
    )


def retire(books: Books, operation: ledger_pb2.Operation) -> Decision:
    """Use a buyer's units; against an obligation only within the programme's caps, by calendar year.

    Without a buyer the operator retires what is for sale: for nobody's obligation, and nobody is paid.
    """
    asked = operation.retire
    batch = _batch(books, asked.programme, asked.batch)
    _, rule = _rule(books, batch.programme, batch.version, batch.rule)
    if not asked.buyer:
        return _retire_unsold(books, batch, asked)
    _check_tonnes(asked.tonnes, asked.buyer)
    sold = chart.units_sold(batch.name, asked.buyer)
    _check_there(books.balance(sold).of(sold), asked.tonnes, "are the buyer's")
    counts: dict[str, int] = {}
    if asked.purpose == COMPLIANCE:
        _check_offset(books, rule, asked, operation.at)
        counts = dict.fromkeys(_offsets(rule, asked.buyer, operation.at), asked.tonnes)
    elif asked.purpose != VOLUNTARY:
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, f"Units are used for {COMPLIANCE} or {VOLUNTARY}.")
    transfers = moved(asked.tonnes, sold, chart.units_retired(batch.name, asked.buyer), Code.RETIRE)
    return Decision(Outcome(milligrams=asked.tonnes * MG_PER_TONNE), tuple(transfers), counts=counts)


def _retire_unsold(books: Books, batch: Batch, asked: ledger_pb2.Retire) -> Decision:
    if asked.purpose != VOLUNTARY or asked.obligation_tonnes or asked.tonnes < 1:
        raise Malformed(
            REASON_UNKNOWN_FIELD_VALUE, "Whole tonnes that nobody bought are retired, and for no obligation."
        )
    hold = chart.units_hold(batch.name)
    _check_there(books.balance(hold).of(hold), asked.tonnes, "are for sale")
    transfers = moved(asked.tonnes, hold, chart.units_retired(batch.name, ""), Code.RETIRE)
    return Decision(Outcome(milligrams=asked.tonnes * MG_PER_TONNE), tuple(transfers))


def cancel_units(books: Books, operation: ledger_pb2.Operation) -> Decision:
    """End units that should not have been issued: the buffer's first, then those for sale."""
    asked = operation.cancel_units
    batch = _batch(books, asked.programme, asked.batch)
    if not 1 <= len(asked.reason) <= NAME_CHARACTERS_MAX or asked.tonnes < 1:
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, "Whole tonnes are cancelled, and for a reason.")
    hold, buffer = chart.units_hold(batch.name), chart.units_buffer(batch.name)
    from_buffer = min(asked.tonnes, books.balance(buffer).of(buffer))
    from_hold = asked.tonnes - from_buffer
    _check_there(books.balance(hold).of(hold) + from_buffer, asked.tonnes, "are in the buffer or for sale")
    ended, gone = chart.units_cancelled(batch.name), chart.retired("cancelled")
    transfers = [
        *moved(from_buffer, buffer, ended, Code.CANCEL_UNITS),
        *moved(from_hold, hold, ended, Code.CANCEL_UNITS),
        *moved(from_buffer * MG_PER_TONNE, chart.claims_buffer(batch.programme), gone, Code.CANCEL_UNITS),
        *moved(from_hold * MG_PER_TONNE, chart.issued(batch.name), gone, Code.CANCEL_UNITS),
    ]
    return Decision(Outcome(milligrams=asked.tonnes * MG_PER_TONNE), tuple(transfers))


def batch_message(
    books: Books, programme: Programme, name: str, last: Epoch, pooled: Pooled
) -> ledger_pb2.IssuedBatch:
    """Reckon the batch a rule of a programme gives now; raises Refused where nothing is to be issued."""
    rule = programme.issue[name]
    pool_first, first = _epochs(books, programme, name, last)
    deducted = issuance.deduct(pooled, rule)
    claims = _claims(books, programme, rule)
    supported = issuance.supported_mg(pooled, deducted, claims)
    made: Issue = issuance.issue(supported, buffer_basis_points=rule.buffer_bp, tonnes_min=rule.min_tonnes)
    return ledger_pb2.IssuedBatch(
        programme=programme.id,
        programme_version=programme.version,
        rule=name,
        batch=f"{programme.id}/{name}/{format_epoch(last)}",
        pool_epoch=pool_first,
        first_epoch=first,
        last_epoch=last,
        pooled_grams=pooled.grams,
        variance_grams2=pooled.variance_grams2,
        deduction_grams=deducted.deduction_grams,
        duplicates_grams=deducted.duplicates_grams,
        pool_milligrams=claims.pool_mg,
        passed_milligrams=claims.passed_mg,
        issued_before_milligrams=claims.issued_before_mg,
        issued_tonnes=made.issued_tonnes,
        buffer_tonnes=made.buffer_tonnes,
        first_serial=books.count(_serials(rule.registry)) + 1,
    )


def issuing(books: Books, programme: str, last: Epoch) -> Programme | None:
    """Give the version that issues: the one in force, or of an ended programme the one of the last epoch."""
    return books.in_force(programme) or books.in_force(programme, last)


def pool_epoch(books: Books, programme: Programme, name: str) -> Epoch:
    """Give the first epoch of a rule's pool: its first batch's, else the programme's."""
    mine = batches_of(books, programme.id, name)
    return mine[0].pool_epoch if mine else programme.first


def batches_of(books: Books, programme: str, rule: str) -> list[Batch]:
    """List a rule's batches, oldest first."""
    return [one for one in books.batches() if (one.programme, one.rule) == (programme, rule)]


def batch_of(message: ledger_pb2.IssuedBatch, rule: IssueRule) -> Batch:
    """Keep of a batch what later decisions read."""
    return Batch(
        name=message.batch,
        programme=message.programme,
        version=message.programme_version,
        rule=message.rule,
        pool_epoch=Epoch(message.pool_epoch),
        last_epoch=Epoch(message.last_epoch),
        cells=frozenset((one, pack) for one in rule.enterprises for pack in rule.packs),
        tonnes=message.issued_tonnes + message.buffer_tonnes,
        first_serial=message.first_serial,
        pool_mg=message.pool_milligrams,
    )


def _epochs(books: Books, programme: Programme, name: str, last: Epoch) -> tuple[Epoch, Epoch]:
    """Give the pool's first epoch and the batch's; a batch follows the one before, over closed epochs."""
    if last >= books.epoch:
        raise Refused(
            REASON_EPOCH_NOT_READY, f"{format_epoch(last)} is not closed; only closed epochs are issued from."
        )
    mine = batches_of(books, programme.id, name)
    if mine and last <= mine[-1].last_epoch:
        raise Conflict(REASON_ALREADY_EXISTS, f"{format_epoch(last)} is in batch {mine[-1].name}.")
    first = next_epoch(mine[-1].last_epoch) if mine else programme.first
    if last < first:
        raise Refused(REASON_NOTHING_TO_ISSUE, f"The programme begins at {format_epoch(first)}.")
    return (mine[0].pool_epoch if mine else first), first


def _claims(books: Books, programme: Programme, rule: IssueRule) -> Claims:
    """Give the claims behind a pool; batches that share a cell of it were issued from it too."""
    pool = chart.pool(programme.id)
    cells = {(one, pack) for one in rule.enterprises for pack in rule.packs}
    before = sum(one.tonnes for one in books.batches() if one.cells & cells)
    return Claims(
        pool_mg=books.balance(pool).of(pool),
        passed_mg=books.count(passed(programme.id)),
        issued_before_mg=before * MG_PER_TONNE,
    )


def _units(batch: ledger_pb2.IssuedBatch, target: chart.LedgerAccount, tonnes: int) -> list[Transfer]:
    return moved(tonnes, chart.units_issuer(batch.batch), target, Code.ISSUE)


def _rule(books: Books, programme_id: str, version: int, name: str) -> tuple[Programme, IssueRule]:
    programme = books.programme(programme_id, version)
    if programme is None or name not in programme.issue:
        raise Refused(
            REASON_PROGRAMME_UNKNOWN,
            f"Version {version} of programme {programme_id} issues nothing as {name}.",
        )
    return programme, programme.issue[name]


def _batch(books: Books, programme: str, name: str) -> Batch:
    for one in books.batches():
        if (one.programme, one.name) == (programme, name):
            return one
    raise Refused(REASON_PROGRAMME_UNKNOWN, f"Programme {programme} has issued no batch {name}.")


def _check_tonnes(tonnes: int, buyer: str) -> None:
    if tonnes < 1 or not 1 <= len(buyer) <= NAME_CHARACTERS_MAX or ":" in buyer or not buyer.isprintable():
        raise Malformed(
            REASON_UNKNOWN_FIELD_VALUE,
            f"Whole tonnes have a buyer of 1 to {NAME_CHARACTERS_MAX} printable characters without a colon.",
        )


def _check_there(there: int, tonnes: int, what: str) -> None:
    if tonnes > there:
        raise Refused(REASON_NOTHING_TO_ISSUE, f"{there} tonnes of the batch {what}, not {tonnes}.")


def _check_offset(books: Books, rule: IssueRule, asked: ledger_pb2.Retire, at: int) -> None:
    mine, everybody = _offsets(rule, asked.buyer, at)
    share, most = rule.offset.obligation_basis_points, rule.offset.year_tonnes_max
    if share and (books.count(mine) + asked.tonnes) * WHOLE_BASIS_POINTS > asked.obligation_tonnes * share:
        raise Refused(
            REASON_OFFSET_CAP_EXCEEDED,
            f"A buyer surrenders at most {share} of {WHOLE_BASIS_POINTS} of its obligation in this way.",
        )
    if most and books.count(everybody) + asked.tonnes > most:
        raise Refused(REASON_OFFSET_CAP_EXCEEDED, f"All buyers together surrender at most {most} t a year.")


def _offsets(rule: IssueRule, buyer: str, at: int) -> tuple[str, str]:
    """Name the counters of a year's surrendered tonnes: the buyer's, and everybody's."""
    year = datetime.datetime.fromtimestamp(at, _CHINA).year
    return f"offset:{rule.registry}:{year}:{buyer}", f"offset:{rule.registry}:{year}"


def _serials(registry: str) -> str:
    return f"serial:{registry}"


def _differs(one: ledger_pb2.IssuedBatch, other: ledger_pb2.IssuedBatch, name: str) -> bool:
    return bool(getattr(one, name) != getattr(other, name))
