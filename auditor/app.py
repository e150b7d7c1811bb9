"""An audit from beginning to end: numbered steps over one log, each with its named result."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from auditor.accounts import check_accounts
from auditor.counts import check_pseudonyms
from auditor.deadlines import check_deadlines
from auditor.erasures import check_erasures
from auditor.findings import Check, Results
from auditor.joining import load_member
from auditor.log import LogCopy, check_witnesses, read_log
from auditor.population import check_population
from auditor.programmes import check_programmes
from auditor.receipts import check_receipts
from auditor.replay import Replay, replay
from auditor.report import Report
from auditor.rules import check_budgets, check_completeness, check_packs
from auditor.statements import StatementFiles
from privacy import checkpoint, trust
from privacy.envelope import ENTRY_BYTES_MAX
from privacy.trust import TrustRoot
from protos.problems import Problem
from runtime.files import read_bounded
from runtime.identity import certificate_pem
from runtime.log_reader import FolderLog, HttpLog, LogReader


def verify_source(
    source: str, trust_root: Path, identity: Path | None, receipts: Path | None = None
) -> Report:
    """Verify a hub's https address (host:port) or a bundle's folder against the trust root handed over.

    `receipts` is a folder of receipts as a node keeps it.
    """
    pinned = read_bounded(trust_root, ENTRY_BYTES_MAX)
    results = Results()
    root = _pinned_root(pinned, results)
    if root is None:
        results.leave_unchecked([check for check in Check if check is not Check.TRUST_ROOT], "no trust root")
        return Report(source, "", 0, b"", "none", results, {})
    with ExitStack() as opened:
        try:
            reader = _reader(source, root, identity, opened)
        except Problem as problem:
            results.leave_unchecked([Check.CHECKPOINT, Check.TREE, *_AFTER_TREE], problem.message)
            return Report(source, root.origin, 0, b"", "unknown", results, {})
        return verify(source, reader, pinned, root, results, receipts)


@contextmanager
def open_log(
    source: str, trust_root: Path, identity: Path | None = None
) -> Iterator[tuple[LogReader, TrustRoot]]:
    """Open a log that is only read, with the first trust root handed over."""
    root = trust.verify_first(read_bounded(trust_root, ENTRY_BYTES_MAX))
    with ExitStack() as opened:
        yield _reader(source, root, identity, opened), root


def verify(
    source: str,
    reader: LogReader,
    pinned: bytes,
    root: TrustRoot,
    results: Results,
    receipts: Path | None = None,
) -> Report:
    """Verify the log a reader serves: tree first, then every entry, then what must hold over all of them."""
    with StatementFiles() as files:
        return _verify(source, reader, pinned, root, files, results, receipts)


def _verify(
    source: str,
    reader: LogReader,
    pinned: bytes,
    root: TrustRoot,
    files: StatementFiles,
    results: Results,
    receipts: Path | None,
) -> Report:
    # 1. The checkpoint is the log's, entries alone give its root, tiles are part of that tree.
    copy = read_log(reader, root.log_vkey, results)
    if copy is None:
        results.leave_unchecked(_AFTER_TREE, "the log could not be read")
        return Report(source, root.origin, 0, b"", "unknown", results, {})
    if receipts is not None:
        as_of = None if isinstance(reader, FolderLog) else int(time.time())
        check_receipts(receipts, copy, pinned, results, as_of=as_of)
    # 2. Every entry is decided again, with its bodies.
    replayed = replay(copy, reader, pinned, files, results)
    # 3. The trust root now in force says who must have witnessed the checkpoint.
    witnesses = _witnesses(copy, replayed, results)
    # 4. What must hold over the whole log.
    figures = _check_whole(replayed, files, results, _seen_at(copy, replayed))
    head = copy.checkpoint
    return Report(source, head.origin, head.size, head.root, witnesses, results, figures)


_AFTER_TREE = [check for check in Check if check not in (Check.TRUST_ROOT, Check.CHECKPOINT, Check.TREE)]


def _check_whole(
    replayed: Replay, files: StatementFiles, results: Results, seen_at: int | None
) -> dict[str, Any]:
    if not replayed.complete:
        return {}
    check_packs(replayed, results)
    check_programmes(replayed, results)
    check_completeness(replayed, results)
    check_deadlines(replayed, results, seen_at=seen_at)
    return {
        "cost": check_budgets(replayed, results),
        "pseudonyms": check_pseudonyms(replayed, results),
        "erasures": check_erasures(replayed, results),
        "participants": replayed.participation.to_json(),
        "accounts": check_accounts(replayed, files, results),
        "population": check_population(replayed, results),
    }


def _seen_at(copy: LogCopy, replayed: Replay) -> int | None:
    """Give when the newest witness saw the log so; None without one."""
    if not replayed.state.has_trust:
        return None
    return checkpoint.cosigned_at(copy.note, replayed.state.trust.witness_vkeys)


def _pinned_root(pinned: bytes, results: Results) -> TrustRoot | None:
    result = results[Check.TRUST_ROOT]
    result.examined += 1
    try:
        return trust.verify_first(pinned)
    except Problem as problem:
        result.find_problem("trust root", problem)
        return None


def _witnesses(copy: LogCopy, replayed: Replay, results: Results) -> str:
    if not replayed.state.has_trust:
        return "unknown"
    root = replayed.state.trust
    cosigned = check_witnesses(copy, root, results)
    return f"{', '.join(sorted(cosigned)) or 'none'} cosigned, quorum {root.witness_quorum}"


def _reader(source: str, root: TrustRoot, identity: Path | None, opened: ExitStack) -> LogReader:
    if Path(source).is_dir():
        return FolderLog(Path(source))
    ca_pem = certificate_pem(root.hub_ca)
    if identity is None:
        return opened.enter_context(HttpLog(source, ca_pem))
    member = load_member(identity)
    return opened.enter_context(
        HttpLog(source, ca_pem, identity=member.identity, grpc_address=member.grpc_address)
    )
