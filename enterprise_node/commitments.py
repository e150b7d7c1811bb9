"""What this node commits to before it draws: every leaf behind an epoch's statements, under salts of its own.

Exact figures are computed once, here: the draw takes the statements that were kept with the commitment, so
that what came in between is counted neither there nor in the tree. A copy of the raw records behind the
leaves stays in the home as it was, for an auditor on the premises; erasing a person takes theirs out of it.
"""

# ruff: noqa: S608  (SQL is made of names of this module's own and of checked activity codes)

from __future__ import annotations

import hashlib
import io
import logging
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from accounting.leaves import leaves_sql, pack_names, reads_contracts, records_sql, roots_sql
from accounting.quantities import MG_PER_GRAM
from engine.duckdb_engine import DuckDbEngine
from enterprise_node.contents import person_numbers, rows_of
from enterprise_node.store.commitments import StoredCommitment
from enterprise_node.terms import measure_spec
from privacy import envelope, merkle_sum, sealing
from privacy.envelope import Kind
from privacy.merkle import HASH_BYTES
from privacy.merkle_sum import SALT_BYTES, evidence_hash
from privacy.series import MeasureKind
from privacy.sum_tree import Leaves, SumTree
from protos.epochs import first_day, format_epoch, parse_epoch
from protos.problems import Conflict, InvariantBroken, Refused
from protos.v1.commitment_pb2 import Commitment
from protos.v1.problem_pb2 import REASON_COMMITMENT_MISSING, REASON_INVARIANT_BROKEN, REASON_LOG_AHEAD
from runtime.configuration import write_atomic

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from numpy.typing import NDArray

    from accounting.contributions import Measure as PlannedMeasure
    from accounting.periods import PeriodMeasure
    from engine.engine import Engine
    from enterprise_node.chain import Check, OwnChain
    from enterprise_node.kept import Kept
    from enterprise_node.late import LateParts, LateRecords
    from enterprise_node.local_keys import LocalKeys
    from enterprise_node.reductions import Reductions, Vector
    from enterprise_node.roster import ActiveSlot, Roster
    from enterprise_node.store.commitments import CommitmentTable
    from enterprise_node.store.database import Database
    from privacy.policy import Measure, Policy
    from protos.epochs import Epoch
    from protos.v1.envelope_pb2 import Header

    Values: TypeAlias = NDArray[np.int64]

logger = logging.getLogger(__name__)

FOLDER = "commitments"
LEAVES_FILE = "leaves.npz"
RECORDS_PREFIX = "records."
# In an activity's place: the dates of persons whose own history stands behind a leaf.
CONTRACTS = "contracts"
_LEAVES, _RECORDS = "committed_leaves", "committed_records_"
_LEAF_COLUMNS = {"number": "BIGINT", "person": "BIGINT", "day": "INTEGER"}


@dataclass(frozen=True, slots=True)
class Secrets:
    """The salts of one epoch, all from one key that never leaves the node."""

    key: bytes

    @classmethod
    def of(cls, keys: LocalKeys, enterprise_id: str, epoch: Epoch) -> Secrets:
        """Derive an epoch's key; the same after a recovery, so that a tree can be made again."""
        return cls(sealing.subkey(keys.sealing, f"cgsp node commitment v1 {enterprise_id} {epoch}"))

    @property
    def root_salt(self) -> bytes:
        """Give the salt of root and total."""
        return hashlib.blake2b(b"root", key=self.key, digest_size=HASH_BYTES).digest()

    def leaf_salt(self, slot: int, measure: int, day: int) -> bytes:
        """Give a leaf's salt."""
        place = struct.pack(">IHi", slot, measure, day)
        return hashlib.blake2b(place, key=self.key, digest_size=SALT_BYTES).digest()


