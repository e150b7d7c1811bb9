"""Who takes part in the demo and where each keeps its files, all under one home folder."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from protos.epochs import format_epoch, parse_epoch, shift_epoch

ORIGIN = "demo.cgsp.example/log"
# `make demo MONTHS=14` releases more months, with an annual anchor; earlier ones have little data or none.
MONTHS = int(os.environ.get("MONTHS") or 2)
LAST_EPOCH = parse_epoch("2021-01")
EPOCHS = tuple(format_epoch(shift_epoch(LAST_EPOCH, months)) for months in range(1 - MONTHS, 1))
FIRST_EPOCH = EPOCHS[0]
# As policy.toml is written, for two months.
WRITTEN_FIRST_EPOCH = "2020-12"

ROOT_KEYS = ("operator", "regulator", "auditor")
ROOT_THRESHOLD = 2
# Either may sign packs and the policy; a programme needs both.
POLICY_KEYS = ("regulator", "operator")

CUSTODIAN_THRESHOLD = 2

MARKER = "federation-demo"


@dataclass(frozen=True, slots=True)
class Party:
    """Id and names of one who joins."""

    id: str
    name: str
    name_zh: str


CUSTODIANS = (
    Party("custodian-regulator", "Regulator", "主管部门"),
    Party("custodian-auditor", "Auditor", "审计机构"),
    Party("custodian-operator", "Hub operator", "平台运营方"),
)
ENTERPRISES = (
    Party("retailer", "Journey Groceries (demo)", "旅程超市（演示）"),
    Party("bikeshare", "Valley Bikes (demo)", "山谷单车（演示）"),
    Party("utility", "Grid Light (demo)", "光网电力（演示）"),
)
WITNESS = Party("university", "University (demo)", "大学（演示）")
WITNESS_NAME = "witness.university.example/w1"
WITNESS_QUORUM = 1
AUDITOR = Party("public-auditor", "Public auditor", "公众审计")


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of one run."""

    home: Path

    @property
    def hub(self) -> Path:
        """Give the hub's home."""
        return self.home / "hub"

    @property
    def keys(self) -> Path:
        """Give the folder of the root keys; in real life three safes."""
        return self.home / "keys"

    @property
    def raw(self) -> Path:
        """Give the folder of the enterprises' own files."""
        return self.home / "raw"

    @property
    def logs(self) -> Path:
        """Give the folder of the processes' logs."""
        return self.home / "logs"

    @property
    def handed_over(self) -> Path:
        """Give the folder of what parties hand each other: trust roots, shares, commitments."""
        return self.home / "handed-over"

    @property
    def trust_root(self) -> Path:
        """Give the first trust root, which verifiers get out of band."""
        return self.handed_over / "trust-root-1.dsse"

    @property
    def auditor(self) -> Path:
        """Give the auditor's home."""
        return self.home / "auditor"

    @property
    def witness(self) -> Path:
        """Give the home of the witness, who is neither hub nor custodian."""
        return self.home / "witness"

    @property
    def witness_policy(self) -> Path:
        """Give the file that says who witnesses the log and where (c2sp.org/tlog-policy)."""
        return self.handed_over / "witness-policy"

    @property
    def bundle(self) -> Path:
        """Give the folder of the exported log with its bodies."""
        return self.home / "bundle"

    @property
    def summary(self) -> Path:
        """Give the file with the run's figures."""
        return self.home / "summary.json"

    def custodian(self, party: Party) -> Path:
        """Give a custodian's home."""
        return self.home / "custodians" / party.id

    def node(self, party: Party) -> Path:
        """Give a node's home."""
        return self.home / "nodes" / party.id

    def key(self, name: str) -> Path:
        """Give a root key's private file."""
        return self.keys / f"{name}.key"

    def public_key(self, name: str) -> Path:
        """Give a root key's public file."""
        return self.keys / f"{name}.key.pub"


def open_fresh(home: Path) -> Layout:
    """Make an empty home; what a former run left there is removed, anything else is refused."""
    if home.exists() and any(home.iterdir()):
        if not (home / MARKER).exists():
            raise FileExistsError(f"{home} holds something that is not a demo's; name another folder.")
        shutil.rmtree(home)
    layout = Layout(home)
    for folder in (home, layout.keys, layout.logs, layout.handed_over, layout.raw):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (home / MARKER).touch()
    return layout
