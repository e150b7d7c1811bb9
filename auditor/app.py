"""An audit from beginning to end: numbered steps over one log, each with its named result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditor.accounts import check_accounts
from auditor.commitments import check_commitments
from auditor.counts import check_pseudonyms
from auditor.deadlines import check_deadlines
from auditor.deposits import check_deposits
from auditor.differences import check_differences
from auditor.erasures import check_erasures, is_erasure
from auditor.findings import Check, Results
from auditor.issuances import check_issuances
from auditor.joining import load_member
from auditor.log import EntryStream, Head, check_witnesses, read_head
from auditor.population import check_population
from auditor.programmes import check_programmes
from auditor.receipts import AuditedLog, check_receipts
from auditor.replay import Replay, begin, begin_anew, leave_unchecked, replay
from auditor.report import Report
from auditor.rules import check_budgets, check_completeness, check_packs
from auditor.saved import SAVE_BODY_BYTES, SAVE_ENTRIES, Saved, files_folder, read_state, write_state
from auditor.statements import StatementFiles
from privacy import checkpoint, trust
from privacy.envelope import ENTRY_BYTES_MAX
from privacy.trust import TrustRoot
from protos.problems import Problem
from runtime.files import read_bounded
from runtime.identity import certificate_pem
from runtime.log_follower import Entry
from runtime.log_reader import FolderLog, HttpLog, LogReader


@dataclass(frozen=True, slots=True)
class Options:
    """What an audit may have beside the log: receipts, a state to go on from, a watcher."""

    # A folder of receipts as a node keeps it.
    receipts: Path | None = None
    # A folder of deposits, likewise.
    deposits: Path | None = None
    state: Path | None = None
    # Told how many entries of how many are done.
    watch: Callable[[int, int], None] = lambda done, total: None


NO_OPTIONS = Options()


def verify_source(
    source: str, trust_root: Path, identity: Path | None, options: Options = NO_OPTIONS
) -> Report:
    """Verify a hub's https address (host:port) or a bundle's folder against the trust root handed over."""
    pinned = read_bounded(trust_root, ENTRY_BYTES_MAX)
    results = Results()
    root = _pinned_root(pinned, results)
    if root is None:
        results.leave_unchecked([check for check in Check if check is not Check.TRUST_ROOT], "no trust root")
        return Report(source, "", size=0, root=b"", witnesses="none", results=results, figures={})
    with ExitStack() as opened:
        try:
            reader = _reader(source, root, identity, opened)
        except Problem as problem:
            results.leave_unchecked([Check.CHECKPOINT, Check.TREE, *_AFTER_TREE], problem.message)
            return _unread(source, root, results)
        return verify(source, reader, pinned, root, results, options)


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
    options: Options = NO_OPTIONS,
) -> Report:
    """Verify the log a reader serves: every entry as it comes, then what must hold over all of them."""
    kept = None if options.state is None else files_folder(options.state)
    with StatementFiles(kept) as files:
        saved = _saved(options, root, pinned)
        seen = Seen(saved.tree.size, saved.tree.root())
        try:
            return _verify(source, reader, root, results, options, _Run(files, saved))
        except _ErasedSinceError:
            # Bodies read before no longer are what they were: all are read again.
            files.forget()
            run = _Run(files, Saved(root.origin, pinned, begin_anew(pinned, saved.replayed)), seen)
            run.saved.results.keep(saved.results[Check.LEDGERS])
            results.forget(Check.CHECKPOINT)
            return _verify(source, reader, root, results, options, run)


@dataclass(frozen=True, slots=True)
class Seen:
    """A beginning of the log that an audit has verified before."""

    size: int = 0
    root: bytes = b""


@dataclass(slots=True)
class _Run:
    """One pass over the log: the files of its statements, and what is saved of it."""

    files: StatementFiles
    saved: Saved
    seen: Seen = Seen()
    unsaved_entries: int = 0
    unsaved_bytes: int = 0


class _ErasedSinceError(Exception):
    """The log orders an erasure that the saved audit did not know of."""


def _saved(options: Options, root: TrustRoot, pinned: bytes) -> Saved:
    found = None
    if options.state is not None:
        found = read_state(options.state, origin=root.origin, pinned=pinned)
    return found or Saved(root.origin, pinned, begin(pinned))


def _verify(
    source: str, reader: LogReader, root: TrustRoot, results: Results, options: Options, run: _Run
) -> Report:
    saved = run.saved
    # 1. The checkpoint is the log's, and not older than what was seen before.
    head = read_head(reader, root, results)
    if head is None or not _has_grown(head, saved, results):
        results.leave_unchecked(_AFTER_TREE, "the log could not be read")
        return _unread(source, root, results)
    # 2. Entries alone give its root, tiles are of that tree; each is decided again, with its bodies.
    stream = EntryStream(reader, head, saved.tree, saved.results, saved.mismatches)
    _replay(stream, reader, options, run)
    results.include(saved.results)
    if stream.is_broken:
        results.leave_unchecked(_AFTER_TREE, "the log could not be read")
        return _unread(source, root, results)
    replayed = saved.replayed
    _check_same(run, results)
    leave_unchecked(replayed, results)
    received: Mapping[int, int] = {}
    if options.receipts is not None:
        as_of = None if head.exported else int(time.time())
        log = AuditedLog(head.note, saved.tree, lambda tile: reader.tile(0, tile.index, tile.width))
        received = check_receipts(
            options.receipts, log, replayed.state.trust_roots or (root,), results, as_of=as_of
        )
    if options.deposits is not None:
        check_deposits(options.deposits, replayed, results)
    # 3. The trust root now in force says who must have witnessed the checkpoint.
    witnesses = _witnesses(head, replayed, results)
    # 4. What must hold over the whole log.
    seen_at = _seen_at(head, replayed)
    figures = _check_whole(replayed, run.files, results, seen_at)
    now = replayed.newest_at if seen_at is None else seen_at
    figures["beacons"] = check_commitments(replayed.commitments, replayed.state, received, results, now=now)
    if options.state is not None:
        write_state(options.state, saved)
    signed = head.checkpoint
    return Report(source, signed.origin, signed.size, signed.root, witnesses, results, figures)


def _unread(source: str, root: TrustRoot, results: Results) -> Report:
    """Report on a log that could not be read, or not to its end."""
    return Report(source, root.origin, size=0, root=b"", witnesses="unknown", results=results, figures={})


def _has_grown(head: Head, saved: Saved, results: Results) -> bool:
    """Find a log that is shorter than, or another than, the one seen before; growth shows as it is read."""
    if head.size > saved.tree.size:
        return True
    if head.size == saved.tree.size and head.checkpoint.root == saved.tree.root():
        return True
    if head.size < saved.tree.size:
        says = f"It covers {head.size} entries; {saved.tree.size} were seen before: the log was cut."
    else:
        says = f"Its root over {head.size} entries is not the one seen before: two histories."
    results[Check.CHECKPOINT].find("checkpoint", says)
    return False


def _check_same(run: _Run, results: Results) -> None:
    """Find a log whose beginning is another than the one verified before bodies were read again."""
    state, seen = run.saved.replayed.state, run.seen
    if seen.size and (state.size < seen.size or state.root(seen.size) != seen.root):
        results[Check.CHECKPOINT].find(
            "checkpoint", f"Its first {seen.size} entries are not those verified before: two histories."
        )


def _replay(stream: EntryStream, reader: LogReader, options: Options, run: _Run) -> None:
    """Replay what is new, saving on the way; a killed audit goes on from the last state written."""
    resumed_at, total = stream.tree.size, stream.head.size

    def entries() -> Iterator[Entry]:
        for entry in stream.entries():
            if resumed_at and is_erasure(entry.data):
                raise _ErasedSinceError
            yield entry

    def after(entry: Entry, body_bytes: int) -> None:
        options.watch(entry.index + 1, total)
        run.unsaved_entries += 1
        run.unsaved_bytes += body_bytes
        is_due = run.unsaved_entries >= SAVE_ENTRIES or run.unsaved_bytes >= SAVE_BODY_BYTES
        if options.state is not None and is_due:
            write_state(options.state, run.saved)
            run.unsaved_entries = run.unsaved_bytes = 0

    replay(run.saved.replayed, entries(), reader, run.files, run.saved.results, after)
    stream.finish()


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
        "ledgers": replayed.ledgers.balances(),
        "issuances": check_issuances(replayed.issued, replayed.issuance_log(), results),
        "population": check_population(replayed, results),
        "differences": check_differences(replayed, files, results),
    }


def _seen_at(head: Head, replayed: Replay) -> int | None:
    """Give when the newest witness saw the log so; None without one."""
    if not replayed.state.has_trust:
        return None
    return checkpoint.cosigned_at(head.note, replayed.state.trust.witness_vkeys)


def _pinned_root(pinned: bytes, results: Results) -> TrustRoot | None:
    result = results[Check.TRUST_ROOT]
    result.examined += 1
    try:
        return trust.verify_first(pinned)
    except Problem as problem:
        result.find_problem("trust root", problem)
        return None


def _witnesses(head: Head, replayed: Replay, results: Results) -> str:
    if not replayed.state.has_trust:
        return "unknown"
    root = replayed.state.trust
    cosigned = check_witnesses(head, root, results)
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
