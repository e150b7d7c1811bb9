"""What commands over a hub's folder share: its option, the folder opened, a document's file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hub.setup import Opened

DOCUMENT_BYTES_MAX = 65_535

home_option = click.option(
    "--home",
    "folder",
    type=click.Path(path_type=Path),
    required=True,
    help="The hub's folder. 中心节点目录。",
)
file_argument = click.argument("file", type=click.Path(path_type=Path))


def opened_home(folder: Path) -> Opened:
    """Open a home folder, with its settings and keys."""
    from hub.configuration import Home
    from hub.setup import Opened

    return Opened.load(Home(folder.absolute()))
