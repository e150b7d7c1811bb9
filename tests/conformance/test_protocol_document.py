"""docs/protocol.md says of every field that travels its tag, name and width, as the schemas have it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from privacy.envelope import Kind
from privacy.kinds import DOCUMENTS, SEQUENCED, WITH_BODIES
from privacy.standing import Role
from protos.v1 import (
    account_pb2,
    books_pb2,
    commitment_pb2,
    custodian_pb2,
    envelope_pb2,
    evidence_pb2,
    hub_pb2,
    ledger_pb2,
    operations_pb2,
    policy_pb2,
    programme_pb2,
    release_pb2,
    reward_pb2,
    roster_pb2,
    trust_pb2,
)
from protos.v1.problem_pb2 import Reason
from protos.wording import REASONS_ZH
from runtime.problems import outcome, reason_name

SIGNERS = {Role.ENTERPRISE: "the enterprise", Role.CUSTODIAN: "the custodian", Role.HUB: "the hub"}
DOCUMENT = Path(__file__).parents[2] / "docs" / "protocol.md"
MODULES = (
    envelope_pb2,
    commitment_pb2,
    roster_pb2,
    release_pb2,
    custodian_pb2,
    books_pb2,
    ledger_pb2,
    policy_pb2,
    trust_pb2,
    evidence_pb2,
    programme_pb2,
    reward_pb2,
    account_pb2,
    operations_pb2,
)
# What enterprises, custodians and auditors ask the hub; its other messages stay with the operator.
ASKED_OF_THE_HUB = ("Submit", "GetChain", "ReadBodies")

_WIRE_TYPES = {
    FieldDescriptor.TYPE_FIXED32: (5, "4"),
    FieldDescriptor.TYPE_FIXED64: (1, "8"),
    FieldDescriptor.TYPE_SFIXED64: (1, "8"),
    FieldDescriptor.TYPE_ENUM: (0, "1"),
    FieldDescriptor.TYPE_BOOL: (0, "1"),
}
_LENGTH_DELIMITED = 2


def messages() -> list[Descriptor]:
    all_messages = [
        message for module in MODULES for message in module.DESCRIPTOR.message_types_by_name.values()
    ]
    all_messages += [
        message
        for message in hub_pb2.DESCRIPTOR.message_types_by_name.values()
        if message.name.startswith(ASKED_OF_THE_HUB)
    ]
    # A status call carries nothing that is signed or kept; an empty request nothing at all.
    return [message for message in all_messages if "GetStatus" not in message.name and message.fields]


def tag(field: FieldDescriptor) -> str:
    wire, _ = _WIRE_TYPES.get(field.type, (_LENGTH_DELIMITED, ""))
    number = field.number << 3 | (_LENGTH_DELIMITED if field.is_repeated else wire)
    return f"`0x{number:02x}`" if number < 128 else f"`0x{number & 127 | 128:02x} 0x{number >> 7:02x}`"


def rows_behind(start: str) -> list[list[str]]:
    """Give the rows of the table whose heading begins so."""
    lines = (start + DOCUMENT.read_text("utf-8").split(start)[1]).split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def table_of(name: str) -> list[list[str]]:
    _, found, text = DOCUMENT.read_text("utf-8").partition(f"**{name}**\n\n")
    assert found, f"docs/protocol.md has no table of {name}"
    lines = text.split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("message", messages(), ids=lambda message: message.name)
def test_document_agrees_with_schema(message: Descriptor) -> None:
    rows = table_of(message.name)
    assert [(row[0], row[1]) for row in rows] == [(tag(field), field.name) for field in message.fields]
    for row, field in zip(rows, message.fields, strict=True):
        _, width = _WIRE_TYPES.get(field.type, (_LENGTH_DELIMITED, ""))
        if width:
            assert re.match(rf"{width}( |$)", row[3]), f"{message.name}.{field.name} is {width} bytes wide"
        if field.type == FieldDescriptor.TYPE_BYTES and not field.is_repeated:
            assert row[3], f"{message.name}.{field.name} says no width"


def test_every_kind_is_listed_with_its_message_its_signer_and_its_bodies() -> None:
    listed = {row[0]: row[1:] for row in rows_behind("| kind | payload |")}
    assert set(listed) == {kind.value for kind in Kind}
    for kind, (role, message, _) in SEQUENCED.items():
        payload, signer, bodies = listed[kind.value]
        assert payload == message.DESCRIPTOR.name
        assert signer.startswith(SIGNERS[role])
        assert (bodies == "–") == (kind not in WITH_BODIES)
    for kind, (message, _, _) in DOCUMENTS.items():
        payload, signer, bodies = listed[kind.value]
        assert payload == message.DESCRIPTOR.name and signer.endswith("policy keys")
        assert (bodies == "–") == (kind not in WITH_BODIES)
    logged = {kind.value for kind in (Kind.TRUST_ROOT, *SEQUENCED, *DOCUMENTS)}
    assert {name for name, row in listed.items() if "(not logged)" not in row[2]} - logged == {"link-ticket"}


def test_every_reason_is_in_the_table_with_its_outcome_and_words() -> None:
    rows = [
        f"| {number} | {reason_name(number)} | {row.grpc_status} | {row.http_status} | {row.exit_code} "
        f"| {REASONS_ZH[number].sentence} |"
        for number in sorted(Reason.values())
        for row in [outcome(number)]
    ]
    told = DOCUMENT.read_text().partition("## Problems")[2].partition("\n## ")[0]
    assert [line for line in told.splitlines() if re.match(r"\| \d", line)] == rows
