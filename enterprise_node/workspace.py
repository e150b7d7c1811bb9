"""The node's data plane put together: configuration, state, activities, persons, reductions of one home."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enterprise_node.configuration import NodeConfiguration
    from enterprise_node.persons import Persons
    from enterprise_node.reductions import Reductions
    from enterprise_node.store.database import Database


@dataclass(frozen=True, slots=True)
class Workspace:
    """Everything the node's commands work with; `close` when done."""

    home: Path
    configuration: NodeConfiguration
    database: Database
    persons: Persons
    reductions: Reductions

    def close(self) -> None:
        """Close the state and the engine."""
        raise NotImplementedError


def open_workspace(home: Path) -> Workspace:
    """Open the home; raises Malformed when node.toml or a pack is wrong."""
    raise NotImplementedError
