"""Which version of a programme pays for which epochs; a withdrawal ends them all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from accounting.programmes.programme import Programme
from protos.epochs import Epoch, checked_epoch, previous_epoch


@dataclass(frozen=True, slots=True)
class Span:
    """A version of a programme and the epochs it pays for, both included; no last is open."""

    programme: Programme
    first: Epoch
    last: Epoch | None

    def holds(self, epoch: Epoch) -> bool:
        """Tell whether statements of an epoch earn under this version."""
        return self.first <= epoch and (self.last is None or epoch <= self.last)


def spans_of(versions: Iterable[Programme], withdrawn_from: Epoch | None = None) -> tuple[Span, ...]:
    """Lay out which version pays when: each until the next begins, it ends, or all is withdrawn."""
    ordered = sorted(versions, key=lambda one: one.version)
    spans = []
    for place, one in enumerate(ordered):
        ends = [checked_epoch(one.last_epoch)] if one.last_epoch is not None else []
        ends += [previous_epoch(later.first) for later in ordered[place + 1 :]]
        if withdrawn_from is not None:
            ends.append(previous_epoch(withdrawn_from))
        last = min(ends, default=None)
        if last is None or last >= one.first:
            spans.append(Span(one, one.first, last))
    return tuple(spans)


def in_force(spans: Sequence[Span], epoch: Epoch) -> Programme | None:
    """Give the version that holds for an epoch, None before the first, after the last, and once withdrawn."""
    return next((one.programme for one in spans if one.holds(epoch)), None)
