"""An export holds offline by the key of whoever must have signed it, and by no other of the trust root."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from auditor.documents import check_document
from privacy import trust
from privacy.exports import ACCOUNT, PERSON, sign_export
from privacy.trust import TrustRoot
from protos.problems import Malformed, Problem, Unverified
from tests.simulator import ORIGIN, Federation, enrolled, key

BIKES, POWER = "bike-share", "utility"
CONTENT: dict[str, Any] = {
    ACCOUNT: {"origin": ORIGIN, "account": "ab" * 16, "epoch": "2020-12", "balance_mg": 7},
    PERSON: {"origin": ORIGIN, "enterprise": BIKES, "records": [{"record": "1"}]},
}


@pytest.fixture(scope="module")
def roots() -> list[TrustRoot]:
    federation: Federation = enrolled()
    return [trust.verify_first(federation.entries[0].data)]


def checked(folder: Path, data: bytes, roots: list[TrustRoot]) -> dict[str, Any]:
    path = folder / "export"
    path.write_bytes(data)
    return check_document(path, roots, now=0).to_json()


@pytest.mark.parametrize(("kind", "signer"), [(ACCOUNT, "hub"), (PERSON, BIKES)])
def test_an_export_holds_as_a_file_and_as_the_portal_answers_it(
    tmp_path: Path, roots: list[TrustRoot], kind: str, signer: str
) -> None:
    data = sign_export(CONTENT[kind], kind, key(signer))
    found = checked(tmp_path, data, roots)
    assert CONTENT[kind].items() <= found.items()
    assert ("7 mg" if kind == ACCOUNT else "1 records") in found["sentence"]
    answered = json.dumps({"account": {}, "export": base64.b64encode(data).decode()}).encode()
    assert checked(tmp_path, answered, roots) == found
    for at in range(0, len(data), 5):
        with pytest.raises(Problem):
            checked(tmp_path, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], roots)


@pytest.mark.parametrize(
    ("kind", "signer", "changes"),
    [
        (ACCOUNT, BIKES, {}),
        (PERSON, "hub", {}),
        (PERSON, POWER, {}),
        (PERSON, POWER, {"enterprise": "nobody"}),
        (ACCOUNT, "hub", {"origin": "elsewhere.example/log"}),
    ],
)
def test_nobody_signs_in_anothers_place(
    tmp_path: Path, roots: list[TrustRoot], kind: str, signer: str, changes: dict[str, str]
) -> None:
    with pytest.raises(Unverified):
        checked(tmp_path, sign_export(CONTENT[kind] | changes, kind, key(signer)), roots)


def test_what_is_no_export_is_malformed(tmp_path: Path, roots: list[TrustRoot]) -> None:
    for data in (
        b"",
        b"\xff",
        sign_export({}, "application/vnd.cgsp.other.v1+json", key("hub")),
        sign_export([1], ACCOUNT, key("hub")),
    ):
        with pytest.raises(Malformed):
            checked(tmp_path, data, roots)
