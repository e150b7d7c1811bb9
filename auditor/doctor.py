"""Examines what an auditor works with, changing nothing: libraries, trust root, identity, log, witness."""

from __future__ import annotations

import datetime
from pathlib import Path

from auditor.app import open_log
from auditor.joining import load_member
from auditor.witness_home import WitnessHome
from engine.duckdb_engine import DuckDbEngine
from privacy import sodium, trust
from privacy.envelope import ENTRY_BYTES_MAX
from protos.problems import Conflict
from protos.v1.problem_pb2 import REASON_HISTORY_INCONSISTENT
from runtime.checks import Check, certificate_check, looked_at
from runtime.files import read_bounded
from runtime.log_follower import Witnesses, read_head
from runtime.successors import find_successor


def examine(
    *,
    trust_root: Path | None = None,
    source: str | None = None,
    home: Path | None = None,
    witness: Path | None = None,
) -> list[Check]:
    """Make the checks of what is named; a hub or bundle is looked at only with a trust root that holds."""
    checks = [looked_at("libsodium", sodium.provider), looked_at("DuckDB", _duckdb)]
    if trust_root is not None:
        checks.append(looked_at("trust root", lambda: _trust_root(trust_root)))
    if home is not None:
        checks.append(
            certificate_check(lambda: load_member(home).identity, datetime.datetime.now(datetime.UTC))
        )
    if trust_root is not None and source is not None and all(one.is_good for one in checks):
        checks.append(looked_at("log", lambda: _log(source, trust_root, home)))
    if witness is not None:
        checks.append(looked_at("witness", lambda: _witness(witness)))
    return checks


def _duckdb() -> str:
    with DuckDbEngine(threads=1) as engine:
        [[version]] = engine.rows("SELECT version()")
    return str(version)


def _trust_root(path: Path) -> str:
    root = trust.verify_first(read_bounded(path, ENTRY_BYTES_MAX))
    return f"{root.origin}, {root.root_threshold} of {len(root.root_keys)} sign"


def _log(source: str, trust_root: Path, home: Path | None) -> str:
    with open_log(source, trust_root, home) as (reader, root):
        now = find_successor(reader, root) or root
        head = read_head(reader, now.log_vkey, Witnesses.of(now))
    return f"{head.size} entries, signature holds"


def _witness(folder: Path) -> str:
    home = WitnessHome(folder)
    sizes = {origin: home.cosigned(origin).size for origin in home.logs()}
    if evidence := home.evidence():
        raise Conflict(
            REASON_HISTORY_INCONSISTENT,
            f"{len(evidence)} pieces of evidence: a log signed two histories.",
            remedy=f"Hand {evidence[0].parent} to the auditors and the log's operator; it stays here.",
        )
    return f"{home.keys.name} follows {len(sizes)} logs"
