"""A city in one process whose every part is real: hub, custodians, two nodes that read files of their own.

An app that counts steps and a bank that pays for them know some of the same people. Only the noise is
listened to: what each node hands to its sampler is kept, so that sums before noise can be compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
from click.testing import CliRunner
from numpy.typing import NDArray

from custodian.app import Custodian
from custodian.cli import custodian as custodian_program
from custodian.setup import Opened as OpenedCustodian
from enterprise_node.app import App, build_app, open_ports
from enterprise_node.cli import node as node_program
from enterprise_node.membership import Membership
from enterprise_node.pipeline import Course
from enterprise_node.store.outward import SCHEMAS
from enterprise_node.workspace import open_workspace
from hub.app import Hub
from hub.cli import hub as hub_program
from hub.configuration import Home
from hub.setup import Opened as OpenedHub
from privacy import noise
from protos.epochs import Epoch, format_epoch

PACKS = Path(__file__).parents[2] / "packs"
ORIGIN = "walks.cgsp.example/log"
APP, BANK = "steps-app", "bank"
CUSTODIANS = ("regulator", "university")
STEP_CLASS = "OC-STEP"
DECEMBER, JANUARY = Epoch(202012), Epoch(202101)

# The shipped pack pays grams; a tariff of the same class pays points for the same records.
POINTS_PACK = """
id = "trv.walk_points"
version = 1
domain = "travel"
overlap_class = "OC-STEP"
activity = "walk.steps"
purpose = "points"
formula = "0 * steps"

[names]
en = "Walking (points)"
zh = "步行（积分）"

[baseline]
kind = "none"
text = "None: points for a day's walk."

[inputs]
steps = "step"

[tariff]
per = "day"
of = "records"
unit = "1"
each = { amount = "1", points = 5 }
maximum = 20
month_maximum = 200
source = "Made up for this test"
confidence = "illustrative"
"""
POINTS_VECTOR = """
[[vectors]]
inputs = { steps = "5000" }
milligrams = 0
points = 5
"""
NODE = """
enterprise_id = "{id}"
name = "{id}"
name_zh = "{id}"
region = "east"
packs = ["{walk}", "{points}"]
data = "synthetic"

[persons]
path = "register.csv"
columns = {{ mobile = {{ type = "text", private = true }} }}
person = "mobile"

[[source]]
id = "walks"
path = "walks*.csv"
record = ["walk"]
person = "mobile"
activity = "walk.steps"

[source.columns]
walk = "text"
mobile = {{ type = "text", private = true }}
start = "text"
steps = "integer"

[source.time]
column = "start"

[source.inputs]
steps = {{ column = "steps", unit = "step" }}
"""
POLICY = """
id = "walking-city"
version = 1
first_epoch = "2020-12"
regions = ["east"]
packs = ["trv.walk_steps", "trv.walk_points"]
retrospective = true
commitment_deadline_days = 36000

[allowance]
person_day = "2"
person_month = "2"

[limits]
idle_extraction_grams_max = 100000
"""
MEASURES = """
[enterprises.{id}]
month_clamp_grams = 5000
[enterprises.{id}.measures.walks]
packs = ["trv.walk_steps"]
day_clamp_grams = 500
[enterprises.{id}.measures.strides]
packs = ["trv.walk_points"]
kind = "points"
"""


@dataclass(frozen=True, slots=True)
class Exact:
    """What one node said of an epoch before noise: grams, points and leaves by mobile number, cells."""

    grams: Mapping[str, int]
    points: Mapping[str, int]
    committed_mg: Mapping[str, int]
    cells: Mapping[str, Sequence[int]]


@dataclass
class Node:
    """One enterprise: a home with raw files, opened anew for each thing it does."""

    id: str
    home: Path
    drawn: list[NDArray[np.int64]] = field(default_factory=list)

    def write_register(self, *mobiles: str) -> None:
        """Say who its persons are."""
        self._write("register.csv", "mobile", mobiles)

    def write_walks(self, epoch: Epoch, mobiles: Sequence[str], steps: int) -> None:
        """Record one walk of so many steps for each, on the same day."""
        day = f"{format_epoch(epoch)}-05 08:00:00"
        rows = [f"{epoch}-{one},{mobile},{day},{steps}" for one, mobile in enumerate(mobiles)]
        self._write(f"walks-{epoch}.csv", "walk,mobile,start,steps", rows)

    @contextmanager
    def opened(self) -> Iterator[App]:
        """Open the node as its own process would; what is drawn over is kept."""
        workspace, membership = open_workspace(self.home, schemas=SCHEMAS), Membership.load(self.home)
        app = build_app(workspace, membership, open_ports(membership), Course(), draw=self._listen)
        try:
            yield app
        finally:
            app.close()

    def enrol(self, effective: Epoch) -> int:
        """Read the files and enrol who is new; gives how many."""
        with self.opened() as app:
            app.pipeline.ingest()
            app.pipeline.wait_until_ready(effective)
            return app.pipeline.enrol(effective).enrolled

    def release(self, epoch: Epoch) -> Exact:
        """Release an epoch; gives what it said before noise, as its sampler got it."""
        self.drawn.clear()
        with self.opened() as app:
            app.pipeline.run([epoch])
            pipeline, persons = app.pipeline, app.workspace.persons
            series = pipeline.following.policy_for(epoch).series(self.id)
            vectors = {one.name: row.tolist() for one, row in zip(series, self.drawn, strict=True)}
            numbers = [one.person for one in pipeline.roster.active(epoch)]
            mobiles = [name.rpartition(b"\x1f")[2].decode() for name in persons.identifiers(numbers)]
            by_mobile = {
                name: dict(zip(mobiles, vectors[name], strict=True))
                for name in vectors
                if "statement" in name
            }
            net = pipeline.commitments.tree(epoch).net(0).tolist()
            cells = {name: vectors[name] for name in vectors if "histogram" in name}
            committed = dict(zip(mobiles, net, strict=True))
            return Exact(by_mobile["statement/walks"], by_mobile["statement/strides"], committed, cells)

    def _listen(self, values: NDArray[np.int64], scale: int) -> NDArray[np.int64]:
        self.drawn.append(values.copy())
        return noise.discrete_laplace(values, scale)

    def _write(self, name: str, header: str, rows: Sequence[str]) -> None:
        (self.home / name).write_text("\n".join([header, *rows, ""]), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class WalkingCity:
    """The running city: its hub, its two nodes, and the trust root an auditor was handed."""

    folder: Path
    hub: Hub
    opened_hub: OpenedHub
    nodes: Mapping[str, Node]

    def close(self, epoch: Epoch) -> None:
        """Close an epoch's books."""
        self.run("close", format_epoch(epoch), "--wait", "60", at_home=True)

    def run(self, *arguments: str, at_home: bool = False) -> dict[str, Any]:
        """Run a command of cgsp-hub here."""
        return run_hub(self.folder, *arguments, at_home=at_home)

    @property
    def trust_root(self) -> Path:
        """Give the first trust root's file."""
        return self.folder / "trust-root-1.dsse"


