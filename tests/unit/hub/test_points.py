"""Points from a real node's tariffs: released, taken by a real hub, shown, and folded by an auditor."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditor.app import verify_source
from hub.app import Hub
from hub.export import export_bundle
from hub.log import VKEY_FILE
from hub.lookup import look_up
from hub.operator_client import OperatorClient
from hub.setup import Opened, Plan, init_home
from hub.store import books
from hub.store.database import open_readers
from privacy import envelope, keys
from privacy.checkpoint import log_vkey
from privacy.envelope import Kind
from privacy.laplace import interval_halfwidth, sigma_upper
from protos.epochs import Epoch
from protos.v1 import policy_pb2
from runtime.channels import open_channel
from runtime.configuration import write_atomic, write_private
from runtime.https import HttpsClient, client_context
from runtime.identity import Role, SpiffeName
from runtime.pack_files import load_pack
from tests.unit.auditor.city import found as listed
from tests.unit.enterprise_node.simulated_hub import PACKS, RIDERS, SimulatedHub, open_node, write_home
from tests.unit.enterprise_node.simulators import DOMAIN, ENTERPRISE, ORIGIN, Federation, signing_key
from tests.unit.enterprise_node.test_anchors import quiet
from tests.unit.hub.world import DOCUMENTS, running, send_over

DECEMBER, JANUARY = Epoch(202012), Epoch(202101)
VOLUNTEERS = """
[[source]]
id = "acts"
path = "acts.csv"
record = ["act"]
person = "mobile"
activity = "act.volunteer"
columns = { act = "text", mobile = { type = "text", private = true }, start = "text", one = "integer" }
time = { column = "start" }
inputs = { acts = { column = "one", unit = "act" } }
"""
# Five points an act, twenty a day, two hundred a month: a day moves all releases by twenty at most.
POINTS_REACH = 20
SCALE = 40


def publish(hub: SimulatedHub) -> None:
    """Publish a policy of one measure in grams and one in points."""
    rides, acts = (load_pack(PACKS / name / "1") for name in ("trv.shared_bike", "pub.volunteer"))
    body = acts.canonical_bytes()
    record = policy_pb2.PackRecord(
        origin=ORIGIN, id=acts.id, version=acts.version, sha256=acts.sha256, size=len(body)
    )
    hub.publish(Kind.PACK, record, [body])
    references = [
        policy_pb2.PackReference(
            id=one.id,
            version=one.version,
            sha256=one.sha256,
            domain=one.domain,
            overlap_class=one.overlap_class,
        )
        for one in (rides, acts)
    ]
    measures = [
        policy_pb2.Measure(id="rides", pack_ids=[rides.id], day_clamp_grams=500, reach_grams=500),
        policy_pb2.Measure(
            id="acts", pack_ids=[acts.id], reach_grams=POINTS_REACH, kind=policy_pb2.MEASURE_KIND_POINTS
        ),
    ]
    mine = policy_pb2.EnterprisePolicy(
        enterprise_id=ENTERPRISE,
        measures=measures,
        month_clamp_grams=5000,
        sum_reach_grams=5000,
        count_reach=4,
    )
    hub.publish_policy(
        rides,
        packs=references,
        domains=["travel", "public_good"],
        enterprises=[mine],
        points_epsilon=policy_pb2.Ratio(numerator=1, denominator=2),
        person_day_allowance=policy_pb2.Ratio(numerator=1, denominator=1),
    )


@pytest.fixture(scope="module")
def federation() -> Iterator[Federation]:
    with Federation.build() as built:
        yield built


@pytest.fixture(scope="module")
def released(federation: Federation, tmp_path_factory: pytest.TempPathFactory) -> SimulatedHub:
    """Let a node release two months of rides and of points; its noise is left out."""
    home = tmp_path_factory.mktemp("node") / "home"
    write_home(home)
    text = (home / "node.toml").read_text().replace('/1"]', f'/1", "{PACKS / "pub.volunteer" / "1"}"]')
    (home / "node.toml").write_text(text + VOLUNTEERS)
    acts = [
        f"d{rider}-{act},138{rider:08d},2020-12-05 09:00:00,1" for rider in range(8) for act in range(rider)
    ]
    acts += [f"j{rider},138{rider:08d},2021-01-06 09:00:00,1" for rider in range(3)]
    (home / "acts.csv").write_text("act,mobile,start,one\n" + "\n".join(acts) + "\n")
    hub = SimulatedHub(federation)
    publish(hub)
    app = open_node(home, federation, hub, draw=quiet)
    app.pipeline.run([DECEMBER, JANUARY])
    app.close()
    return hub


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """Make a real hub's home with the keys the trust root names."""
    root, policy = (signing_key(name).verify_key for name in ("root", "policy"))
    plan = Plan(ORIGIN, {"root": root}, 1, {"policy": policy}, 1, "127.0.0.1:0", "127.0.0.1:0")
    home = init_home(tmp_path_factory.mktemp("hub") / "home", plan).home
    write_private(home.hub_key, keys.encode_private(signing_key("hub")))
    write_private(home.log_key, keys.encode_private(signing_key("log")))
    write_atomic(home.folder / VKEY_FILE, f"{log_vkey(ORIGIN, signing_key('log').verify_key)}\n".encode())
    return Opened.load(home)


