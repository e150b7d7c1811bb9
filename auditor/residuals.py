"""On the premises: is the difference between released and exact the noise that was claimed?

The exact figures come in a file that `cgsp-node exact` wrote there; the released ones from the verified log.
What leaves is a verdict per series and how fine it is, never an amount.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from auditor.findings import Results, Verdict
from auditor.log import EntryStream, read_head
from auditor.log_tree import LogTree
from auditor.replay import Replay, begin, replay
from auditor.statements import StatementFiles
from privacy import trust
from privacy.envelope import ENTRY_BYTES_MAX
from privacy.releases import parse_statement_chunk
from privacy.residuals import Opinion, Residuals, judge
from protos.json_text import parse_json
from protos.problems import Malformed, Unverified
from protos.v1 import release_pb2
from protos.v1.problem_pb2 import REASON_NOT_FOUND, REASON_PROOF_INVALID, REASON_WRONG_SHAPE
from runtime.files import read_bounded
from runtime.log_reader import FolderLog, LogReader

EXACT_BYTES_MAX = 1 << 30
# Both tests of all groups together accuse an honest enterprise with about this probability.
FALSE_ALARM = 0.01
TABLES = "tables"


@dataclass(frozen=True, slots=True)
class Exact:
    """The exact vectors of one release by series, as the enterprise's node wrote them."""

    enterprise_id: str
    epoch: int
    vectors: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What may leave the premises."""

    enterprise_id: str
    epoch: int
    opinions: tuple[Opinion, ...]

    @property
    def verdict(self) -> Verdict:
        """Give one verdict over all groups."""
        return Verdict.PASS if all(opinion.holds for opinion in self.opinions) else Verdict.FINDINGS

    def to_json(self) -> dict[str, Any]:
        """Give the verdicts as JSON; no amount is among them."""
        return {
            "verdict": self.verdict.value,
            "enterprise_id": self.enterprise_id,
            "epoch": self.epoch,
            "false_alarm": FALSE_ALARM,
            "power": 0.99,
            "groups": [
                {
                    key: round(value, 5) if isinstance(value, float) else value
                    for key, value in asdict(one).items()
                }
                for one in self.opinions
            ],
        }

    def lines(self) -> Iterator[str]:
        """Give the verdicts as text."""
        yield f"{self.verdict.value}  {self.enterprise_id} {self.epoch}"
        for one in self.opinions:
            marks = f"middle {'ok' if one.is_unbiased else 'OFF'}, scale {'ok' if one.is_to_scale else 'OFF'}"
            yield (
                f"  {one.group:<32} {one.residuals:>9}  {marks}; seen with 99 % 可检出: "
                f"bias 偏差 ≥ {one.bias_seen:.4f} standard deviations, "
                f"scale error 尺度误差 ≥ {one.scale_error_seen:.2%}"
            )


def residuals(exact_file: Path, bundle: Path, trust_root: Path) -> Verdicts:
    """Verify the log, find the release, compare; raises Unverified if the log does not hold."""
    exact = read_exact(exact_file)
    pinned = read_bounded(trust_root, ENTRY_BYTES_MAX)
    root, results = trust.verify_first(pinned), Results()
    reader = FolderLog(bundle)
    with StatementFiles() as files:
        replayed = begin(pinned)
        head = read_head(reader, root, results)
        if head is not None:
            stream = EntryStream(reader, head, LogTree(), results)
            replay(replayed, stream.entries(), reader, files, results)
            stream.finish()
        if head is None or not replayed.complete or results.findings:
            raise Unverified(
                REASON_PROOF_INVALID,
                "The log does not hold.",
                remedy="Run cgsp-audit verify and read its findings.",
            )
        return judge_release(exact, *released(exact, replayed, reader))


def read_exact(path: Path) -> Exact:
    """Read the file of `cgsp-node exact`; raises Malformed."""
    try:
        data = parse_json(read_bounded(path, EXACT_BYTES_MAX))
        vectors = {str(name): np.array(values, dtype=np.int64) for name, values in data["vectors"].items()}
        return Exact(str(data["enterprise_id"]), int(data["epoch"]), vectors)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise Malformed(REASON_WRONG_SHAPE, f"{path} is not a file that cgsp-node exact wrote.") from None


def released(
    exact: Exact, replayed: Replay, reader: LogReader
) -> tuple[release_pb2.Release, Sequence[bytes]]:
    """Find the release and its bodies in the log."""
    for one in replayed.releases:
        if (one.message.header.issuer, one.message.epoch) == (exact.enterprise_id, exact.epoch):
            bodies = reader.bodies(one.index)
            if bodies is None:
                break
            return one.message, bodies
    raise Unverified(
        REASON_NOT_FOUND,
        f"The log given holds no release of {exact.enterprise_id} for {exact.epoch} with its bodies.",
        remedy="Give a bundle that cgsp-hub export wrote with bodies.",
    )


def judge_release(exact: Exact, message: release_pb2.Release, bodies: Sequence[bytes]) -> Verdicts:
    """Compare every series with its exact vector; tables, which are small, are judged together."""
    groups: dict[str, list[Residuals]] = {}
    rest = list(bodies)
    for statement in message.statements:
        count = -(-statement.rows // statement.chunk_rows) if statement.rows else 0
        mine, rest = rest[:count], rest[count:]
        name = f"statement/{statement.measure_id}"
        # A measure's second vector in one release is its anchor.
        name = name if name not in groups else f"anchor/{statement.measure_id}"
        values = [gram for body in mine for gram in parse_statement_chunk(body).grams()]
        groups[name] = [_residuals(exact, name, values, statement.claim.scale)]
    for table in message.tables:
        kind = release_pb2.TableKind.Name(table.kind).removeprefix("TABLE_KIND_").lower()
        name = f"histogram/{table.table_id}/{kind}"
        groups.setdefault(TABLES, []).append(_residuals(exact, name, table.values, table.claim.scale))
    judged = {name: parts for name, parts in groups.items() if name != TABLES or _size(parts) >= 100}
    opinions = (judge(name, parts, false_alarm=FALSE_ALARM / len(judged)) for name, parts in judged.items())
    return Verdicts(exact.enterprise_id, exact.epoch, tuple(opinions))


def _residuals(exact: Exact, name: str, values: Sequence[int], scale: int) -> Residuals:
    vector = exact.vectors.get(name)
    if vector is None or vector.shape != (len(values),):
        raise Malformed(REASON_WRONG_SHAPE, f"The exact file has no vector of {len(values)} for {name}.")
    return Residuals(np.asarray(values, dtype=np.int64) - vector, scale)


def _size(parts: Sequence[Residuals]) -> int:
    return sum(part.values.size for part in parts)
