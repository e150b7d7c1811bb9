"""The node's program as installed, or with a fault planted that its first argument names."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import enterprise_node.contents
from enterprise_node import terms
from enterprise_node.cli import main
from privacy import noise


def plant(fault: str) -> None:
    """Break one thing."""
    draw, spec = noise.discrete_laplace, terms.measure_spec

    def halved(values: Any, scale: int) -> Any:
        return draw(values, scale // 2)

    def unclamped(measure: Any) -> Any:
        return dataclasses.replace(spec(measure), day_clamp_grams=1_000_000)

    match fault:
        case "halved":
            noise.discrete_laplace = halved
        case "unclamped":
            setattr(enterprise_node.contents, "measure_spec", unclamped)  # noqa: B010 (a name it imports, not its own)
        case _:
            sys.exit(f"{fault}: cannot start")


if __name__ == "__main__":
    if sys.argv[1] != "rehearse":
        plant(sys.argv.pop(1))
    main()
