"""A byte changed anywhere in an exported bundle gives a finding that names the place."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditor.app import verify_source
from auditor.findings import Verdict
from tests.system.small_federation import SmallFederation

pytestmark = pytest.mark.system

# Of each file the first, last and some bytes between are changed, one at a time.
PLACES_PER_FILE = 5
# The checkpoint is one file of many lines, each signed by somebody else.
PLACES_PER_CHECKPOINT = 25
# What names the object: the file itself, or the entry whose body it is.
BODIES = "bodies"


@pytest.fixture(scope="module")
def bundle(federation: SmallFederation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copied = tmp_path_factory.mktemp("bundle") / "copy"
    shutil.copytree(federation.layout.bundle, copied)
    return copied


def files_of(bundle: Path) -> list[Path]:
    """Every kind of file, of bodies one for each entry that has any."""
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    bodies = {path.name.split("-")[0]: path for path in files if path.parent.parent.name == BODIES}
    return [path for path in files if path.parent.parent.name != BODIES] + list(bodies.values())


def places(path: Path) -> Iterator[int]:
    size = path.stat().st_size
    steps = (PLACES_PER_CHECKPOINT if path.name == "checkpoint" else PLACES_PER_FILE) - 1
    yield from sorted({size * part // steps for part in range(steps)} | {size - 1})


def named_by(path: Path, bundle: Path) -> set[str]:
    """The words by which a finding can name this file."""
    name = str(path.relative_to(bundle))
    return {name, f"entry {path.name.split('-')[0]}"} if BODIES in name else {name}


def test_untouched_bundle_passes(federation: SmallFederation, bundle: Path) -> None:
    assert verify_source(str(bundle), federation.layout.trust_root, None).verdict is Verdict.PASS


def test_flipped_byte_is_found_and_named(federation: SmallFederation, bundle: Path) -> None:
    for path in files_of(bundle):
        original = path.read_bytes()
        for place in places(path) if original else ():
            path.write_bytes(original[:place] + bytes([original[place] ^ 0x01]) + original[place + 1 :])
            report = verify_source(str(bundle), federation.layout.trust_root, None)
            assert report.verdict is Verdict.FINDINGS, f"{path}, byte {place}"
            told = " ".join(f"{one.place} {one.message}" for one in report.results.findings)
            assert any(name in told for name in named_by(path, bundle)), f"{path}, byte {place}: {told}"
        path.write_bytes(original)


@pytest.mark.parametrize("pattern", ["checkpoint", "tile/entries/*", "tile/0/*", "bodies/*/*"])
def test_missing_file_is_never_a_pass(federation: SmallFederation, tmp_path: Path, pattern: str) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(federation.layout.bundle, copied)
    victim = next(path for path in sorted(copied.glob(f"{pattern}*")) if path.is_file() or path.is_dir())
    shutil.rmtree(victim) if victim.is_dir() else victim.unlink()
    assert verify_source(str(copied), federation.layout.trust_root, None).verdict is not Verdict.PASS