class Commitments:
    """Makes, keeps and reads an enterprise's commitments; sends nothing itself."""

    def __init__(
        self,
        home: Path,
        database: Database,
        table: CommitmentTable,
        chain: OwnChain,
        roster: Roster,
        reductions: Reductions,
        kept: Kept,
        late: LateRecords,
        engine: Engine,
        keys: LocalKeys,
        *,
        enterprise_id: str,
    ) -> None:
        self._home = home
        self._database = database
        self._table = table
        self._chain = chain
        self._roster = roster
        self._reductions = reductions
        self._kept = kept
        self._late = late
        self._engine = engine
        self._keys = keys
        self._enterprise_id = enterprise_id

    def commit(self, epoch: Epoch, policy: Policy, *, check: Check | None = None) -> None:
        """Compute and keep the epoch's exact figures and sign the commitment to them, once."""
        logged = self.logged(epoch, policy)
        if logged is not None and self.kept(epoch, logged):
            return
        committed = self._make(epoch, policy)
        if logged is not None:
            _check_same(committed, logged, epoch)
            return

        def build(header: Header) -> tuple[Message, Sequence[bytes]]:
            return Commitment(
                header=header, epoch=epoch, policy_hash=policy.policy_hash, commitment=committed
            ), ()

        with self._database.transaction():
            message = self._chain.append(Kind.COMMITMENT, epoch, build, check=check)
            self._table.put(StoredCommitment(epoch, policy.policy_hash, message.sequence))

    def require_seen(self, epoch: Epoch, policy: Policy) -> None:
        """Refuse to draw before the log shows the commitment."""
        stored = self._table.get(epoch)
        is_ours = stored is not None and stored.policy_hash == policy.policy_hash
        if stored is None or not is_ours or not self._chain.message(stored.sequence).seen:
            raise Refused(
                REASON_COMMITMENT_MISSING,
                f"The log does not show the commitment to {format_epoch(epoch)} yet.",
                remedy="Submit first; nothing is drawn before the log holds it.",
            )

    def logged(self, epoch: Epoch, policy: Policy) -> bytes | None:
        """Give what this node committed to for an epoch under a policy."""
        stored = self._table.get(epoch)
        if stored is None or stored.policy_hash != policy.policy_hash:
            return None
        data = self._chain.message(stored.sequence).envelope
        return envelope.open_envelope(data).parse(Commitment).commitment

    def kept(self, epoch: Epoch, logged: bytes) -> bool:
        """Say whether the tree behind a commitment lies here."""
        if not (self.folder(epoch) / LEAVES_FILE).exists():
            return False
        return merkle_sum.commitment(self.secrets(epoch).root_salt, self.tree(epoch).root) == logged

    def tree(self, epoch: Epoch) -> SumTree:
        """Build an epoch's tree again from its leaves."""
        with np.load(self.folder(epoch) / LEAVES_FILE, allow_pickle=False) as columns:
            leaves = Leaves(*(columns[name] for name in ("place", "day", "plus", "minus", "evidence")))
            return SumTree(columns["slots"], int(columns["measures"]), leaves)

    def secrets(self, epoch: Epoch) -> Secrets:
        """Give an epoch's salts."""
        return Secrets.of(self._keys, self._enterprise_id, epoch)

    def folder(self, epoch: Epoch) -> Path:
        """Name an epoch's folder."""
        return self._home / FOLDER / format_epoch(epoch)

    def record_files(self, epoch: Epoch) -> dict[tuple[int, str], Path]:
        """Give the copies of raw records by measure number and activity."""
        found = sorted(self.folder(epoch).glob(f"{RECORDS_PREFIX}*.parquet"))
        names = [path.name.removeprefix(RECORDS_PREFIX).removesuffix(".parquet") for path in found]
        parts = [name.partition(".") for name in names]
        return {(int(number), code): path for (number, _, code), path in zip(parts, found, strict=True)}

    def _make(self, epoch: Epoch, policy: Policy) -> bytes:
        """Compute everything the draw needs and the tree over it; give the commitment's bytes."""
        mine = policy.enterprise(self._enterprise_id)
        parts = {measure: self._late.parts(epoch, policy, measure) for measure in mine.measures}
        vectors: dict[str, Vector] = {}
        for measure, late in parts.items():
            vectors[measure.id] = self._late.vector(epoch, measure, late)
            self._kept.keep(epoch, measure.id, vectors[measure.id])
            self._late.keep(epoch, measure, late)
        rmtree(self.folder(epoch), ignore_errors=True)
        self.folder(epoch).mkdir(mode=0o700, parents=True)
        measures = measures_in_grams(mine.measures)
        maker = _Maker(self, epoch, self._roster.active(epoch), len(measures), self._engine)
        for number, measure in enumerate(measures):
            maker.add(number, self._reductions.grams(measure_spec(measure)), parts[measure], self._reductions)
        tree = maker.tree()
        for number, measure in enumerate(measures):
            exact = rows_of(vectors[measure.id], maker.persons)
            if not np.array_equal(np.floor_divide(tree.net(number), MG_PER_GRAM), exact):
                raise InvariantBroken(
                    REASON_INVARIANT_BROKEN, f"The leaves of {measure.id} do not add up to its statements."
                )
        self._keep(epoch, tree)
        logger.info("commitment made", extra={"epoch": epoch, "leaves": len(tree.leaves.place)})
        return merkle_sum.commitment(self.secrets(epoch).root_salt, tree.root)

    def _keep(self, epoch: Epoch, tree: SumTree) -> None:
        content, leaves = io.BytesIO(), tree.leaves
        np.savez_compressed(
            content,
            slots=tree.slots,
            measures=np.int64(tree.measures),
            place=leaves.place,
            day=leaves.day,
            plus=leaves.plus,
            minus=leaves.minus,
            evidence=leaves.evidence,
        )
        write_atomic(self.folder(epoch) / LEAVES_FILE, content.getvalue(), mode=0o600)


