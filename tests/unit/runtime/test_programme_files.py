"""The programmes that come with the program are read, hold together, and say where their figures are from."""

from __future__ import annotations

from pathlib import Path

import pytest

from accounting.programmes.eligibility import check_conditions
from accounting.programmes.parse import parse_canonical
from accounting.programmes.rewards import RewardKind
from engine.eligibility import CelConditions
from protos.problems import Malformed, Unavailable
from runtime.pack_files import installed
from runtime.programme_files import installed_programmes, load_programme

INSTALLED = installed_programmes()
CONDITIONS = CelConditions()


@pytest.mark.parametrize("programme_id", sorted(INSTALLED))
def test_an_installed_programme_is_whole(programme_id: str) -> None:
    path = INSTALLED[programme_id]
    found = load_programme(path.parent)
    assert (found.id, str(found.version)) == (programme_id, path.parent.name)
    assert parse_canonical(found.canonical_bytes()) == load_programme(path)
    check_conditions(found, CONDITIONS)
    assert found.cited.source
    named = {pack for rule in found.issue.values() for pack in rule.packs}
    named |= {pack for rule in found.earn.values() for pack in rule.match.packs}
    assert all(installed(pack).is_dir() for pack in named)


def test_the_five_programmes_show_all_five_kinds() -> None:
    assert len(INSTALLED) == 5
    kinds = {one.kind for path in INSTALLED.values() for one in load_programme(path).rewards.values()}
    assert kinds == set(RewardKind)


def test_a_fault_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "programme.toml").write_text('id = "x"\nversion = 0\n', encoding="utf-8")
    with pytest.raises(Malformed, match=r"programme\.toml, line 2, key version"):
        load_programme(tmp_path)
    with pytest.raises((Malformed, Unavailable)):
        load_programme(tmp_path / "absent")
