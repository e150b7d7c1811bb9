from __future__ import annotations

import pytest

from privacy import codec, journal, merkle
from privacy.envelope import Kind
from privacy.journal import JournalRows, build_segment
from privacy.standing import HUB_ID, Role
from privacy.tickets import pseudonym_in
from protos.problems import Problem
from protos.v1 import books_pb2, ledger_pb2
from protos.v1 import problem_pb2 as reasons
from tests.simulator import EPOCH, Federation, account, closed, enrolled, pseudonym
from tests.unit.hub.operations import asked, gift, reserve
from tests.unit.privacy.decisions import refused


def operation(number: int) -> bytes:
    act = ledger_pb2.Operation(key=bytes([number]) * 16, at=1_610_000_000 + number)
    act.void.why = "nothing"
    return codec.encode(act)


def segment(federation: Federation, first: int, count: int) -> tuple[bytes, list[bytes]]:
    operations = [operation(number) for number in range(first, first + count)]
    built = build_segment(federation.header(Role.HUB, HUB_ID), first, operations)
    return federation.signed(Kind.JOURNAL_SEGMENT, built.message, HUB_ID), built.bodies


def refused_segment(federation: Federation, data: bytes, bodies: list[bytes]) -> None:
    refused(lambda: federation.append(data, bodies), reasons.REASON_SEQUENCE_SKIPPED)


def test_segments_number_the_operations_without_gaps() -> None:
    federation = enrolled()
    for first, count in ((0, 3), (3, 1), (4, 2)):
        admission = federation.append(*segment(federation, first, count))
        assert isinstance(admission.rows, JournalRows)
        assert admission.rows.first == first
        assert len(admission.rows.operations) == count
    assert federation.state.operations == 6
    for first in (5, 7, 0):
        data, bodies = segment(federation, first, 2)
        refused_segment(federation, data, bodies)


def test_a_segment_without_its_body_is_taken_as_unchecked() -> None:
    federation = enrolled()
    data, _ = segment(federation, 0, 2)
    admission = federation.state.check(data, None)
    assert not admission.bodies_checked
    assert admission.rows is None


def test_an_empty_or_too_long_segment_is_malformed() -> None:
    federation = enrolled()
    for count in (0, journal.OPERATIONS_MAX + 1):
        message = ledger_pb2.JournalSegment(
            header=federation.header(Role.HUB, HUB_ID), count=count, operations_root=bytes(32)
        )
        data = federation.signed(Kind.JOURNAL_SEGMENT, message, HUB_ID)
        refused(lambda data=data: federation.append(data, []), reasons.REASON_WRONG_SHAPE)  # type: ignore[misc]


def test_every_changed_byte_of_a_segments_body_is_found() -> None:
    built = build_segment(enrolled().header(Role.HUB, HUB_ID), 4, [operation(4), operation(5)])
    [body] = built.bodies
    assert journal.check_bodies(built.message, [body]).first == 4
    for position in range(len(body)):
        changed = bytearray(body)
        changed[position] ^= 1
        with pytest.raises(Problem):
            journal.check_bodies(built.message, [bytes(changed)])
    with pytest.raises(Problem):
        journal.check_bodies(built.message, [])


def test_an_operation_that_is_none_is_malformed_though_the_segment_signs_it() -> None:
    header = enrolled().header(Role.HUB, HUB_ID)
    for junk in (b"\xff", operation(1) + b"\x08\x01", b"\x0a" + b"\x7f" * 3_000):
        message = ledger_pb2.JournalSegment(header=header, count=1, operations_root=merkle.root([junk]))
        with pytest.raises(Problem):
            journal.check_bodies(message, [codec.encode(ledger_pb2.JournalChunk(operations=[junk]))])


def close_with(federation: Federation, **changes: object) -> books_pb2.EpochClose:
    message = federation.close_message(EPOCH)
    ledgers = [books_pb2.EpochClose().ledgers.add(ledger="R", root=merkle.EMPTY_ROOT)]
    changes = {"operations": federation.state.operations, "ledgers": ledgers} | changes
    message.MergeFrom(books_pb2.EpochClose(system_accounts_root=merkle.EMPTY_ROOT, **changes))  # type: ignore[arg-type]
    return message


def test_a_close_stands_on_every_operation_before_it() -> None:
    federation = enrolled()
    for one in federation.enterprises:
        federation.release(one.id)
    federation.append(*segment(federation, 0, 2))
    for operations in (0, 1, 3):
        data = federation.signed(Kind.EPOCH_CLOSE, close_with(federation, operations=operations), HUB_ID)
        refused(lambda data=data: federation.append(data), reasons.REASON_EPOCH_NOT_READY)  # type: ignore[misc]
    federation.append(federation.signed(Kind.EPOCH_CLOSE, close_with(federation), HUB_ID))


@pytest.mark.parametrize("names", [[], ["P:trees"], ["R", "P:trees"], ["R", "R"], ["P:b", "P:a", "R"]])
def test_a_close_names_its_ledgers_in_order_once_there_are_operations(names: list[str]) -> None:
    federation = enrolled()
    for one in federation.enterprises:
        federation.release(one.id)
    federation.append(*segment(federation, 0, 1))
    ledgers = [ledger_pb2.LedgerClose(ledger=name, root=merkle.EMPTY_ROOT) for name in names]
    data = federation.signed(Kind.EPOCH_CLOSE, close_with(federation, ledgers=ledgers), HUB_ID)
    refused(lambda: federation.append(data), reasons.REASON_WRONG_SHAPE)


def test_a_log_from_before_there_were_ledgers_still_holds() -> None:
    assert closed(EPOCH).state.is_closed(EPOCH)


def test_a_root_holds_after_a_ticket_was_erased() -> None:
    federation = enrolled()
    mine = codec.encode(asked(federation, reserve(1, account(3))))
    other = codec.encode(asked(federation, gift(2, account(4), account(5), 1)))
    built = build_segment(federation.header(Role.HUB, HUB_ID), 0, [mine, other, operation(3)])
    gone = pseudonym(3)
    [body] = built.bodies
    erased = journal.erase(body, lambda ticket: pseudonym_in(ticket) == gone)
    assert gone in body
    assert gone not in erased
    assert len(erased) == len(body)
    assert journal.erase(erased, lambda ticket: pseudonym_in(ticket) == gone) == erased
    rows = journal.check_bodies(built.message, [erased])
    assert rows.operations[1:] == (other, operation(3))
    left = ledger_pb2.Operation.FromString(rows.operations[0])
    refused(lambda: federation.state.participants.check_asked(left), reasons.REASON_MALFORMED_MESSAGE)


def test_a_segment_with_another_ticket_is_not_the_one_signed() -> None:
    federation = enrolled()
    one, other = (codec.encode(asked(federation, reserve(1, account(3)))) for _ in range(2))
    assert one != other
    built = build_segment(federation.header(Role.HUB, HUB_ID), 0, [one])
    swapped = codec.encode(ledger_pb2.JournalChunk(operations=[other]))
    refused(lambda: journal.check_bodies(built.message, [swapped]), reasons.REASON_BODY_MISMATCH)