@pytest.fixture(scope="module")
def closed(opened: Opened, released: SimulatedHub) -> Iterator[Hub]:
    """Send what the node sent to the running hub and close both epochs."""
    with running(opened) as hub:
        for index, data in enumerate(released.log.list):
            send(opened, hub, data, released.log.bodies_by_index[index])
        with OperatorClient(opened) as operator:
            for epoch in (DECEMBER, JANUARY):
                # These custodians report no counts.
                operator.close(epoch, allow_missing=True)
        yield hub


def send(opened: Opened, hub: Hub, data: bytes, bodies: list[bytes]) -> None:
    """Send a message as its party: documents as the operator, the rest as the node."""
    is_document = envelope.open_envelope(data).kind in DOCUMENTS
    role, party = (Role.OPERATOR, "operator") if is_document else (Role.NODE, ENTERPRISE)
    identity = opened.authority.issue_identity(SpiffeName(DOMAIN, role, party))
    channel = open_channel(hub.grpc_address, identity)
    try:
        send_over(channel, data, bodies, is_document=is_document)
    finally:
        channel.close()


def expected() -> Counter[int]:
    """Count how many accounts should have how many points after two months: five an act, twenty a day."""
    return Counter(min(5 * rider, POINTS_REACH) * (rider < 8) + 5 * (rider < 3) for rider in range(RIDERS))


def test_points_reach_their_accounts_with_their_interval(opened: Opened, closed: Hub) -> None:
    readers = open_readers(opened.home.database)
    with readers.begin() as connection:
        found = list(books.walk_points(connection))
    readers.dispose()
    assert Counter(one.points for one in found) == expected()
    assert {(one.variance, one.enterprises, one.epoch) for one in found} == {(4 * SCALE**2, 1, JANUARY)}
    most = max(found, key=lambda one: one.points)
    shown = look_up(opened, most.account.hex())
    halfwidth = interval_halfwidth([math.isqrt(2 * SCALE**2 - 1) + 1])
    assert shown["points"] == {
        "points": most.points,
        "sigma_points": sigma_upper([SCALE, SCALE]),
        "halfwidth_points": halfwidth,
        "low_points": most.points - halfwidth,
        "high_points": most.points + halfwidth,
        "enterprises": 1,
    }
    assert shown["high_mg"] - shown["balance_mg"] == shown["balance_mg"] - shown["low_mg"] > shown["sigma_mg"]
    operator = opened.authority.issue_identity(SpiffeName(DOMAIN, Role.OPERATOR, "operator"))
    client = HttpsClient(closed.https_address, client_context(opened.authority.ca_pem, operator))
    try:
        answered = json.loads(client.get(f"/v1/accounts/{most.account.hex()}", 1 << 20))
    finally:
        client.close()
    assert answered["points"] == shown["points"]


def test_an_auditor_folds_the_same_points(
    opened: Opened, closed: Hub, federation: Federation, tmp_path: Path
) -> None:
    readers = open_readers(opened.home.database)
    export_bundle(
        opened.home.folder,
        readers,
        tmp_path / "bundle",
        origin=ORIGIN,
        log_key=signing_key("log").verify_key,
    )
    readers.dispose()
    (tmp_path / "root.dsse").write_bytes(federation.root_envelope)
    report = verify_source(str(tmp_path / "bundle"), tmp_path / "root.dsse", None)
    figures = report.figures["accounts"]
    assert figures["accounts_with_points"] == RIDERS
    assert figures["total_points"] == sum(points * count for points, count in expected().items())
    # This trust root names neither the log's second key nor custodians that count.
    assert {check for check, _ in listed(report)} == {"checkpoint", "pseudonyms"}
