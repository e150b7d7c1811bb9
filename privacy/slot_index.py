"""At which of an enterprise's slots a pseudonym stands, without a look at every slot."""

from __future__ import annotations

from dataclasses import dataclass, field

from privacy.chunks import HALF_BYTES
from privacy.erasures import ERASED


@dataclass(slots=True)
class SlotIndex:
    """The slots of each pseudonym of one roster; few ever stand at more than one."""

    _newest: dict[bytes, int] = field(default_factory=dict)
    _earlier: dict[bytes, tuple[int, ...]] = field(default_factory=dict)

    def add(self, first: int, pseudonyms: bytes) -> None:
        """Take the rows from slot `first` on, 16 bytes each; those erased are nobody's."""
        for number in range(len(pseudonyms) // HALF_BYTES):
            name = pseudonyms[number * HALF_BYTES : (number + 1) * HALF_BYTES]
            if name in self._newest:
                self._earlier[name] = self.of(name)
            if name != ERASED:
                self._newest[name] = first + number

    def remove(self, pseudonym: bytes, number: int) -> None:
        """Forget that a pseudonym stood at a slot."""
        left = [one for one in self.of(pseudonym) if one != number]
        self._newest.pop(pseudonym, None)
        self._earlier.pop(pseudonym, None)
        if left:
            self._newest[pseudonym] = left[-1]
        if len(left) > 1:
            self._earlier[pseudonym] = tuple(left[:-1])

    def of(self, pseudonym: bytes) -> tuple[int, ...]:
        """Give the slots of a pseudonym, ascending."""
        newest = self._newest.get(pseudonym)
        return () if newest is None else (*self._earlier.get(pseudonym, ()), newest)
