"""Raw rows stay in memory: what does not fit is refused, not spilled."""

from __future__ import annotations

from pathlib import Path

import pytest

from enterprise_node.sessions import raw_session, working_session
from enterprise_node.sources.decoding import decoded
from protos.problems import Refused
from runtime.engines import EngineSettings

SMALL = EngineSettings(memory_limit_mb=128, threads=1)
MANY = "CREATE TEMP TABLE many AS SELECT range::VARCHAR || 'canary' AS word FROM range(20000000)"


def test_raw_session_never_spills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused, match="more than 128 MB"), raw_session(SMALL) as session:
        session.connection.execute(MANY)
    assert list(tmp_path.iterdir()) == []


def test_working_session_may_spill_into_its_folder(tmp_path: Path) -> None:
    with working_session(SMALL, tmp_path / "spill") as connection:
        connection.execute(MANY)
        assert list((tmp_path / "spill").iterdir())
    assert (tmp_path / "spill").stat().st_mode & 0o077 == 0


def test_file_too_large_to_decode_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.truncate(129 << 20)
    with pytest.raises(Refused, match=r"large\.csv is larger"), raw_session(SMALL) as session:
        decoded(session, path, "gb18030")
