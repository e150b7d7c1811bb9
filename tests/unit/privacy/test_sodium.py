"""libsodium is found, and the bundled copy leaves nothing behind."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

from privacy import ristretto, sodium
from protos.problems import Unavailable


def test_bundled_library_computes_the_same_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    loaded = sodium.load_bundled()
    assert loaded is not None
    assert list(tmp_path.iterdir()) == []
    element, value = ristretto.from_uniform(os.urandom(64)), ristretto.scalar_random(os.urandom)
    expected = ristretto.mult(value, element)
    monkeypatch.setattr(sodium, "_loaded", lambda: loaded)
    monkeypatch.setattr(ristretto, "library", lambda: loaded[0])
    assert ristretto.mult(value, element) == expected


def test_provider_names_library_and_version() -> None:
    assert sodium.provider().startswith("libsodium 1.")


def test_machine_without_libsodium_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sodium, "load_system", lambda: None)
    monkeypatch.setattr(sodium, "load_bundled", lambda: None)
    with pytest.raises(Unavailable) as caught:
        sodium._loaded.__wrapped__()
    assert "rbcl" in caught.value.remedy


def test_rbcl_itself_is_never_imported() -> None:
    sodium.load_bundled()
    assert "rbcl" not in sys.modules
