"""Marked identifiers and values planted in raw data are nowhere in what left the nodes, in no form."""

from __future__ import annotations

import base64
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system import canaries
from tests.system.small_federation import MARKED, MARKED_METER_MOBILE, MARKED_RIDER_MOBILE, SmallFederation

pytestmark = pytest.mark.system

PLANTED: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "hex": lambda value: value.hex().encode(),
    "base64": base64.b64encode,
    "base64 one byte in": lambda value: base64.b64encode(b"x" + value),
    "base64 two bytes in": lambda value: base64.b64encode(b"xy" + value + b"z"),
    "sha256": lambda value: hashlib.sha256(value).digest(),
    "sha256 hex": lambda value: hashlib.sha256(value).hexdigest().encode(),
    "sha1 base64": lambda value: base64.b64encode(b"x" + hashlib.sha1(value).digest()),
    "md5 hex": lambda value: hashlib.md5(value).hexdigest().encode(),
}


def left_the_nodes(federation: SmallFederation) -> list[Path]:
    """Everything of everybody else, and what the nodes wrote where others read: logs and standard output."""
    layout = federation.layout
    return [
        layout.hub,
        layout.home / "custodians",
        layout.auditor,
        layout.bundle,
        layout.handed_over,
        layout.logs,
    ]


def test_nothing_planted_left(federation: SmallFederation) -> None:
    folders = left_the_nodes(federation)
    assert all(any(path.is_file() for path in folder.rglob("*")) for folder in folders)
    assert canaries.search(folders, canaries.needles(MARKED)) == []


def test_values_are_in_the_raw_files(federation: SmallFederation) -> None:
    plain = [needle for needle in canaries.needles(MARKED[3:5]) if needle.form == "plain"]
    assert {sighting.value for sighting in canaries.search([federation.layout.raw], plain)} == set(
        MARKED[3:5]
    )


@pytest.mark.parametrize("form", PLANTED)
def test_search_finds_what_is_planted(federation: SmallFederation, tmp_path: Path, form: str) -> None:
    copied = tmp_path / "log"
    shutil.copytree(federation.layout.bundle, copied)
    victim = max(copied.rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    content = victim.read_bytes()
    middle = len(content) // 2
    planted = PLANTED[form](MARKED_RIDER_MOBILE.encode())
    victim.write_bytes(content[:middle] + planted + content[middle:])
    found = canaries.search([copied], canaries.needles(MARKED))
    assert {(sighting.path, sighting.value) for sighting in found} == {(victim, MARKED_RIDER_MOBILE)}


def test_registers_and_state_of_nodes_hold_no_identifier_in_plain(federation: SmallFederation) -> None:
    nodes = federation.layout.home / "nodes"
    mobiles = [value for value in MARKED if MARKED_RIDER_MOBILE in value or MARKED_METER_MOBILE in value]
    assert canaries.search([nodes], canaries.needles(mobiles)) == []
