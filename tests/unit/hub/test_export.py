from __future__ import annotations

from pathlib import Path

from hub.export import export_bundle
from hub.lookup import first_trust_root, look_up
from hub.store.database import open_readers
from protos.problems import Conflict, Malformed, Unavailable
from runtime.log_reader import FolderLog, HttpLog
from tests.simulator import EPOCH, ORIGIN, key
from tests.tiled_log import read_entries
from tests.unit.hub.test_accounts import close, release_all
from tests.unit.hub.test_api import wait_published
from tests.unit.hub.world import World, refused


def export(world: World, out: Path) -> FolderLog:
    readers = open_readers(world.opened.home.database)
    log_key = key("log").verify_key
    exported = export_bundle(world.opened.home.folder, readers, out, origin=ORIGIN, log_key=log_key)
    readers.dispose()
    assert exported.size == len(world.entries)
    assert exported.root == world.state.root()
    return FolderLog(out)


def test_a_bundle_holds_the_log_and_every_body(enrolled: World, tmp_path: Path) -> None:
    close(release_all(enrolled))
    enrolled.follow()
    wait_published(enrolled)
    bundle = export(enrolled, tmp_path / "bundle")
    assert bundle.vkey() == str(enrolled.log_vkey)
    assert [one.data for one in read_entries(bundle, enrolled.log_vkey)] == [
        entry.data for entry in enrolled.entries
    ]
    for index, entry in enumerate(enrolled.entries):
        assert (bundle.bodies(index) or []) == entry.bodies
    with HttpLog(enrolled.hub.https_address, enrolled.opened.authority.ca_pem) as hub:
        assert hub.checkpoint() == bundle.checkpoint()
    assert (tmp_path / "bundle").stat().st_mode & 0o077 == 0


def test_an_export_overwrites_nothing(enrolled: World, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle/mine").write_text("kept")
    wait_published(enrolled)
    assert isinstance(refused(lambda: export(enrolled, tmp_path / "bundle")), Conflict)
    assert (tmp_path / "bundle/mine").read_text() == "kept"


def test_accounts_are_found_by_the_beginning_of_their_id(enrolled: World) -> None:
    close(release_all(enrolled))
    enrolled.follow()
    for account, (balance, variance, issuers) in enrolled.accounts(EPOCH).items():
        found = look_up(enrolled.opened, account.hex())
        assert (found["balance_mg"], found["variance_mg2"]) == (balance, variance)
        assert (found["enterprises"], found["epoch"]) == (len(issuers), "2020-12")
    assert isinstance(refused(lambda: look_up(enrolled.opened, "xyz")), Malformed)
    assert isinstance(refused(lambda: look_up(enrolled.opened, "ff" * 16)), Unavailable)
    assert first_trust_root(enrolled.opened) == enrolled.entries[0].data
