"""Each role's extra installs what its program imports: nobody needs another role's libraries."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("protos", "privacy", "accounting", "engine", "runtime")
ROLES = {"node": "enterprise_node", "hub": "hub", "custodian": "custodian", "auditor": "auditor"}
# What comes with a library named, and the extras that add to a role.
WITH = {"pydantic-core": "pydantic", "starlette": "fastapi", "py4j": "pyspark"}
ADDED = ("postgres", "spark")
# Imported where a half-width is reckoned, which a custodian never does.
NEVER_REACHED = {("custodian", "numpy")}


@cache
def modules() -> dict[str, Path]:
    found = (path for folder in (*OURS, *ROLES.values()) for path in (ROOT / folder).rglob("*.py"))
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in found
    }


@cache
def imports(module: str) -> frozenset[str]:
    """Give all that a module imports when it runs, inside functions too."""
    tree = ast.parse(modules()[module].read_bytes())
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and id(node) not in for_types:
            found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
    return frozenset(found)


def libraries(package: str) -> Iterator[str]:
    """Give the distributions behind what a package imports, on all ways."""
    todo = [name for name in modules() if name.split(".")[0] == package]
    seen = set(todo)
    named: set[str] = set()
    while todo:
        for name in imports(todo.pop()):
            if name in modules() and name not in seen:
                seen.add(name)
                todo.append(name)
            named.add(name.split(".")[0])
    distributions = importlib.metadata.packages_distributions()
    for name in sorted(named - set(sys.stdlib_module_names) - {*OURS, *ROLES.values(), "packs"}):
        yield from (spelled(one) for one in distributions.get(name, [name]))


def spelled(name: str) -> str:
    return re.split(r"[<>=\[;~! ]", name)[0].lower().replace("_", "-")


@pytest.mark.parametrize("role", ROLES)
def test_a_roles_extra_has_what_its_program_imports(role: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    listed = {
        spelled(one)
        for group in (project["dependencies"], *(extras[name] for name in (role, *ADDED)))
        for one in group
    }
    needed = {WITH.get(one, one) for one in libraries(ROLES[role]) if (role, one) not in NEVER_REACHED}
    assert len(needed) > 5
    # One package may come from either of two distributions.
    assert {one for one in needed - listed if one not in ("protobuf", "googleapis-common-protos")} == set()
