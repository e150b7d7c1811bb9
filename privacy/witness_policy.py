"""Which witnesses are asked and how many must have cosigned: C2SP tlog-policy (c2sp.org/tlog-policy).

A trust root knows "k of these witnesses", so of the format's nested groups only that is taken: a quorum that
is none, one witness, or a group of k over all of them; a witness with two keys is an inner group of `any`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from privacy import checkpoint
from privacy.checkpoint import Vkey
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID

POLICY_BYTES_MAX = 65_536
NONE = "none"

_SPACE = re.compile(r"[ \t]+")
_COUNT = re.compile(r"[1-9][0-9]{0,4}")


@dataclass(frozen=True, slots=True)
class PolicyWitness:
    """A witness's key and where it takes checkpoints; `url` is empty where it is not asked from here."""

    vkey: Vkey
    url: str = ""


@dataclass(frozen=True, slots=True)
class WitnessPolicy:
    """Witnesses, one item a key, and how many of them (by name) make a quorum."""

    witnesses: tuple[PolicyWitness, ...]
    quorum: int

    @property
    def vkeys(self) -> tuple[Vkey, ...]:
        """Give all verifier keys."""
        return tuple(item.vkey for item in self.witnesses)


def parse_policy(data: bytes) -> WitnessPolicy:
    """Read a policy file; raises Malformed naming the line."""
    if len(data) > POLICY_BYTES_MAX:
        raise _invalid(1, f"the file has more than {POLICY_BYTES_MAX} bytes")
    parsed = _Parsed()
    for number, words in _lines(data):
        parsed.take(number, words)
    return parsed.policy()


def format_policy(log: Vkey, policy: WitnessPolicy) -> str:
    """Write a policy file that other clients of the format read."""
    by_name: dict[str, list[str]] = {}
    lines = [f"log {log}"]
    for number, item in enumerate(policy.witnesses, start=1):
        name = f"w{number}"
        lines.append(f"witness {name} {item.vkey} {item.url}".rstrip())
        by_name.setdefault(item.vkey.name, []).append(name)
    members = []
    for number, names in enumerate(by_name.values(), start=1):
        if len(names) > 1:
            lines.append(f"group party{number} any {' '.join(names)}")
        members.append(names[0] if len(names) == 1 else f"party{number}")
    if policy.quorum:
        lines.append(f"group witnesses {policy.quorum} {' '.join(members)}")
    lines.append(f"quorum {'witnesses' if policy.quorum else NONE}")
    return "\n".join(lines) + "\n"


class _Parsed:
    """What the lines read so far have defined."""

    def __init__(self) -> None:
        self._witnesses: dict[str, PolicyWitness] = {}
        # Of each group: how many of its members, and the parties (key names) it covers.
        self._groups: dict[str, tuple[int, frozenset[str]]] = {}
        self._quorum: tuple[int, frozenset[str]] | None = None
        self._line = 0

    def take(self, number: int, words: Sequence[str]) -> None:
        self._line = number
        match words:
            case ["log", vkey, *rest] if len(rest) <= 1:
                checkpoint.parse_vkey(vkey)
            case ["witness", name, vkey, *rest] if len(rest) <= 1:
                self._define(name)
                self._witnesses[name] = PolicyWitness(self._vkey(vkey), rest[0] if rest else "")
            case ["group", name, count, *members] if members:
                self._define(name)
                self._groups[name] = self._group(count, members)
            case ["quorum", name] if self._quorum is None:
                self._quorum = (0, frozenset()) if name == NONE else self._found(name)
            case _:
                raise self._wrong("it is no line of a policy, or a second quorum")

    def policy(self) -> WitnessPolicy:
        if self._quorum is None:
            raise self._wrong("there is no quorum line")
        count, parties = self._quorum
        if count and parties != {item.vkey.name for item in self._witnesses.values()}:
            raise self._wrong("the quorum must be over all witnesses of the file")
        return WitnessPolicy(tuple(self._witnesses.values()), count)

    def _define(self, name: str) -> None:
        if name == NONE or name in self._witnesses or name in self._groups:
            raise self._wrong(f"the name '{name}' is taken")

    def _vkey(self, text: str) -> Vkey:
        vkey = checkpoint.parse_vkey(text)
        known = {item.vkey.public for item in self._witnesses.values()}
        if vkey.algorithm == checkpoint.ED25519 or vkey.public in known:
            raise self._wrong("a witness has a cosigning key of its own")
        return vkey

    def _group(self, count: str, members: Sequence[str]) -> tuple[int, frozenset[str]]:
        found = [self._found(name) for name in members]
        parties = frozenset[str]().union(*(names for _, names in found))
        if any(needed != 1 or len(names) != 1 for needed, names in found):
            raise self._wrong("a group's members are witnesses, or `any` of one witness's keys")
        wanted = {"any": 1, "all": len(parties)}.get(count) or self._count(count)
        if wanted > len(parties):
            raise self._wrong(f"{wanted} of {len(parties)} witnesses cannot be had")
        if count != "any" and len(parties) != len(found):
            raise self._wrong("one witness stands in the group twice")
        return wanted, parties

    def _count(self, text: str) -> int:
        if not _COUNT.fullmatch(text):
            raise self._wrong("a group is any, all or a number of its members")
        return int(text)

    def _found(self, name: str) -> tuple[int, frozenset[str]]:
        if name in self._witnesses:
            return 1, frozenset({self._witnesses[name].vkey.name})
        if name not in self._groups:
            raise self._wrong(f"'{name}' is not defined above")
        return self._groups[name]

    def _wrong(self, what: str) -> Malformed:
        return _invalid(self._line, what)


def _lines(data: bytes) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), start=1):
        text = line.strip(" \t")
        if text and not text.startswith("#"):
            yield number, _SPACE.split(text)


def _invalid(line: int, what: str) -> Malformed:
    return Malformed(
        REASON_CONFIGURATION_INVALID,
        f"Witness policy, line {line}: {what}.",
        remedy="c2sp.org/tlog-policy has the form: witness NAME VKEY URL, group NAME K NAME…, quorum NAME.",
    )
