"""A pack's worked examples, checked against the oracle: a pack whose own examples fail is not admitted."""

from __future__ import annotations

from collections.abc import Mapping

from accounting.activities import InputKind
from accounting.documents import day_of, invalid
from accounting.evaluator import Record, person_days
from accounting.months import person_months, person_points
from accounting.packs import Pack, Vector
from protos.epochs import Epoch, end_day, epoch_of, first_day, next_epoch, shift_epoch
from protos.problems import Malformed

_DEFAULT_DAY = 18262  # 2020-01-01


def check_vectors(pack: Pack) -> None:
    """Evaluate every vector; PACK_INVALID names the first that differs, what was expected and what came."""
    for number, vector in enumerate(pack.vectors, start=1):
        key = f"vectors {number}"
        try:
            got = evaluate_vector(pack, vector)
            points = evaluate_points(pack, vector) if pack.tariff is not None else None
        except Malformed as problem:
            raise invalid(f"Pack {pack.id}", key, problem.message, problem.remedy) from problem
        if got != vector.milligrams or points != vector.points:
            raise invalid(
                f"Pack {pack.id}",
                key,
                f"gives {_text(got, points)}, expected {_text(vector.milligrams, vector.points)}.",
                "Correct the formula, the tariff or the example.",
            )


def evaluate_vector(pack: Pack, vector: Vector) -> int | None:
    """Give what the oracle makes of a vector's inputs, in mg."""
    records = vector_records(pack, vector)
    if pack.baseline.own_history or vector.records:
        return person_months(pack, records, _ALWAYS, vector_month(pack, vector)).get(0)
    return person_days(pack, records).get((0, _day(pack, vector)))


def evaluate_points(pack: Pack, vector: Vector) -> int | None:
    """Give the points the oracle makes of a vector's month."""
    return person_points(pack, vector_records(pack, vector), _ALWAYS, vector_month(pack, vector)).get(0)


_ALWAYS = {0: (-(2**31), None)}


def _text(milligrams: int | None, points: int | None) -> str:
    grams = "no reduction" if milligrams is None else f"{milligrams} mg"
    return grams if points is None else f"{grams}, {points} points"


def _day(pack: Pack, vector: Vector) -> int:
    day = day_of(vector.date)
    return day if day is not None else pack.since_day or _DEFAULT_DAY


def vector_month(pack: Pack, vector: Vector) -> Epoch:
    """Give the month a vector's monthly figures are of."""
    day = _day(pack, vector)
    month = epoch_of(day)
    # Own history needs a whole month in force.
    return month if not pack.baseline.own_history or day == first_day(month) else next_epoch(month)


def vector_records(pack: Pack, vector: Vector) -> list[Record]:
    """Give a vector as records of person 0; PACK_INVALID if its inputs or months do not fit the pack."""
    if vector.months:
        return _by_months(pack, vector)
    if not vector.records:
        return [_record(pack, vector, _day(pack, vector), vector.inputs)]
    return [_record(pack, vector, day_of(one.date) or 0, one.inputs) for one in vector.records]


def _record(pack: Pack, vector: Vector, day: int, texts: Mapping[str, str]) -> Record:
    if set(texts) != set(pack.inputs):
        raise invalid("vectors.toml", "inputs", f"must be {', '.join(pack.inputs)}.")
    inputs: dict[str, int | str] = {}
    for name, text in texts.items():
        one = pack.activity.input(name)
        inputs[name] = one.value(text, None if one.kind is InputKind.KEY else pack.inputs[name])
    return Record(0, day, vector.region, inputs)


def _by_months(pack: Pack, vector: Vector) -> list[Record]:
    baseline, month = pack.baseline, vector_month(pack, vector)
    if baseline.quantity is None or baseline.years is None or len(vector.months) != baseline.years + 1:
        raise invalid("vectors.toml", "months", "must be this month's days, then each earlier year's.")
    records = []
    for year, quantities in enumerate(vector.months):
        start, end = (edge(shift_epoch(month, -12 * year)) for edge in (first_day, end_day))
        if len(quantities) > end - start:
            raise invalid("vectors.toml", "months", "has more days than the month.")
        records += [
            _record(pack, vector, start + offset, {baseline.quantity: text})
            for offset, text in enumerate(quantities)
        ]
    return records
