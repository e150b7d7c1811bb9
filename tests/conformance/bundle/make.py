"""Writes the clean bundle anew after a change of the wire: `python -m tests.conformance.bundle.make`."""

from __future__ import annotations

import shutil
from pathlib import Path

from protos.epochs import Epoch
from tests.simulator import EPOCH, closed
from tests.unit.auditor.city import parts

FOLDER = Path(__file__).parent


def main() -> None:
    """Replace the folder `clean` and the trust root beside it."""
    shutil.rmtree(FOLDER / "clean", ignore_errors=True)
    closed(EPOCH, Epoch(202101), **parts()).write_bundle(FOLDER / "clean")


if __name__ == "__main__":
    main()
