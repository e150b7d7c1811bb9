"""What participants chose about pooling: the latest word holds, and every word once said is remembered."""

from __future__ import annotations

from privacy.choices import Choices
from protos.epochs import Epoch
from protos.v1 import programme_pb2

ANNA, BERT = b"a" * 16, b"b" * 16
JANUARY, MARCH, MAY = Epoch(202101), Epoch(202103), Epoch(202105)


def pooling(account: bytes, programme: str, *, consents: bool) -> programme_pb2.Choice:
    choice = programme_pb2.Choice(account=account)
    choice.pool.programme, choice.pool.consents = programme, consents
    return choice


def test_who_ever_let_a_programme_pool_is_named_also_after_taking_it_back() -> None:
    choices = Choices()
    choices.take(pooling(ANNA, "city", consents=True), MARCH)
    choices.take(pooling(ANNA, "city", consents=False), MAY)
    choices.take(pooling(ANNA, "forest", consents=False), MAY)
    assert not choices.consents(ANNA, "city", MAY)
    assert choices.ever_consented(ANNA, JANUARY) == frozenset()
    assert choices.ever_consented(ANNA, MARCH) == choices.ever_consented(ANNA, MAY) == {"city"}
    assert choices.ever_consented(BERT, MAY) == frozenset()
