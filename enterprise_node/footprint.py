"""What one purchase or trip comes to: packs are read once, and a figure is a formula in exact fractions.

Nothing is stored and nothing is noised: the answer stays with the enterprise whose checkout asked.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accounting.activities import InputKind
from accounting.documents import day_of
from accounting.equivalences import Equivalence, Equivalences, parse_equivalences
from accounting.evaluator import Record, person_days
from protos.problems import Malformed, Refused, Unavailable
from protos.v1.problem_pb2 import REASON_NOT_FOUND, REASON_PACK_INVALID, REASON_RECORD_INVALID
from runtime.pack_files import PACK_FILE, installed, load_pack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from accounting.packs import Pack
    from protos.v1 import node_pb2

_CIVIL_ZONE = datetime.timezone(datetime.timedelta(hours=8))
EQUIVALENCES_FILE = "equivalences.toml"


@dataclass(frozen=True, slots=True)
class Question:
    """One act: a pack's id or an activity's code, inputs in the pack's units as text, its date and region."""

    inputs: Mapping[str, str]
    pack_id: str = ""
    activity: str = ""
    date: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one pack makes of the act: mg floored once, emitted or saved, and what they are like."""

    pack: Pack
    milligrams: int
    equivalence_id: str
    equivalence: Equivalence
    table_version: int

    @property
    def thousandths(self) -> int:
        """Give the amount in thousandths of what it is likened to, floored."""
        return self.equivalence.thousandths(self.milligrams)

    def to_json(self) -> dict[str, Any]:
        """Say it to programs."""
        return {
            "pack": self.pack.id,
            "version": self.pack.version,
            "purpose": self.pack.purpose.value,
            "milligrams": self.milligrams,
            "equivalence": {
                "id": self.equivalence_id,
                "table_version": self.table_version,
                "thousandths": self.thousandths,
                "name": self.equivalence.en,
                "name_zh": self.equivalence.zh,
                "source": self.equivalence.source,
            },
        }

    def lines(self) -> Iterator[str]:
        """Say it to people."""
        verb = "emitted 排放" if self.pack.purpose == "footprint" else "saved 减排"
        yield f"{self.pack.name_en} {self.pack.name_zh} ({self.pack.id} version {self.pack.version})"
        yield f"  {_decimal(self.milligrams, 6)} kg CO2e {verb}"
        likeness = f"{self.equivalence.en} {self.equivalence.zh}"
        yield f"  = {_decimal(self.thousandths, 3)} {likeness} [{self.equivalence.source}]"

    def to_wire(self) -> node_pb2.FootprintEstimate:
        """Give it as the node answers it."""
        from protos.v1 import node_pb2

        return node_pb2.FootprintEstimate(
            pack_id=self.pack.id,
            pack_version=self.pack.version,
            purpose=self.pack.purpose.value,
            milligrams=self.milligrams,
            equivalence=node_pb2.FootprintEquivalence(
                id=self.equivalence_id,
                table_version=self.table_version,
                thousandths=self.thousandths,
                name_en=self.equivalence.en,
                name_zh=self.equivalence.zh,
                source=self.equivalence.source,
            ),
        )


class Estimator:
    """Answers questions from packs it reads once, when they are first asked for."""

    def __init__(
        self,
        folders: Sequence[Path],
        today: Callable[[], datetime.date],
        equivalences: Equivalences | None = None,
    ) -> None:
        self._folders = _pack_folders([*folders, installed_packs()])
        self._today = today
        self._equivalences = equivalences or load_equivalences()
        self._packs: dict[str, Pack] = {}

    def estimate(self, question: Question, equivalence: str = "") -> list[Estimate]:
        """Give each pack's figure; raises Malformed for inputs, Refused where none of the packs applies."""
        name, likeness = self._equivalences.find(equivalence)
        found = []
        for pack in self._asked(question):
            milligrams = _milligrams(pack, question, self._day(question.date))
            if milligrams is not None:
                found.append(Estimate(pack, milligrams, name, likeness, self._equivalences.version))
        if not found:
            raise Refused(
                REASON_RECORD_INVALID,
                "No pack applies to this act on this day.",
                remedy="Check date, region and words against the pack's tables and conditions.",
            )
        return found

    def answer(self, request: node_pb2.EstimateFootprintRequest) -> node_pb2.EstimateFootprintResponse:
        """Answer a request of the wire."""
        from protos.v1 import node_pb2

        question = Question(
            dict(request.inputs), request.pack_id, request.activity, request.date, request.region
        )
        estimates = [one.to_wire() for one in self.estimate(question)]
        return node_pb2.EstimateFootprintResponse(estimates=estimates)

    def _day(self, date: str) -> int:
        try:
            day = day_of(date or self._today().isoformat())
        except ValueError as error:
            raise Malformed(
                REASON_RECORD_INVALID, "The date is none.", remedy="Write it as 2026-01-31."
            ) from error
        assert day is not None
        return day

    def _asked(self, question: Question) -> list[Pack]:
        if question.pack_id:
            pack = self._pack(question.pack_id)
            if pack.baseline.own_history:
                raise Refused(
                    REASON_PACK_INVALID,
                    f"Pack {pack.id} compares a person's months; one act has no figure.",
                    remedy="Ask for a pack that counts acts by themselves.",
                )
            return [pack]
        packs = [self._pack(pack_id) for pack_id in sorted(self._folders)]
        chosen = [
            one for one in packs if one.activity.code == question.activity and not one.baseline.own_history
        ]
        return [one for one in chosen if set(question.inputs) == set(one.inputs)] or chosen

    def _pack(self, pack_id: str) -> Pack:
        if pack_id not in self._packs:
            if pack_id not in self._folders:
                raise Unavailable(
                    REASON_NOT_FOUND,
                    "There is no pack of this id.",
                    remedy="Name a pack of node.toml's packs, or one that came with the program.",
                )
            self._packs[pack_id] = load_pack(self._folders[pack_id])
        return self._packs[pack_id]


