"""Push a CSV file's rows to a running node, as a shop's or a platform's own system would.

    python -m examples.push_client --home NODE_HOME --node 127.0.0.1:7443 --source trips --key trip trips.csv

The home lends its certificate; on another machine copy its key, certificate and authority there. The node
prints its address when it starts; `listen_grpc` in node.toml fixes it. Run it twice: nothing is taken twice.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import click

from enterprise_node.client import Activity, ActivityClient
from runtime.identity import Identity


def read(file: Path, key: str) -> Iterator[Activity]:
    """Give the rows one by one; the key column names each for good."""
    with file.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            yield Activity(row[key], row)


@click.command()
@click.option("--home", type=click.Path(path_type=Path), required=True, help="Folder with the certificate.")
@click.option("--node", "address", required=True, help="host:port of the node's gRPC.")
@click.option("--source", required=True, help="Id of the source in node.toml.")
@click.option("--key", required=True, help="Column that names a row for good.")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
def push(home: Path, address: str, source: str, key: str, file: Path) -> None:
    """Push FILE and say what came of it."""
    with ActivityClient(address, Identity.load(home), source) as client:
        summary = client.record(read(file, key))
    print(f"{summary.accepted:,} accepted, {summary.known:,} known before")
    for one in summary.quarantined:
        print(f"not taken: {one.key}, column {one.column}: {one.reason}. {one.remedy}")


if __name__ == "__main__":
    from runtime.programs import run_cli

    run_cli(push)
