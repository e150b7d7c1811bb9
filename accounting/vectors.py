"""A pack's worked examples, checked against the oracle: a pack whose own examples fail is not admitted."""

from __future__ import annotations

from accounting.activities import InputKind
from accounting.documents import day_of, invalid
from accounting.evaluator import Record, history_month, person_days
from accounting.packs import Pack, Vector
from protos.epochs import end_day, epoch_of, first_day, next_epoch, shift_epoch
from protos.problems import Malformed

_DEFAULT_DAY = 18262  # 2020-01-01


def check_vectors(pack: Pack) -> None:
    """Evaluate every vector; PACK_INVALID names the first that differs, what was expected and what came."""
    for number, vector in enumerate(pack.vectors, start=1):
        key = f"vectors {number}"
        try:
            got = evaluate_vector(pack, vector)
        except Malformed as problem:
            raise invalid(f"Pack {pack.id}", key, problem.message, problem.remedy) from problem
        if got != vector.milligrams:
            raise invalid(
                f"Pack {pack.id}",
                key,
                f"gives {_text(got)}, expected {_text(vector.milligrams)}.",
                "Correct the formula or the example.",
            )


def evaluate_vector(pack: Pack, vector: Vector) -> int | None:
    """Give what the oracle makes of a vector's inputs, in mg."""
    return _months(pack, vector) if vector.months else _record(pack, vector)


def _text(milligrams: int | None) -> str:
    return "no reduction" if milligrams is None else f"{milligrams} mg"


def _day(pack: Pack, vector: Vector) -> int:
    day = day_of(vector.date)
    return day if day is not None else pack.since_day or _DEFAULT_DAY


def _record(pack: Pack, vector: Vector) -> int | None:
    if set(vector.inputs) != set(pack.inputs):
        raise invalid("vectors.toml", "inputs", f"must be {', '.join(pack.inputs)}.")
    inputs: dict[str, int | str] = {}
    for name, text in vector.inputs.items():
        one = pack.activity.input(name)
        inputs[name] = one.value(text, None if one.kind is InputKind.KEY else pack.inputs[name])
    day = _day(pack, vector)
    return person_days(pack, [Record(0, day, "", inputs)]).get((0, day))


def _months(pack: Pack, vector: Vector) -> int:
    baseline = pack.baseline
    if baseline.quantity is None or baseline.years is None or len(vector.months) != baseline.years + 1:
        raise invalid("vectors.toml", "months", "must be this month's days, then each earlier year's.")
    first = _day(pack, vector)
    month = epoch_of(first) if first == first_day(epoch_of(first)) else next_epoch(epoch_of(first))
    one, days = pack.activity.input(baseline.quantity), {}
    for year, quantities in enumerate(vector.months):
        start = first_day(shift_epoch(month, -12 * year))
        if len(quantities) > end_day(shift_epoch(month, -12 * year)) - start:
            raise invalid("vectors.toml", "months", "has more days than the month.")
        for offset, text in enumerate(quantities):
            steps = one.value(text, pack.inputs[baseline.quantity])
            assert isinstance(steps, int)
            days[start + offset] = min(steps, _most(pack))
    return history_month(pack, days, month)


def _most(pack: Pack) -> int:
    maximum = pack.baseline.day_maximum
    one = pack.activity.input(pack.baseline.quantity or "")
    most = one.value(maximum.value, maximum.unit) if maximum else 0
    assert isinstance(most, int)
    return most