class _Maker:
    """Gathers the leaves of one epoch, measure by measure."""

    def __init__(
        self,
        commitments: Commitments,
        epoch: Epoch,
        active: Sequence[ActiveSlot],
        measures: int,
        engine: Engine,
    ) -> None:
        self._folder, self._secrets = commitments.folder(epoch), commitments.secrets(epoch)
        self._epoch = epoch
        self._measures = max(measures, 1)
        self._engine = engine
        self.persons = person_numbers(active)
        self._slots = np.fromiter((one.slot for one in active), dtype=np.int64, count=len(active))
        self._columns: list[tuple[Values, ...]] = []
        self._evidence: list[NDArray[np.uint8]] = []

    def add(
        self,
        number: int,
        planned: PlannedMeasure | PeriodMeasure,
        late: LateParts,
        reductions: Reductions,
    ) -> None:
        """Take one measure's leaves, hash the records behind each, keep a copy of those."""
        relations, engine = reductions.views(), self._engine
        own = engine.columns(f"SELECT * FROM ({leaves_sql(planned, relations, self._epoch)}) AS l")
        rows, persons, day, plus, minus = self._placed(own, late)
        numbers = np.arange(len(rows), dtype=np.int64)
        engine.register(_LEAVES, {"number": numbers, "person": persons, "day": day}, _LEAF_COLUMNS)
        paths: dict[str, Path] = {}
        for code, sql in records_sql(planned, relations, self._epoch, _LEAVES).items():
            paths[code] = self._written(number, code, f"SELECT * FROM ({sql}) AS r ORDER BY number")
        if reads_contracts(planned):
            dates = f"SELECT l.number, p.* FROM {_LEAVES} AS l JOIN {relations.persons} AS p USING (person)"
            where = f"WHERE l.day = {merkle_sum.WHOLE_MONTH} ORDER BY number"
            paths[CONTRACTS] = self._written(number, CONTRACTS, f"{dates} {where}")
        roots = _roots(planned, paths, self._folder)
        self._columns.append((rows * self._measures + number, day, plus, minus))
        self._evidence.append(self._hidden(number, rows, day, roots, pack_names(planned)))

    def _written(self, number: int, code: str, sql: str) -> Path:
        """Keep a copy of what stands behind a measure's leaves."""
        path = self._folder / f"{RECORDS_PREFIX}{number}.{code}.parquet"
        self._engine.write_parquet(sql, path)
        path.chmod(0o600)
        return path

    def tree(self) -> SumTree:
        """Put all measures' leaves in canonical order."""
        columns = [np.concatenate(one) for one in zip(*self._columns, strict=True)] if self._columns else []
        if not columns:
            none = np.zeros(0, dtype=np.int64)
            columns = [none, none, none, none]
        place, day, plus, minus = columns
        order = np.lexsort((day, place))
        blank = np.zeros((0, HASH_BYTES), dtype=np.uint8)
        evidence = np.concatenate([blank, *self._evidence])
        leaves = Leaves(place[order], day[order], plus[order], minus[order], evidence[order])
        return SumTree(self._slots, self._measures, leaves)

    def _placed(self, own: Mapping[str, Values], late: LateParts) -> tuple[Values, ...]:
        """Join own and late leaves and find each one's row; who is not on the roster has none."""
        carried = late.mg != 0
        mg = late.mg[carried]
        persons = np.concatenate([own["person"].astype(np.int64), late.persons[carried]])
        day = np.concatenate([own["day"].astype(np.int64), late.days[carried]])
        plus = np.concatenate([own["plus"].astype(np.int64), np.maximum(mg, 0)])
        minus = np.concatenate([own["minus"].astype(np.int64), np.maximum(-mg, 0)])
        order = np.argsort(self.persons, kind="stable")
        if not len(order):
            return tuple(np.zeros((5, 0), dtype=np.int64))
        at = np.searchsorted(self.persons[order], persons).clip(max=len(order) - 1)
        rows = order[at]
        held = self.persons[rows] == persons
        columns = (rows[held], persons[held], day[held], plus[held], minus[held])
        by_place = np.lexsort((columns[2], columns[0]))
        return tuple(one[by_place] for one in columns)

    def _hidden(
        self, number: int, rows: Values, day: Values, roots: Mapping[int, str], packs: Sequence[str]
    ) -> NDArray[np.uint8]:
        """Hash the evidence of each leaf under its own salt; a late part may have no record left."""
        none = hashlib.sha256(b"").hexdigest()
        hashes = [
            evidence_hash(
                self._secrets.leaf_salt(slot, number, on), bytes.fromhex(roots.get(leaf, none)), packs
            )
            for leaf, (slot, on) in enumerate(zip(self._slots[rows].tolist(), day.tolist(), strict=True))
        ]
        return np.frombuffer(b"".join(hashes), dtype=np.uint8).reshape(-1, HASH_BYTES)


