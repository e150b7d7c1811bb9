"""Draws a sample of an enterprise's committed leaves from the logged beacon: the challenge it must open."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from auditor.findings import Results
from auditor.log import EntryStream, check_witnesses, read_head
from auditor.log_tree import LogTree
from auditor.replay import Replay, begin, replay
from auditor.statements import StatementFiles
from privacy import trust
from privacy.beacon import Drawn
from privacy.commitments import Committed
from privacy.envelope import ENTRY_BYTES_MAX
from privacy.sampling import Challenge
from protos.epochs import Epoch, format_epoch
from protos.problems import Refused, Unavailable, Unverified
from protos.v1.problem_pb2 import REASON_BEACON_INVALID, REASON_NOT_FOUND, REASON_PROOF_INVALID
from runtime.files import read_bounded
from runtime.log_reader import LogReader


def sound_log(reader: LogReader, trust_root: Path, files: StatementFiles) -> Replay:
    """Replay a log of which nothing may be wrong; raises Unverified otherwise."""
    pinned = read_bounded(trust_root, ENTRY_BYTES_MAX)
    root, results, replayed = trust.verify_first(pinned), Results(), begin(pinned)
    head = read_head(reader, root, results)
    if head is not None:
        stream = EntryStream(reader, head, LogTree(), results)
        replay(replayed, stream.entries(), reader, files, results)
        stream.finish()
    if head is not None and replayed.complete and replayed.state.has_trust:
        check_witnesses(head, replayed.state.trust, results)
    if head is None or not replayed.complete or results.findings:
        raise Unverified(
            REASON_PROOF_INVALID,
            "The log does not hold.",
            remedy="Run cgsp-audit verify and read its findings.",
        )
    return replayed


def sampled(replayed: Replay, enterprise_id: str, epoch: Epoch) -> tuple[Committed, Drawn]:
    """Find an epoch's commitment and beacon; raises Unavailable without both, Refused if one is too late."""
    committed = replayed.state.commitments(enterprise_id).get(epoch)
    drawn = replayed.state.beacons.get(epoch)
    if committed is None or drawn is None:
        missing = f"commitment of {enterprise_id}" if committed is None else "beacon"
        raise Unavailable(
            REASON_NOT_FOUND,
            f"The log holds no {missing} for {format_epoch(epoch)}.",
            remedy="The policy must ask for commitments, and the operator have the beacon drawn.",
        )
    if committed.index >= drawn.covered:
        raise Refused(
            REASON_BEACON_INVALID,
            f"The beacon does not cover the commitment in entry {committed.index}: a sample proves nothing.",
        )
    return committed, drawn


def make_challenge(
    reader: LogReader,
    trust_root: Path,
    enterprise_id: str,
    epoch: Epoch,
    *,
    detect: Fraction,
    confidence: Fraction,
    discrepancies: int = 0,
) -> Challenge:
    """Make the challenge of a sample; after discrepancies, of a larger one with the same draws first."""
    with StatementFiles() as files:
        replayed = sound_log(reader, trust_root, files)
    _, drawn = sampled(replayed, enterprise_id, epoch)
    return Challenge.make(
        replayed.state.trust.origin,
        enterprise_id,
        epoch,
        detect=detect,
        confidence=confidence,
        beacon_index=drawn.index,
        beacon=drawn.value,
        discrepancies=discrepancies,
    )
