"""What commands over a node's folder share: its option, and the folder opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from enterprise_node.workspace import Workspace

home_option = click.option(
    "--home",
    "folder",
    type=click.Path(path_type=Path),
    default=Path(),
    show_default=True,
    help="The node's folder, with node.toml. 节点目录。",
)


@contextmanager
def opened_workspace(folder: Path) -> Iterator[Workspace]:
    """Open the home for one command."""
    from enterprise_node.store.outward import SCHEMAS
    from enterprise_node.workspace import open_workspace

    workspace = open_workspace(folder, schemas=SCHEMAS)
    try:
        yield workspace
    finally:
        workspace.close()
