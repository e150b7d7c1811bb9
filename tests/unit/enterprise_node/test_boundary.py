"""One module sends: only the edge knows gRPC and HTTPS, and only the outbox is handed its ends."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import enterprise_node

FOLDER = Path(enterprise_node.__file__).parent
# Who may import what could carry bytes out of the process. client.py is for the enterprise's other systems,
# which push to the node; no module of the node imports it.
ALLOWED = {
    "grpc": {"rpc.py", "client.py"},
    "protos.v1.hub_pb2_grpc": {"rpc.py"},
    "protos.v1.custodian_pb2_grpc": {"rpc.py"},
    "runtime.channels": {"rpc.py", "client.py"},
    # The enterprise's own database, which is read.
    "psycopg": {"postgres.py"},
    "runtime.joining": {"outbox.py", "cli_release.py"},
    "runtime.https": set(),
    "runtime.posting": {"outbox.py"},
    "runtime.log_reader": {"app.py", "outbox.py"},
    "socket": set(),
    "ssl": set(),
    # Names of status codes.
    "http": {"outbox.py"},
    "urllib": set(),
    "requests": set(),
    "smtplib": set(),
    "subprocess": set(),
}
# The ends of the connections are built in one place and given to the outbox.
ENDS = {"GrpcHub", "GrpcCustodians", "HttpLog"}


def modules() -> Iterator[Path]:
    yield from sorted(FOLDER.rglob("*.py"))


def imports(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Give every imported module, and whether it is for types only."""
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, id(node) in typing_only
            yield from ((f"{node.module}.{alias.name}", id(node) in typing_only) for alias in node.names)


@pytest.mark.parametrize("path", list(modules()), ids=lambda path: str(path.relative_to(FOLDER)))
def test_only_the_edge_can_carry_bytes_out(path: Path) -> None:
    for name, is_for_types in imports(ast.parse(path.read_text(encoding="utf-8"))):
        for guarded, allowed in ALLOWED.items():
            if not is_for_types and (name == guarded or name.startswith(f"{guarded}.")):
                assert path.name in allowed, f"{path.name} imports {name}"


def test_the_ends_of_connections_are_built_in_one_place() -> None:
    built = {}
    for path in modules():
        calls = {
            node.func.id
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        if calls & ENDS:
            built[path.name] = calls & ENDS
    assert built == {"app.py": ENDS}


def test_only_the_outbox_calls_what_sends() -> None:
    """Methods that send are called through an attribute of these names nowhere else."""
    sending = []
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value
                is_end = isinstance(owner, ast.Attribute) and owner.attr in ("_hub", "_custodians", "hub")
                if is_end and node.func.attr in ("submit", "evaluate"):
                    sending.append((path.name, node.func.attr))
    assert sorted(sending) == [("outbox.py", "evaluate"), ("outbox.py", "submit")]


def test_the_node_does_not_use_the_client_for_pushing_to_it() -> None:
    for path in modules():
        names = {name for name, _ in imports(ast.parse(path.read_text(encoding="utf-8")))}
        assert not {name for name in names if name.startswith("enterprise_node.client")}, path.name
