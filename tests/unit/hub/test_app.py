from __future__ import annotations

import datetime
import http.client
import threading
from pathlib import Path

import pytest
from sqlalchemy import update

from hub.app import Hub
from hub.doctor import examine
from hub.store.database import open_writer
from hub.store.schema import balance
from privacy.envelope import Kind
from runtime.https import client_context
from runtime.identity import Identity
from tests.unit.hub.test_accounts import close, release_all
from tests.unit.hub.world import World, begin, enrol, make_home, running, stored


def test_an_idle_connection_does_not_hold_up_the_end(tmp_path: Path) -> None:
    opened = make_home(tmp_path / "hub")
    hub = Hub(opened).__enter__()
    host, _, port = hub.https_address.rpartition(":")
    context = client_context(opened.authority.ca_pem)
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=30)
    connection.request("GET", "/livez")
    connection.getresponse().read()
    hub.__exit__(None, None, None)
    # Not even TLS's farewell is waited for, which the idle client gives when it next looks.
    assert not hub._https._thread.is_alive()
    connection.close()


def test_certificates_are_renewed_before_they_run_out(tmp_path: Path) -> None:
    opened = make_home(tmp_path / "hub")
    now = datetime.datetime.now(datetime.UTC)
    before = Identity.load(opened.home.server), Identity.load(opened.home.operator)
    assert not opened.renew_certificates(now)
    assert opened.renew_certificates(now + datetime.timedelta(days=25))
    after = Identity.load(opened.home.server), Identity.load(opened.home.operator)
    assert all(old.certificate_pem != new.certificate_pem for old, new in zip(before, after, strict=True))
    assert after[0].name == before[0].name


def test_parties_that_send_at_once_all_get_receipts(empty: World) -> None:
    world = enrol(begin(empty))
    data = [world.signed(Kind.RESERVATION, world.reservation(one.id), one.id) for one in world.enterprises]
    receipts: list[bytes] = []
    threads = [threading.Thread(target=lambda one=one: receipts.append(world.send(one))) for one in data * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receipts) == 4
    assert len(set(receipts)) == 2
    assert {entry.data for entry in stored(world.opened.home)[-2:]} == set(data)


def test_doctor_compares_the_balances_with_the_close(tmp_path: Path) -> None:
    world = World(opened=make_home(tmp_path / "hub"))
    with running(world.opened) as hub:
        world.hub = hub
        close(release_all(enrol(begin(world))))
    assert all(check.is_good for check in examine(world.opened.home.folder))
    engine = open_writer(world.opened.home.database)
    with engine.begin() as connection:
        connection.execute(update(balance).values(balance_mg=balance.c.balance_mg + 1))
    engine.dispose()
    failed = [check.name for check in examine(world.opened.home.folder) if not check.is_good]
    assert failed == ["books"]


@pytest.mark.parametrize("path", ["checkpoint", "tile/0/000.p/1"])
def test_a_lost_public_file_comes_back_at_the_start(tmp_path: Path, path: str) -> None:
    world = World(opened=make_home(tmp_path / "hub"))
    with running(world.opened) as hub:
        world.hub = hub
        world.publish_trust()
    lost = world.opened.home.folder / path
    before = lost.read_bytes()
    lost.unlink()
    with running(world.opened):
        # An ML-DSA-44 signature differs each time; the text and the Ed25519 line do not.
        assert lost.read_bytes().splitlines()[:5] == before.splitlines()[:5]
