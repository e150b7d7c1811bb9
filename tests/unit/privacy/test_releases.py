"""Releases: the fast path is the schema's own encoding, shapes follow from policy and roster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy import chunks, merkle, releases
from privacy.chunks import STATEMENT_ROWS_MAX
from privacy.policy_reading import read_policy
from privacy.releases import BuiltRelease
from protos.problems import Malformed, Problem, Refused
from protos.v1 import envelope_pb2, release_pb2
from protos.v1.problem_pb2 import REASON_BODY_TRUNCATED, REASON_ROSTER_WRONG
from tests.simulator import EPOCH, Federation

POLICY = read_policy(Federation().policy_message(), bytes(32))
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


def release(rows: int) -> BuiltRelease:
    return releases.build_release(
        envelope_pb2.Header(issuer="utility"),
        epoch=EPOCH,
        policy=POLICY,
        reservation_hash=bytes(32),
        roster_root=b"r" * 32,
        active_slots=rows,
        statements={"statement/main": releases.to_raw([row - 5 for row in range(rows)])},
        tables={item.name: range(item.cells or 0) for item in POLICY.series("utility")},
    )


def check(message: release_pb2.Release, rows: int) -> None:
    releases.check_release(message, POLICY, "utility", roster_root=b"r" * 32, active_slots=rows)


@given(st.text(min_size=1, max_size=63), st.integers(0, (1 << 32) - 1), st.lists(INT64, max_size=300))
def test_the_fast_path_is_the_schemas_encoding(measure_id: str, first_row: int, grams: list[int]) -> None:
    if len(measure_id.encode()) > 127:
        return
    message = release_pb2.StatementChunk(measure_id=measure_id, first_row=first_row, grams=grams)
    data = message.SerializeToString(deterministic=True)
    assert releases.encode_statement_chunk(measure_id, first_row, releases.to_raw(grams)) == data
    if grams:
        rows = releases.parse_statement_chunk(data)
        assert (rows.measure_id, rows.first_row, list(rows.grams())) == (measure_id, first_row, grams)
        assert rows.rows == len(grams)


@given(st.binary(max_size=64))
def test_what_parses_is_canonical(data: bytes) -> None:
    try:
        rows = releases.parse_statement_chunk(data)
    except Problem:
        return
    assert releases.encode_statement_chunk(rows.measure_id, rows.first_row, rows.raw) == data


def test_any_byte_of_a_chunks_head_changed_is_another_chunk_or_none() -> None:
    data = releases.encode_statement_chunk("main", 7, releases.to_raw([1, 2]))
    for position in range(len(data)):
        changed = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        try:
            rows = releases.parse_statement_chunk(changed)
        except Problem:
            continue
        assert releases.encode_statement_chunk(rows.measure_id, rows.first_row, rows.raw) == changed


@pytest.mark.parametrize("tail", [b"\0", b"\x1a\x00", b"\x20\x01"])
def test_left_over_bytes_are_refused(tail: bytes) -> None:
    with pytest.raises(Malformed):
        releases.parse_statement_chunk(releases.encode_statement_chunk("main", 7, bytes(8)) + tail)


@pytest.mark.parametrize("rows", [0, 1, 12, STATEMENT_ROWS_MAX, STATEMENT_ROWS_MAX + 1])
def test_a_release_comes_back(rows: int) -> None:
    built = release(rows)
    assert len(built.bodies) == releases.body_count(built.message) == -(-rows // STATEMENT_ROWS_MAX)
    check(built.message, rows)
    releases.check_bodies(built.message, built.bodies)
    grams = [value for body in built.bodies for value in releases.parse_statement_chunk(body).grams()]
    assert grams == [row - 5 for row in range(rows)]


def test_an_empty_statement_has_the_empty_root() -> None:
    assert release(0).message.statements[0].chunks_root == merkle.EMPTY_ROOT == chunks.chunks_root([])


def test_any_byte_of_a_body_changed_fails() -> None:
    built = release(4)
    body = built.bodies[0]
    for position in range(len(body)):
        changed = body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :]
        with pytest.raises(Malformed):
            releases.check_bodies(built.message, [changed])


def test_bodies_cut_or_added_fail() -> None:
    built = release(STATEMENT_ROWS_MAX + 1)
    with pytest.raises(Malformed) as caught:
        releases.check_bodies(built.message, built.bodies[:1])
    assert caught.value.reason == REASON_BODY_TRUNCATED
    for bodies in ([*built.bodies, built.bodies[0]], built.bodies[::-1]):
        with pytest.raises(Malformed):
            releases.check_bodies(built.message, bodies)


def test_another_roster_is_refused() -> None:
    for roster_root, rows in ((b"x" * 32, 4), (b"r" * 32, 5)):
        with pytest.raises(Refused) as caught:
            releases.check_release(
                release(4).message, POLICY, "utility", roster_root=roster_root, active_slots=rows
            )
        assert caught.value.reason == REASON_ROSTER_WRONG


@pytest.mark.parametrize(
    "change",
    [
        lambda message: message.ClearField("statements"),
        lambda message: message.statements.append(message.statements[0]),
        lambda message: setattr(message.statements[0], "measure_id", "other"),
        lambda message: setattr(message.statements[0], "rows", 3),
        lambda message: setattr(message.statements[0], "chunk_rows", 3),
        lambda message: setattr(message.statements[0].claim, "scale", 1),
        lambda message: setattr(message.statements[0].claim.epsilon, "denominator", 7),
        lambda message: message.tables.pop(),
        lambda message: message.tables.reverse(),
        lambda message: message.tables.append(message.tables[0]),
        lambda message: setattr(message.tables[0], "table_id", "domain_methodology_pooled"),
        lambda message: setattr(message.tables[0], "kind", release_pb2.TABLE_KIND_COUNT),
        lambda message: message.tables[0].values.append(1),
        lambda message: message.tables[0].values.pop(),
        lambda message: setattr(message.tables[0].claim, "reach", 1),
    ],
)
def test_shapes_and_claims_are_the_policys(change: Callable[[Any], Any]) -> None:
    message = release(4).message
    change(message)
    with pytest.raises(Problem):
        check(message, 4)
