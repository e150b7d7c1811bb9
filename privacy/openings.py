"""What an enterprise shows an auditor on its premises: root and total of a commitment, and the leaves drawn.

The file never travels; nothing in it but the leaves that a challenge points at, with their records and salts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from privacy.merkle_sum import PATH_MAX, Leaf, Path, SumHash
from protos.epochs import Epoch, format_epoch, parse_epoch
from protos.json_text import parse_json
from protos.problems import Malformed, Problem
from protos.v1.problem_pb2 import REASON_WRONG_SHAPE

OPENING_BYTES_MAX = 256 << 20
OPENING_FILE, CHALLENGE_FILE = "opening.json", "challenge.json"

_FORM = "cgsp-opening-1"

# One raw record: its activity, then the activity's columns.
Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OpenedLeaf:
    """A leaf with its paths, its salt and the raw records behind it; `number` is its place among all leaves.

    `contract` are the person's dates where own history reads them; `exact_grams` is the statement's value
    before noise of the leaf's slot and measure.
    """

    number: int
    leaf: Leaf
    salt: bytes
    in_slot: Path
    in_tree: Path
    records: tuple[Record, ...]
    contract: tuple[int, int | None] | None
    exact_grams: int


@dataclass(frozen=True, slots=True)
class Opening:
    """What was opened of one enterprise's epoch; without any amount there is nothing to draw."""

    enterprise_id: str
    epoch: Epoch
    salt: bytes
    root: SumHash
    leaves: tuple[OpenedLeaf, ...]

    def encode(self) -> bytes:
        """Write opening.json."""
        described = {
            "form": _FORM,
            "enterprise_id": self.enterprise_id,
            "epoch": format_epoch(self.epoch),
            "salt": self.salt.hex(),
            "root": _sums(self.root),
            "leaves": [_leaf(one) for one in self.leaves],
        }
        return json.dumps(described, ensure_ascii=False, indent=1).encode() + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Opening:
        """Read opening.json; raises Malformed."""
        try:
            found = parse_json(data)
            opening = cls(
                enterprise_id=str(found["enterprise_id"]),
                epoch=parse_epoch(found["epoch"]),
                salt=bytes.fromhex(found["salt"]),
                root=_read_sums(found["root"]),
                leaves=tuple(map(_read_leaf, found["leaves"])),
            )
            is_ours = found["form"] == _FORM
        except (ValueError, KeyError, TypeError, AttributeError, Problem):
            is_ours = False
        if not is_ours:
            raise Malformed(REASON_WRONG_SHAPE, "This is not an opening that cgsp-node open wrote.")
        return opening


def _sums(sums: SumHash) -> list[Any]:
    return [sums.plus, sums.minus, sums.hash.hex()]


def _read_sums(found: Any) -> SumHash:
    plus, minus, digest = found
    return SumHash(_integer(plus), _integer(minus), bytes.fromhex(digest))


def _path(path: Path) -> dict[str, Any]:
    return {"index": path.index, "size": path.size, "siblings": [_sums(one) for one in path.siblings]}


def _read_path(found: Any) -> Path:
    if len(found["siblings"]) > PATH_MAX:
        raise ValueError("too long")
    siblings = tuple(map(_read_sums, found["siblings"]))
    return Path(_integer(found["index"]), _integer(found["size"]), siblings)


def _leaf(one: OpenedLeaf) -> dict[str, Any]:
    leaf = one.leaf
    return {
        "number": one.number,
        "slot": leaf.slot,
        "day": leaf.day,
        "measure": leaf.measure,
        "plus": leaf.plus,
        "minus": leaf.minus,
        "evidence": leaf.evidence.hex(),
        "salt": one.salt.hex(),
        "in_slot": _path(one.in_slot),
        "in_tree": _path(one.in_tree),
        "records": [dict(record) for record in one.records],
        "contract": one.contract,
        "exact_grams": one.exact_grams,
    }


def _read_leaf(found: Any) -> OpenedLeaf:
    slot, day, measure, plus, minus = (
        _integer(found[name]) for name in ("slot", "day", "measure", "plus", "minus")
    )
    contract = found["contract"]
    return OpenedLeaf(
        number=_integer(found["number"]),
        leaf=Leaf(slot, day, measure, plus, minus, bytes.fromhex(found["evidence"])),
        salt=bytes.fromhex(found["salt"]),
        in_slot=_read_path(found["in_slot"]),
        in_tree=_read_path(found["in_tree"]),
        records=tuple(dict(record) for record in found["records"]),
        contract=None if contract is None else (_integer(contract[0]), _optional(contract[1])),
        exact_grams=_integer(found["exact_grams"]),
    )


def _integer(value: Any) -> int:
    if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
        raise ValueError("not an integer")
    return value


def _optional(value: Any) -> int | None:
    return None if value is None else _integer(value)
