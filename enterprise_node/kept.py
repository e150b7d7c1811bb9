"""What each release counted for each person, before noise: an anchor totals exactly that. It never leaves.

Private files a released epoch and measure, written before the draw they belong to; a draw made again after a
crash writes them anew. An epoch whose release this node did not draw itself (it was recovered) has none. The
days' parts say what of each person-day's clamp is used: later releases carry late records within the rest.
"""

from __future__ import annotations

import io
from pathlib import Path
from shutil import rmtree

import numpy as np

from enterprise_node.reductions import Vector
from protos.epochs import Epoch, first_day, format_epoch, parse_epoch
from runtime.configuration import write_atomic

FOLDER = "released"
DAYS_SUFFIX = ".days.parquet"


class Kept:
    """The exact vectors behind this node's releases."""

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER

    def keep(self, epoch: Epoch, measure_id: str, vector: Vector) -> None:
        """Keep a measure's vector, in place of one kept before."""
        content = io.BytesIO()
        np.save(content, np.stack([vector.persons, vector.grams]), allow_pickle=False)
        path = self._path(epoch, measure_id)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(path, content.getvalue(), mode=0o600)

    def vector(self, epoch: Epoch, measure_id: str) -> Vector | None:
        """Give a measure's vector as it was released; None where it was not kept."""
        path = self._path(epoch, measure_id)
        if not path.exists():
            return None
        persons, grams = np.load(path, allow_pickle=False)
        return Vector(persons, grams)

    def vectors(self, epoch: Epoch) -> dict[str, Vector]:
        """Give an epoch's vectors by measure, as they were released."""
        names = sorted(path.stem for path in (self._folder / format_epoch(epoch)).glob("*.npy"))
        found = {name: self.vector(epoch, name) for name in names}
        return {name: vector for name, vector in found.items() if vector is not None}

    def days_path(self, epoch: Epoch, measure_id: str) -> Path:
        """Name the Parquet file of a release's parts of days: person, day, mg."""
        return self._folder / format_epoch(epoch) / f"{measure_id}{DAYS_SUFFIX}"

    def days_paths(self, epoch: Epoch) -> dict[str, Path]:
        """Give the files of a release's parts of days by measure."""
        found = sorted((self._folder / format_epoch(epoch)).glob(f"*{DAYS_SUFFIX}"))
        return {path.name.removesuffix(DAYS_SUFFIX): path for path in found}

    def days_files(self, measure_id: str) -> dict[Epoch, Path]:
        """Give the files of a measure's parts of days by epoch."""
        found = sorted(self._folder.glob(f"*/{measure_id}{DAYS_SUFFIX}"))
        return {parse_epoch(path.parent.name): path for path in found}

    def forget_days_before(self, day: int) -> None:
        """Drop the parts of months whose records are dropped: nothing can be told late about them."""
        for path in self._folder.glob(f"*/*{DAYS_SUFFIX}"):
            if first_day(parse_epoch(path.parent.name)) < day:
                path.unlink()

    def forget(self, epoch: Epoch) -> None:
        """Drop an epoch's files: its release is another draw's."""
        rmtree(self._folder / format_epoch(epoch), ignore_errors=True)

    def _path(self, epoch: Epoch, measure_id: str) -> Path:
        return self._folder / format_epoch(epoch) / f"{measure_id}.npy"
