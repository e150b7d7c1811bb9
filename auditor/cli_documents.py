"""The command that checks, offline, what a person or a partner was handed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click

from runtime.console import json_option, print_result


@click.command(name="check-document")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--trust-root",
    "trust_roots",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    multiple=True,
    help="The first trust root, handed over out of band, then later ones. 线下取得的信任根及其后续版本。",
)
@json_option
def check_document(file: Path, trust_roots: Sequence[Path], *, as_json: bool) -> None:
    """Check a certificate, a planting, a settlement statement (folder), an export, offline. 离线核验凭证。

    Exit codes: 0 it holds; 2 wrong use; 10 damaged; 20 and above it does not hold.
    """
    from auditor.documents import check_document as check
    from auditor.documents import read_roots

    found = check(file, read_roots(trust_roots), now=int(time.time()))
    print_result(found.to_json(), as_json=as_json, lines=[found.sentence])