@contextmanager
def walking_city(folder: Path) -> Iterator[WalkingCity]:
    """Found the city and leave it serving; nobody is enrolled yet."""
    with ExitStack() as serving:
        root = folder / "operator.key"
        run_hub(folder, "trust", "keygen", "operator", "--out", str(root))
        named = f"operator={root}.pub"
        keys = (f"--root-key={named}", "--root-threshold", "1", f"--policy-key={named}")
        run_hub(folder, "init", "--origin", ORIGIN, *keys, "--policy-threshold", "1", at_home=True)
        opened = OpenedHub.load(Home(folder / "hub"))
        hub = serving.enter_context(Hub(opened))
        _found_custodians(folder, serving)
        nodes = {name: _joined(folder, name) for name in (APP, BANK)}
        _publish_root(folder, 2)
        _publish_policy(folder, root)
        yield WalkingCity(folder, hub, opened, nodes)


def run_hub(folder: Path, *arguments: str, at_home: bool = False) -> dict[str, Any]:
    """Run a command of cgsp-hub here."""
    home = ("--home", str(folder / "hub")) if at_home else ()
    return _run(hub_program, *arguments, *home)


def _found_custodians(folder: Path, serving: ExitStack) -> None:
    """Let custodians join, deal the key among them, publish the first trust root, let them serve."""
    homes = {name: folder / name for name in CUSTODIANS}
    for name, home in homes.items():
        token = _invited(folder, "custodian", name)
        _run(custodian_program, "init", "--token", token, "--home", str(home))
    recipients = [f"--recipient={name}={home / 'custodian.pub'}" for name, home in homes.items()]
    shares = folder / "shares"
    _run(custodian_program, "ceremony", "--threshold", "2", *recipients, "--out", str(shares))
    _publish_root(folder, 1, "--pseudonym-key", str(shares / "pseudonym-key.json"))
    pinned = ("--trust-root", str(folder / "trust-root-1.dsse"))
    for name, home in homes.items():
        share = str(shares / f"{name}.share")
        _run(custodian_program, "import-share", share, *pinned, "--home", str(home))
        serving.enter_context(Custodian(OpenedCustodian.load(home)))


def _joined(folder: Path, name: str) -> Node:
    """Write an enterprise's configuration and let it join."""
    home, points = folder / name, folder / "walk_points"
    home.mkdir(mode=0o700)
    points.mkdir(exist_ok=True)
    (points / "pack.toml").write_text(POINTS_PACK, encoding="utf-8")
    (points / "vectors.toml").write_text(POINTS_VECTOR, encoding="utf-8")
    text = NODE.format(id=name, walk=PACKS / "trv.walk_steps" / "1", points=points)
    (home / "node.toml").write_text(text, encoding="utf-8")
    token = _invited(folder, "node", name, "--quota", "100")
    _run(node_program, "join", token, "--home", str(home))
    return Node(name, home)


def _publish_root(folder: Path, version: int, *arguments: str) -> None:
    draft = str(folder / f"trust-root-{version}.dsse")
    run_hub(folder, "trust", "propose", *arguments, "--out", draft, at_home=True)
    run_hub(folder, "trust", "sign", draft, "--key", str(folder / "operator.key"))
    run_hub(folder, "trust", "publish", draft, at_home=True)


def _publish_policy(folder: Path, key: Path) -> None:
    packs = (str(PACKS / "trv.walk_steps" / "1"), str(folder / "walk_points"))
    run_hub(folder, "pack", "publish", *packs, "--key", str(key), at_home=True)
    policy = folder / "policy.toml"
    policy.write_text(POLICY + "".join(MEASURES.format(id=name) for name in (APP, BANK)), encoding="utf-8")
    run_hub(folder, "policy", "publish", str(policy), "--key", str(key), at_home=True)


def _invited(folder: Path, role: str, name: str, *arguments: str) -> str:
    party = ("--role", role, "--id", name, "--name", name)
    return str(run_hub(folder, "invite", *party, *arguments, at_home=True)["token"])


def _run(program: click.Command, *arguments: str) -> dict[str, Any]:
    """Run a program's command in this process, as a shell would, and read what it prints."""
    done = CliRunner().invoke(program, [*arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed
