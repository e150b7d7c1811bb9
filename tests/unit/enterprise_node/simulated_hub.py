"""A hub in memory whose rules, receipts and log are real, and a small node's home to run against it."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accounting.packs import Pack
from enterprise_node.app import App, build_app
from enterprise_node.assembly import Ports
from enterprise_node.contents import Draw
from enterprise_node.local_keys import KEY_FILE
from enterprise_node.membership import Membership
from enterprise_node.pipeline import Course
from enterprise_node.release import OnStep, no_step
from enterprise_node.rpc import GrpcCustodians
from enterprise_node.store.outward import SCHEMAS
from enterprise_node.workspace import open_workspace
from privacy import codec, envelope
from privacy.acceptance import LogState
from privacy.envelope import Kind
from privacy.receipts import Receipt, sign_receipt
from protos.problems import Unavailable
from protos.v1 import policy_pb2
from protos.v1.problem_pb2 import REASON_PEER_UNREACHABLE
from runtime.files import write_private
from runtime.retries import RetryPolicy
from tests.simulated_log import SimulatedLog
from tests.unit.enterprise_node.simulators import ENTERPRISE, ORIGIN, Federation, signing_key


class SimulatedHub:
    """A hub whose intake and log are real in every rule; it can be down, or lose its answers."""

    def __init__(self, federation: Federation) -> None:
        self.log = SimulatedLog(ORIGIN, signing_key("log"))
        self.state = LogState()
        self.received: list[tuple[bytes, list[bytes]]] = []
        self.is_down = False
        self.losing = 0
        self._receipts: dict[bytes, bytes] = {}
        self._pending: list[tuple[bytes, list[bytes]]] = []
        self.is_merging = True
        self.submit(federation.root_envelope, [])

    @property
    def address(self) -> str:
        return "hub.test:1"

    def submit(self, data: bytes, bodies: Sequence[bytes]) -> bytes:
        """Take one message as the real intake does."""
        if self.is_down:
            raise Unavailable(REASON_PEER_UNREACHABLE, "The hub is down.")
        self.received.append((data, list(bodies)))
        name = hashlib.sha256(data).digest()
        if name not in self._receipts:
            admission = self.state.check(data, list(bodies))
            self.state.apply(admission)
            self._pending.append((data, list(bodies)))
            promise = Receipt(ORIGIN, admission.index, admission.leaf_hash, 1_700_000_000)
            self._receipts[name] = sign_receipt(promise, signing_key("hub"))
            self.merge()
        if self.losing:
            self.losing -= 1
            raise Unavailable(REASON_PEER_UNREACHABLE, "The answer was lost.")
        return self._receipts[name]

    def merge(self) -> None:
        """Put what was received into the log."""
        if self.is_merging:
            for data, bodies in self._pending:
                self.log.bodies_by_index[len(self.log.list)] = bodies
                self.log.append(data)
            self._pending = []

    def publish(self, kind: Kind, message: Any, bodies: Sequence[bytes] = ()) -> bytes:
        """Publish a document signed by the policy key."""
        data = envelope.sign(codec.encode(message), kind, [signing_key("policy")])
        self.submit(data, bodies)
        return data

    def publish_policy(self, pack: Pack, *, body: bytes = b"", **changes: Any) -> None:
        """Publish a pack (or another content under its id) and a policy over it."""
        body = body or pack.canonical_bytes()
        sha256 = hashlib.sha256(body).digest()
        if (pack.id, pack.version) not in self.state.packs:
            self.publish(
                Kind.PACK,
                policy_pb2.PackRecord(
                    origin=ORIGIN, id=pack.id, version=pack.version, sha256=sha256, size=len(body)
                ),
                [body],
            )
        mine = {"month_clamp_grams": 5000, "sum_reach_grams": 5000, "count_reach": 4}
        mine |= {"day_clamp_grams": 500, "reach_grams": 500}
        mine |= {name: changes.pop(name) for name in list(changes) if name in mine}
        measure = policy_pb2.Measure(
            id="rides",
            pack_ids=[pack.id],
            day_clamp_grams=mine.pop("day_clamp_grams"),
            reach_grams=mine.pop("reach_grams"),
            kind=changes.pop("kind", policy_pb2.MEASURE_KIND_UNSPECIFIED),
            later=_later(changes.pop("later", {})),
        )
        sum_later = _later(changes.pop("sum_later", {}))
        fields: dict[str, Any] = {
            "id": "test-city",
            "version": len(self.state.policies) + 1,
            "origin": ORIGIN,
            "first_epoch": 202012,
            "statement_epsilon": policy_pb2.Ratio(numerator=1, denominator=2),
            "sum_epsilon": policy_pb2.Ratio(numerator=2, denominator=5),
            "count_epsilon": policy_pb2.Ratio(numerator=1, denominator=10),
            "person_day_allowance": policy_pb2.Ratio(numerator=1, denominator=2),
            "person_month_allowance": policy_pb2.Ratio(numerator=1, denominator=1),
            "regions": ["east", "west"],
            "domains": ["travel", "life"],
            "packs": [
                policy_pb2.PackReference(
                    id=pack.id,
                    version=pack.version,
                    sha256=sha256,
                    domain=pack.domain,
                    overlap_class=pack.overlap_class,
                )
            ],
            "enterprises": [
                policy_pb2.EnterprisePolicy(
                    enterprise_id=ENTERPRISE, measures=[measure], sum_later=sum_later, **mine
                )
            ],
            "roster_batch_min": 5,
            "issued_at": 1_600_000_000,
        }
        self.publish(Kind.POLICY, policy_pb2.Policy(**(fields | changes)))


def _later(parts: dict[int, int]) -> list[policy_pb2.LaterReach]:
    return [policy_pb2.LaterReach(months=months, reach=reach) for months, reach in parts.items()]


TODAY = datetime.date(2026, 1, 1)
IMPATIENT = RetryPolicy(attempts_max=3, first_seconds=0.001, wait_seconds_max=0.01)
RIDERS = 30
NODE_TOML = """
enterprise_id = "bikeshare"
name = "Bikes"
name_zh = "单车"
region = "east"
packs = ["{packs}"]

[persons]
path = "riders.csv"
columns = {{ user = "text", mobile = {{ type = "text", private = true }} }}
person = "mobile"

[[source]]
id = "trips"
path = "trips.csv"
record = ["trip"]
person = "mobile"
activity = "trip.bicycle"

[source.columns]
trip = "text"
mobile = {{ type = "text", private = true }}
start = "text"
metres = "integer"

[source.time]
column = "start"

[source.inputs]
distance = {{ column = "metres", unit = "m" }}
"""
PACKS = Path(__file__).parents[3] / "packs"


def write_home(home: Path) -> None:
    """Write a small bike-share node: 30 riders, the first ten with trips in December, five in January."""
    home.mkdir(mode=0o700, parents=True)
    (home / "node.toml").write_text(NODE_TOML.format(packs=PACKS / "trv.shared_bike" / "1"), encoding="utf-8")
    riders = [f"{rider},138{rider:08d}" for rider in range(RIDERS)]
    (home / "riders.csv").write_text("user,mobile\n" + "\n".join(riders) + "\n")
    trips = [
        f"d{rider}-{day},138{rider:08d},2020-12-{day:02d} 08:00:00,{1000 * (rider + 1)}"
        for rider in range(10)
        for day in (3, 4)
    ]
    trips += [f"j{rider},138{rider:08d},2021-01-05 08:00:00,2000" for rider in range(5)]
    (home / "trips.csv").write_text("trip,mobile,start,metres\n" + "\n".join(trips) + "\n")
    write_private(home / KEY_FILE, b"k" * 32)


def open_node(
    home: Path,
    federation: Federation,
    hub: SimulatedHub,
    *,
    draw: Draw | None = None,
    on_step: OnStep = no_step,
    today: datetime.date = TODAY,
) -> App:
    """Open a node's home against the simulated hub and real custodians."""
    identity = federation.node_identity()
    membership = Membership(
        origin=ORIGIN,
        enterprise_id=ENTERPRISE,
        grpc_address=hub.address,
        https_address="hub.test:2",
        identity=identity,
        signing_key=signing_key(ENTERPRISE),
        trust_root=federation.root_envelope,
    )
    custodians = GrpcCustodians(identity)
    ports = Ports(hub, custodians, hub.log, (custodians.close,))
    return build_app(
        open_workspace(home, schemas=SCHEMAS, today=today),
        membership,
        ports,
        Course(),
        draw=draw,
        on_step=on_step,
        patience=IMPATIENT,
    )
