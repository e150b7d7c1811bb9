"""The log's key is replaced while a city lives on it: nodes and custodians follow, and one audit covers both.

Everything is real: files, custodians, hub, TLS. The hub stops, takes over the new key, serves again; nobody
else is stopped or told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from auditor.app import Options, verify_source
from auditor.findings import Check, Verdict
from auditor.report import Report
from hub.app import Hub
from hub.configuration import Home
from hub.setup import Opened as OpenedHub
from privacy import checkpoint, envelope, trust
from privacy.envelope import Kind
from protos.epochs import Epoch
from protos.v1 import custodian_pb2, release_pb2
from tests.system.walking_city import APP, BANK, CUSTODIANS, DECEMBER, JANUARY, ORIGIN, walking_city
from tests.system.walking_city import WalkingCity as City
from tests.unit.hub.world import stored

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("walking-city")]

NEXT = "walks.cgsp.example/log-2"
ANNA, BERT, CARL, DORA, EMIL = (f"1380000000{number}" for number in range(1, 6))
RECEIPTS = "receipts"


@dataclass(frozen=True, slots=True)
class Lived:
    """The city after a month under each key, and where an auditor's bundles of either lie."""

    city: City
    before: Path
    after: Path
    succeeded_at: int


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    folder = tmp_path_factory.mktemp("succession")
    with walking_city(folder / "city") as city, ExitStack() as later:
        app, bank = city.nodes[APP], city.nodes[BANK]
        for epoch in (DECEMBER, JANUARY):
            app.write_walks(epoch, (ANNA, BERT, CARL, EMIL), 5_000)
            bank.write_walks(epoch, (ANNA, DORA), 4_000)
        app.write_register(ANNA, BERT, CARL)
        bank.write_register(ANNA, DORA)
        assert (app.enrol(DECEMBER), bank.enrol(DECEMBER)) == (3, 2)
        release(city, DECEMBER)
        city.run("export", "--out", str(folder / "before"), at_home=True)
        succeeded_at = replace_log_key(city, later)
        # Somebody is enrolled by custodians who have only the new log to report to.
        app.write_register(ANNA, BERT, CARL, EMIL)
        assert app.enrol(JANUARY) == 1
        release(city, JANUARY)
        city.run("export", "--out", str(folder / "after"), at_home=True)
        yield Lived(city, folder / "before", folder / "after", succeeded_at)


def release(city: City, epoch: Epoch) -> None:
    """Let both nodes release, and close: a close waits until custodians have counted for all enrolled."""
    for node in city.nodes.values():
        node.release(epoch)
    city.close(epoch)


def replace_log_key(city: City, later: ExitStack) -> int:
    """Do as the manual says, and serve again at the same addresses; give the entry of the new trust root."""
    draft = str(city.folder / "succession.dsse")
    city.run("trust", "propose", "--replace-log-key", NEXT, "--out", draft, at_home=True)
    city.run("trust", "sign", draft, "--key", str(city.folder / "operator.key"))
    city.hub.__exit__(None, None, None)
    before = len(stored(city.opened_hub.home))
    city.run("trust", "succeed", draft, at_home=True)
    later.enter_context(Hub(OpenedHub.load(Home(city.folder / "hub"))))
    return before


def audited(lived: Lived, bundle: Path, node: str) -> Report:
    """Verify a bundle from the first trust root, with a node's receipts."""
    receipts = lived.city.nodes[node].home / RECEIPTS
    assert any(receipts.iterdir())
    return verify_source(str(bundle), lived.city.trust_root, None, Options(receipts=receipts))


@pytest.mark.parametrize("node", [APP, BANK])
def test_an_auditor_confirms_either_log_and_every_receipt(lived: Lived, node: str) -> None:
    for bundle, origin in ((lived.before, ORIGIN), (lived.after, NEXT)):
        report = audited(lived, bundle, node)
        unsettled = [one for one in report.results.findings if bundle == lived.after or not is_later(one)]
        assert unsettled == []
        assert report.origin == origin
    assert report.results.verdict is Verdict.PASS
    assert report.results[Check.RECEIPTS].examined > 0


def is_later(found: object) -> bool:
    """Say whether a finding is of a receipt that came after the bundle did."""
    return getattr(found, "check", None) is Check.RECEIPTS


def test_messages_name_the_log_they_were_taken_into(lived: Lived) -> None:
    origins: dict[tuple[str, str], set[tuple[str, bool]]] = defaultdict(set)
    for index, logged in enumerate(stored(lived.city.opened_hub.home)):
        opened = envelope.open_envelope(logged.data)
        kinds = {Kind.RELEASE: release_pb2.Release, Kind.COUNT_REPORT: custodian_pb2.CountReport}
        if opened.kind in kinds:
            message: Any = opened.parse(kinds[opened.kind])
            name = (opened.kind.value, message.header.issuer)
            origins[name].add((message.header.origin, index > lived.succeeded_at))
    both = {(ORIGIN, False), (NEXT, True)}
    assert origins == {
        **{(Kind.RELEASE.value, name): both for name in (APP, BANK)},
        **{(Kind.COUNT_REPORT.value, name): both for name in CUSTODIANS},
    }


def test_nodes_and_custodians_hold_the_new_logs_checkpoint(lived: Lived) -> None:
    """Each by its own reading, from the trust root it was given at first."""
    data = stored(lived.city.opened_hub.home)[lived.succeeded_at].data
    vkey = trust.describe(data).log_vkey
    homes = [one.home for one in lived.city.nodes.values()]
    homes += [lived.city.folder / name for name in CUSTODIANS]
    for home in homes:
        notes = [path.read_bytes() for path in home.rglob("head") if path.is_file()]
        assert notes
        for note in notes:
            assert checkpoint.open_checkpoint(note, vkey).size > lived.succeeded_at