def _roots(
    planned: PlannedMeasure | PeriodMeasure, paths: Mapping[str, Path], folder: Path
) -> dict[int, str]:
    """Give the root over the records behind each leaf; hashed here, whichever engine has the activities."""
    # What does not fit into memory is spilled inside the home.
    with DuckDbEngine(temp_dir=folder) as hasher:
        names = {code: _RECORDS + code.replace(".", "_") for code in paths}
        for code, path in paths.items():
            hasher.view(names[code], [path])
        contracts = names.pop(CONTRACTS, None)
        found = hasher.columns(f"SELECT * FROM ({roots_sql(planned, names, contracts)}) AS h")
    return dict(zip(found["number"].tolist(), found["root"].tolist(), strict=True))


def measures_in_grams(measures: Sequence[Measure]) -> list[Measure]:
    """Give the measures a tree holds, in the policy's order: points are no amounts."""
    return [measure for measure in measures if measure.kind is not MeasureKind.POINTS]


def committed_epochs(home: Path) -> list[Epoch]:
    """List the epochs whose leaves and records are kept."""
    return sorted(parse_epoch(path.parent.name) for path in (home / FOLDER).glob(f"*/{LEAVES_FILE}"))


def forget_records_before(home: Path, day: int) -> None:
    """Drop the copies of records behind months that are past their time; their leaves stay."""
    for epoch in committed_epochs(home):
        if first_day(epoch) < day:
            for path in (home / FOLDER / format_epoch(epoch)).glob(f"{RECORDS_PREFIX}*"):
                path.unlink()


def _check_same(committed: bytes, logged: bytes, epoch: Epoch) -> None:
    if committed != logged:
        raise Conflict(
            REASON_LOG_AHEAD,
            f"The log holds a commitment to {format_epoch(epoch)} whose records this node does not have any "
            "more as they were.",
            remedy="Restore the folder `commitments` from a backup, or sign nothing-to-report for an outage.",
        )