def civil_today() -> datetime.date:
    """Give the civil day of UTC+8, which all days are reckoned in."""
    return datetime.datetime.now(_CIVIL_ZONE).date()


def installed_packs() -> Path:
    """Give the packs that came with the program."""
    return Path(str(installed(EQUIVALENCES_FILE))).parent


def load_equivalences() -> Equivalences:
    """Read the table of equivalences that came with the program."""
    return parse_equivalences(installed(EQUIVALENCES_FILE).read_bytes())


def _pack_folders(folders: Sequence[Path]) -> dict[str, Path]:
    """Find packs by id, earlier folders first, of several versions the last."""
    found: dict[str, Path] = {}
    for folder in folders:
        single = (folder / PACK_FILE).is_file()
        paths = [folder] if single else [path.parent for path in folder.glob(f"*/*/{PACK_FILE}")]
        numbered = [path for path in paths if path.name.isdecimal()]
        latest = {path.parent.name: path for path in sorted(numbered, key=lambda path: int(path.name))}
        found = latest | found
    return found


def _milligrams(pack: Pack, question: Question, day: int) -> int | None:
    if set(question.inputs) != set(pack.inputs):
        raise Malformed(
            REASON_RECORD_INVALID,
            f"Pack {pack.id} needs the inputs {', '.join(pack.inputs)}.",
            remedy="Give exactly these; quantities as decimal text in the pack's units.",
        )
    inputs: dict[str, int | str] = {}
    for name, text in question.inputs.items():
        one = pack.activity.input(name)
        inputs[name] = one.value(text, None if one.kind is InputKind.KEY else pack.inputs[name])
    return person_days(pack, [Record(0, day, question.region, inputs)]).get((0, day))


def _decimal(value: int, places: int) -> str:
    sign, digits = "-" if value < 0 else "", f"{abs(value):0{places + 1}d}"
    return f"{sign}{int(digits[:-places]):,}.{digits[-places:]}"
