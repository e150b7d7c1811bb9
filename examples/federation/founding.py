"""Founds the federation with an operator's commands: keys, hub, custodians, trust root, nodes, policy."""

from __future__ import annotations

import json
import string
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from examples.federation.layout import (
    AUDITOR,
    CUSTODIAN_THRESHOLD,
    CUSTODIANS,
    ENTERPRISES,
    FIRST_EPOCH,
    ORIGIN,
    POLICY_KEYS,
    ROOT_KEYS,
    ROOT_THRESHOLD,
    WITNESS,
    WITNESS_NAME,
    WITNESS_QUORUM,
    WRITTEN_FIRST_EPOCH,
    Layout,
    Party,
)
from examples.federation.ports import held_address
from examples.federation.prepare import RawData
from examples.federation.processes import Process, Supervisor, is_listening, program, wait_for
from privacy.checkpoint import parse_vkey
from privacy.witness_policy import PolicyWitness, WitnessPolicy, format_policy

Item = TypeVar("Item")
Result = TypeVar("Result")

TEMPLATES = Path(__file__).parent
PACKS = TEMPLATES.parents[1] / "packs"
PACK_VERSION = "1"
# Persons an enterprise may have pseudonymised over its life.
EVALUATION_QUOTA = 10_000


class Founding:
    """One federation being set up."""

    def __init__(self, layout: Layout, supervisor: Supervisor) -> None:
        self._layout = layout
        self._supervisor = supervisor
        self._trust_version = 0

    def hub(self, *arguments: str, accept: Sequence[int] = (0,)) -> dict[str, Any]:
        """Run a command of cgsp-hub."""
        return self._supervisor.call("operator", [program("cgsp-hub"), *arguments, "--json"], accept=accept)

    def hub_at_home(self, *arguments: str, accept: Sequence[int] = (0,)) -> dict[str, Any]:
        """Run a command of cgsp-hub that works with the hub's home."""
        return self.hub(*arguments, "--home", str(self._layout.hub), accept=accept)

    def make_keys(self) -> None:
        """Make the root keys: operator, regulator, auditor."""
        at_once(
            lambda name: self.hub("trust", "keygen", name, "--out", str(self._layout.key(name))), ROOT_KEYS
        )

    def start_hub(self) -> Process:
        """Initialise the hub and let it serve."""
        named = [f"--root-key={name}={self._layout.public_key(name)}" for name in ROOT_KEYS]
        policy = [f"--policy-key={name}={self._layout.public_key(name)}" for name in POLICY_KEYS]
        self.hub_at_home(
            *("init", "--origin", ORIGIN, "--listen-grpc", held_address(), "--listen-https", held_address()),
            *named,
            *("--root-threshold", str(ROOT_THRESHOLD)),
            *policy,
            *("--policy-threshold", "1"),
        )
        serve = [program("cgsp-hub"), "serve", "--home", str(self._layout.hub)]
        process = self._supervisor.start("hub", serve)
        self.wait_for_hub(process)
        return process

    def wait_for_hub(self, process: Process) -> None:
        """Wait until both of the hub's ports accept connections."""
        addresses = hub_addresses(self._layout)
        wait_for("the hub", lambda: all(is_listening(address) for address in addresses), process=process)

    def start_witness(self) -> Process:
        """Let somebody who is neither hub nor custodian witness the log, and write down where."""
        home = ("--home", str(self._layout.witness))
        made = self._supervisor.call(
            WITNESS.id, [program("cgsp-audit"), "witness", "init", "--name", WITNESS_NAME, *home, "--json"]
        )
        log = (self._layout.hub / "log.vkey").read_text(encoding="utf-8").strip()
        address = held_address()
        serve = [program("cgsp-audit"), "witness", "serve", *home, "--log", log, "--listen", address]
        process = self._supervisor.start(WITNESS.id, serve)
        wait_for("the witness", lambda: is_listening(address), process=process)
        witnesses = tuple(PolicyWitness(parse_vkey(vkey), f"http://{address}") for vkey in made["vkeys"])
        policy = format_policy(parse_vkey(log), WitnessPolicy(witnesses, WITNESS_QUORUM))
        self._layout.witness_policy.write_text(policy, encoding="utf-8")
        return process

    def _invite(self, role: str, party: Party, *quota: str) -> str:
        names = ("--id", party.id, "--name", party.name, "--name-zh", party.name_zh)
        return str(self.hub_at_home("invite", "--role", role, *names, *quota)["token"])

    def join_custodians(self) -> None:
        """Invite three custodians, deal the pseudonym key among them, publish the first trust root."""

        def join(party: Party) -> None:
            token = self._invite("custodian", party)
            self._custodian(party, "init", "--token", token, "--listen", held_address())

        at_once(join, CUSTODIANS)
        recipients = [
            f"--recipient={party.id}={self._layout.custodian(party) / 'custodian.pub'}"
            for party in CUSTODIANS
        ]
        keys = {"shares": (), "beacon-shares": ("--beacon",)}
        for folder, purpose in keys.items():
            self._supervisor.call(
                "ceremony",
                [
                    *(program("cgsp-custodian"), "ceremony", "--threshold", str(CUSTODIAN_THRESHOLD)),
                    *recipients,
                    *purpose,
                    *("--out", str(self._layout.handed_over / folder), "--json"),
                ],
            )
        self.publish_trust_root(
            *("--pseudonym-key", str(self._layout.handed_over / "shares" / "pseudonym-key.json")),
            *("--beacon-key", str(self._layout.handed_over / "beacon-shares" / "beacon-key.json")),
            *("--witnesses", str(self._layout.witness_policy)),
        )

    def start_custodians(self) -> list[Process]:
        """Give each custodian its shares of both keys and let it serve."""

        def start(party: Party) -> Process:
            for folder in ("shares", "beacon-shares"):
                share = self._layout.handed_over / folder / f"{party.id}.share"
                trust_root = ("--trust-root", str(self._layout.trust_root))
                self._custodian(party, "import-share", str(share), *trust_root)
            serve = [program("cgsp-custodian"), "serve", "--home", str(self._layout.custodian(party))]
            return self._supervisor.start(party.id, serve)

        return at_once(start, CUSTODIANS)

    def _custodian(self, party: Party, *arguments: str) -> dict[str, Any]:
        home = ("--home", str(self._layout.custodian(party)), "--json")
        return self._supervisor.call(party.id, [program("cgsp-custodian"), *arguments, *home])

    def publish_trust_root(self, *arguments: str) -> None:
        """Propose the next trust root, have two of three sign it, publish it."""
        self._trust_version += 1
        draft = str(self._layout.handed_over / f"trust-root-{self._trust_version}.dsse")
        self.hub_at_home("trust", "propose", *arguments, "--out", draft)
        for name in ROOT_KEYS[:ROOT_THRESHOLD]:
            self.hub("trust", "sign", draft, "--key", str(self._layout.key(name)))
        self.hub_at_home("trust", "publish", draft)

    def join_nodes(self, raw: RawData) -> None:
        """Write each node.toml from its template, let nodes and auditor join, publish the trust root anew."""

        def join(party: Party) -> None:
            home = self._layout.node(party)
            home.mkdir(mode=0o700, parents=True)
            (home / "node.toml").write_text(node_configuration(party, raw), encoding="utf-8")
            self.node(party, "join", self._invite("node", party, "--quota", str(EVALUATION_QUOTA)))

        at_once(join, ENTERPRISES)
        token = self._invite("auditor", AUDITOR)
        home = ("--home", str(self._layout.auditor), "--json")
        self._supervisor.call("auditor", [program("cgsp-audit"), "join", token, *home])
        self.publish_trust_root()

    def node(self, party: Party, *arguments: str, shows_raw_data: bool = False) -> dict[str, Any]:
        """Run a command of cgsp-node."""
        home = ("--home", str(self._layout.node(party)), "--json")
        command = [program("cgsp-node"), *arguments, *home]
        return self._supervisor.call(party.id, command, shows_raw_data=shows_raw_data)

    def publish_policy(self) -> None:
        """Publish every pack of the demo's policy, then the policy itself, signed by the regulator."""
        policy = TEMPLATES / "policy.toml"
        names = tomllib.loads(policy.read_text(encoding="utf-8"))["packs"]
        packs = [str(PACKS / name / PACK_VERSION) for name in names]
        key = ("--key", str(self._layout.key(POLICY_KEYS[0])))
        self.hub_at_home("pack", "publish", *packs, *key)
        self.hub_at_home("policy", "publish", str(self._policy(policy)), *key)

    def _policy(self, written: Path) -> Path:
        """Give the policy to publish: for more months than two it begins earlier and has annual anchors."""
        if FIRST_EPOCH == WRITTEN_FIRST_EPOCH:
            return written
        text = written.read_text(encoding="utf-8").replace(WRITTEN_FIRST_EPOCH, FIRST_EPOCH)
        text = text.replace('person_day = "1/2"', 'person_day = "1"')
        longer = self._layout.handed_over / "policy.toml"
        longer.write_text(f'{text}\n[anchor]\nepsilon = "1/2"\nmonth = 12\n', encoding="utf-8")
        return longer


def at_once(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Do independent commands side by side; the first failure is raised when all have ended."""
    with ThreadPoolExecutor(max_workers=len(items)) as pool:
        return list(pool.map(work, items))


def hub_addresses(layout: Layout) -> tuple[str, str]:
    """Give the hub's gRPC and HTTPS addresses, which init chose."""
    settings = tomllib.loads((layout.hub / "hub.toml").read_text())
    return str(settings["listen_grpc"]), str(settings["listen_https"])


def node_configuration(party: Party, raw: RawData) -> str:
    """Fill an enterprise's node.toml template with paths and what its data is."""
    template = string.Template((TEMPLATES / party.id / "node.toml").read_text(encoding="utf-8"))
    paths = {name: json.dumps(str(path))[1:-1] for name, path in raw.paths.items()}
    return template.substitute(paths, template=TEMPLATES / party.id, packs=PACKS, data=raw.data[party.id])
