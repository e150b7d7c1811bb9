"""The house's style as a test: sizes, suppressions and dead names, read from the syntax of every module."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from enterprise_node.cli import MODULES as NODE
from hub.cli import MODULES as HUB

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "protos",
    "privacy",
    "accounting",
    "engine",
    "runtime",
    "enterprise_node",
    "hub",
    "custodian",
    "auditor",
)
OTHERS = ("examples", "benchmarks", "tests")
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
SUPPRESSED = re.compile(r"#\s*(ruff:\s*)?noqa(?P<rest>.*)")
LOOKED_FOR = re.compile(r"noqa|type:\s*ignore|TODO|FIXME|XXX|HACK")
REASONED = re.compile(r":\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*\s+[-(]\s*\S+")
# What stands although only tests name it, and why.
KEPT = {
    "accounting.accounts.population_sql": "the released cells' sum as one text, for Spark as for DuckDB",
    "accounting.accounts.unlinked_sql": "what the fold leaves out: with it the books' conservation is shown",
    "accounting.ledger.wallets.STEP_COLUMNS": "says what step_sql gives",
    "hub.store.database.TABLES": "importing tables adds them to the metadata",
    "privacy.merkle.consistency_proof": "the pair of RFC 9162's verifier",
    "privacy.oprf.derive_key_pair": "the vectors of RFC 9497 begin at a seed",
    "privacy.releases.to_raw": "the pair of from_raw",
}
# Whoever decorates a name otherwise than so registers it somewhere, and uses it there.
PLAIN_DECORATORS = ("dataclass", "cache", "functools.", "contextmanager", "contextlib.")


@cache
def modules() -> dict[Path, ast.Module]:
    """Parse every module of ours."""
    found = (path for folder in (*PACKAGES, *OTHERS) for path in sorted((ROOT / folder).rglob("*.py")))
    return {path.relative_to(ROOT): ast.parse(path.read_bytes()) for path in found if "_pb2" not in path.name}


def dotted(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Give the comments of a module that has one of the words looked for."""
    text = (ROOT / path).read_text("utf-8")
    if LOOKED_FOR.search(text):
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def unreasoned(comment: str) -> bool:
    found = SUPPRESSED.search(comment)
    return found is not None and not REASONED.match(found["rest"])


def test_suppressions_say_why_and_nothing_is_left_unfinished() -> None:
    assert unreasoned("# noqa") and unreasoned("# noqa: S608") and UNFINISHED.search("# TODO later")
    assert not unreasoned("# noqa: S608 (marks only)")
    wrong = [
        f"{path}:{line} {text}"
        for path in modules()
        for line, text in comments(path)
        if unreasoned(text) or UNFINISHED.search(text) or re.search(r"type:\s*ignore(?!\[)", text)
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_and_functions_fit_a_readers_head() -> None:
    long = [
        f"{path} has {lines} lines"
        for path in modules()
        if (lines := len((ROOT / path).read_bytes().splitlines())) > MODULE_LINES_MAX
    ]
    long += [
        f"{path}:{node.lineno} {node.name} has {lines} lines"
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert not long, "\n".join(long)


@cache
def uses() -> dict[str, set[Path]]:
    """Give for every dotted name the modules that name it."""
    names = {dotted(path) for path in modules()}
    found: dict[str, set[Path]] = defaultdict(set)
    for path, tree in modules().items():
        aliases: dict[str, str] = {}
        attributes: set[tuple[str, str]] = set()
        for node in ast.walk(tree):
            match node:
                case ast.ImportFrom(module=str(module)):
                    for one in node.names:
                        whole = f"{module}.{one.name}"
                        found[whole].add(path)
                        if whole in names:
                            aliases[one.asname or one.name] = whole
                case ast.Name(id=name, ctx=ast.Load()):
                    found[f"{dotted(path)}.{name}"].add(path)
                case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                    attributes.add((name, attribute))
        for name, attribute in attributes:
            found[f"{aliases.get(name, '')}.{attribute}"].add(path)
    return found


def defined(path: Path, tree: ast.Module) -> Iterator[str]:
    """Give the top-level names that nothing registers elsewhere."""
    for node in tree.body:
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                decorators = [ast.unparse(one) for one in node.decorator_list]
                if all(one.startswith(PLAIN_DECORATORS) for one in decorators):
                    yield f"{dotted(path)}.{node.name}"
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if name != "__all__":
                    yield f"{dotted(path)}.{name}"


def entry_points() -> set[str]:
    """Give what is called by its name alone: programs, and the commands that lazy groups look up."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    commands = {f"{module}.COMMANDS" for modules in (NODE, HUB) for module in modules.values()}
    return commands | {one.replace(":", ".") for one in scripts.values()}


def test_every_name_of_the_packages_is_used_by_more_than_tests() -> None:
    alive = entry_points() | set(KEPT)
    dead = [
        name
        for path, tree in modules().items()
        if path.parts[0] in PACKAGES and "migrations" not in path.parts
        for name in defined(path, tree)
        if name not in alive and all(one.parts[0] == "tests" for one in uses()[name])
    ]
    assert not dead, "\n".join(dead)


@pytest.mark.parametrize("name", sorted(KEPT))
def test_what_is_kept_for_tests_is_still_there_and_still_unused(name: str) -> None:
    assert any(name in set(defined(path, tree)) for path, tree in modules().items())
    assert all(one.parts[0] == "tests" for one in uses()[name])


def test_every_helper_of_the_tests_is_used() -> None:
    # Found by pytest, or by the module's own globals.
    hooks = ("pytest", "test_", "Test", "change_")
    dead = [
        name
        for path, tree in modules().items()
        if path.parts[0] == "tests"
        for name in defined(path, tree)
        if not uses()[name] and not name.rpartition(".")[2].startswith(hooks)
    ]
    assert not dead, "\n".join(dead)
