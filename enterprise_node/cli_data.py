"""Commands over the node's own data: check, ingest, explain, person show, status, doctor."""

from __future__ import annotations

import click

COMMANDS: dict[str, click.Command] = {}
