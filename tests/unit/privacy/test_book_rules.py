"""Closes: they stand on the log's beginning and name who is missing."""

from __future__ import annotations

from privacy import envelope
from privacy.envelope import Kind
from privacy.standing import HUB_ID
from protos.v1 import books_pb2
from protos.v1 import problem_pb2 as reasons
from tests.simulator import EPOCH, closed, enrolled
from tests.unit.privacy.decisions import BIKES, JANUARY, refused


def test_a_close_stands_on_this_logs_beginning() -> None:
    federation = enrolled()
    federation.release(BIKES)
    federation.release("utility")

    def sign(message: books_pb2.EpochClose) -> bytes:
        return federation.signed(Kind.EPOCH_CLOSE, message, HUB_ID)

    message = federation.close_message()
    message.log_root = bytes(32)
    refused(lambda: federation.append(sign(message)), reasons.REASON_HISTORY_INCONSISTENT)
    for size in (0, federation.state.size + 1):
        message = federation.close_message()
        message.log_size = size
        refused(lambda message=message: federation.append(sign(message)), reasons.REASON_EPOCH_NOT_READY)  # type: ignore[misc]
    message = federation.close_message()
    message.accounts_in_two_or_more = message.accounts + 1
    refused(lambda: federation.append(sign(message)), reasons.REASON_WRONG_SHAPE)
    message = federation.close_message()
    refused(
        lambda: federation.append(federation.signed(Kind.EPOCH_CLOSE, message, BIKES)),
        reasons.REASON_ROLE_NOT_ALLOWED,
    )
    federation.append(sign(message))
    refused(federation.close, reasons.REASON_EPOCH_CLOSED)
    refused(lambda: federation.reserve(BIKES), reasons.REASON_ALREADY_RELEASED)


def test_a_closes_sources_give_what_its_claims_were_credited() -> None:
    """Ascending, once each, none of nothing or of a later epoch, and together what ledger R says."""
    federation = enrolled()
    federation.release(BIKES)
    federation.release("utility")
    rides, later, meters = ((BIKES, "a", EPOCH), (BIKES, "a", JANUARY), ("utility", "b", EPOCH))

    def close(*sources: tuple[tuple[str, str, int], int]) -> bytes:
        message = federation.close_message()
        message.ledgers.add(ledger="R", credited=7_000, clawed_back=2_000, root=bytes(32))
        message.system_accounts_root = bytes(32)
        for (enterprise_id, measure_id, epoch), milligrams in sources:
            message.sources.add(
                enterprise_id=enterprise_id, measure_id=measure_id, epoch=epoch, milligrams=milligrams
            )
        return federation.signed(Kind.EPOCH_CLOSE, message, HUB_ID)

    for wrong in (
        (),
        ((rides, 5_001),),
        ((meters, 6_000), (rides, -1_000)),
        ((rides, 2_500), (rides, 2_500)),
        ((rides, 5_000), (meters, 0)),
        ((later, 5_000),),
    ):
        data = close(*wrong)
        refused(lambda data=data: federation.append(data), reasons.REASON_WRONG_SHAPE)  # type: ignore[misc]
    federation.append(close((rides, -1_000), (meters, 6_000)))


def test_a_close_names_exactly_who_is_missing() -> None:
    federation = enrolled()
    federation.release(BIKES)
    message = federation.close_message()
    assert list(message.missing) == ["utility"]
    for missing in ([], ["bike-share", "utility"], ["bike-share"]):
        wrong = federation.close_message()
        wrong.missing[:] = missing
        data = federation.signed(Kind.EPOCH_CLOSE, wrong, HUB_ID)
        refused(lambda data=data: federation.append(data), reasons.REASON_EPOCH_NOT_READY)  # type: ignore[misc]
    federation.append(federation.signed(Kind.EPOCH_CLOSE, message, HUB_ID))


def test_a_release_for_a_closed_epoch_is_taken_once_and_the_close_still_names_who_was_missing() -> None:
    federation = enrolled()
    federation.release(BIKES)
    federation.close()
    federation.release("utility")
    refused(lambda: federation.reserve("utility"), reasons.REASON_ALREADY_RELEASED)
    assert federation.state.missing(EPOCH) == []
    [entry] = [one for one in federation.entries if b"epoch-close" in one.data]
    close = envelope.open_envelope(entry.data).parse(books_pb2.EpochClose)
    assert list(close.missing) == ["utility"]


def test_an_answer_behind_the_closes_log_asks_for_a_newer_close() -> None:
    federation = enrolled()
    federation.release(BIKES)
    message = federation.close_message()
    federation.release("utility")
    data = federation.signed(Kind.EPOCH_CLOSE, message, HUB_ID)
    refused(lambda: federation.append(data), reasons.REASON_EPOCH_NOT_READY)


def test_a_later_close_closes_what_is_before() -> None:
    federation = closed(JANUARY)
    assert federation.state.is_closed(EPOCH)
    refused(lambda: federation.enrol(BIKES, [40]), reasons.REASON_EPOCH_CLOSED)
