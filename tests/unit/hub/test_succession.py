"""The log's key is replaced on a real hub: old checkpoint kept, the log goes on, everybody follows."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditor.app import verify_source
from auditor.findings import Check
from hub import succession
from hub.export import export_bundle
from hub.rebuild import rebuild
from hub.setup import Opened
from hub.store.database import open_readers
from hub.succession import OLD_CHECKPOINTS, next_key_file, next_vkeys, succeed
from hub.trust_documents import add_signature, propose
from privacy import checkpoint, keys, trust
from privacy.envelope import Kind
from privacy.trust import verify_update
from protos.problems import Problem, Refused
from runtime import successors
from runtime.files import write_private
from runtime.log_mirror import LogMirror
from runtime.log_reader import HttpLog
from tests.simulator import EPOCH, ORIGIN, key
from tests.unit.hub.test_accounts import check_books, close, release_all
from tests.unit.hub.test_api import wait_published
from tests.unit.hub.world import World, refused, running, stored

NEXT = "cgsp.example/log-two"


def signed_succession(world: World) -> bytes:
    """Propose and sign as operator and regulator do."""
    home = world.opened.home
    write_private(next_key_file(home), keys.encode_private(key("log-two")))
    vkey, subtree = next_vkeys(home, NEXT)
    root = world.succession(NEXT, "log-two", (home.folder / "checkpoint").read_bytes())
    root.log_vkey, root.log_subtree_vkey = vkey, subtree
    return world.signed(Kind.TRUST_ROOT, root, *world.root_names[:2])


@contextlib.contextmanager
def going_on(world: World) -> Iterator[None]:
    """Run the hub over its home again; the simulator follows."""
    world.opened = Opened.load(world.opened.home)
    world.origin, world.log_key = NEXT, "log-two"
    with running(world.opened) as hub:
        world.hub = hub
        world.follow()
        wait_published(world)
        yield


def test_the_log_goes_on_and_is_verified_over_the_change(enrolled: World, tmp_path: Path) -> None:
    wait_published(enrolled)
    first = trust.verify_first(enrolled.entries[0].data)
    mirror = LogMirror(tmp_path / "mirror", first.log_vkey)
    with HttpLog(enrolled.hub.https_address, enrolled.opened.authority.ca_pem) as log:
        successors.grow(mirror, log, first)
    data = signed_succession(enrolled)
    assert isinstance(refused(lambda: enrolled.send(data)), Refused)
    with pytest.raises(Problem, match="already writes"):
        succeed(enrolled.opened, data)
    enrolled.hub.__exit__()
    size = len(stored(enrolled.opened.home))
    for _ in range(2):
        assert succeed(Opened.load(enrolled.opened.home), data).origin == NEXT
    assert len(stored(enrolled.opened.home)) == size + 1
    kept = (enrolled.opened.home.folder / OLD_CHECKPOINTS / "1").read_bytes()
    assert checkpoint.open_checkpoint(kept, first.log_vkey).origin == ORIGIN
    with going_on(enrolled):
        with HttpLog(enrolled.hub.https_address, enrolled.opened.authority.ca_pem) as log:
            assert successors.grow(mirror, log, first) == size
            assert checkpoint.open_checkpoint(log.checkpoint(), mirror.vkey).origin == NEXT
        check_books(enrolled, close(release_all(enrolled)), EPOCH)
        wait_published(enrolled)
        readers = open_readers(enrolled.opened.home.database)
        export_bundle(
            enrolled.opened.home.folder,
            readers,
            tmp_path / "bundle",
            origin=NEXT,
            log_key=enrolled.opened.log_key.verify_key,
        )
        readers.dispose()
    (tmp_path / "trust-root").write_bytes(enrolled.entries[0].data)
    report = verify_source(str(tmp_path / "bundle"), tmp_path / "trust-root", None)
    assert report.origin == NEXT
    for check in (Check.CHECKPOINT, Check.TREE, Check.TRUST_ROOT, Check.ENTRIES, Check.ACCOUNTS):
        assert not report.results[check].findings, report.results[check].findings
    assert rebuild(enrolled.opened, write=False).differences == []


def test_cut_off_before_the_files_nothing_is_signed_and_it_is_finished(
    enrolled: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_published(enrolled)
    data = signed_succession(enrolled)
    enrolled.hub.__exit__()
    served = (enrolled.opened.home.folder / "checkpoint").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(succession, "_take_over", lambda *_: None)
        succeed(enrolled.opened, data)
    with pytest.raises(Refused, match="goes on under"), running(Opened.load(enrolled.opened.home)):
        pass
    assert (enrolled.opened.home.folder / "checkpoint").read_bytes() == served
    succeed(Opened.load(enrolled.opened.home), data)
    with going_on(enrolled):
        assert enrolled.hub.log_size == len(enrolled.entries)


def test_a_key_that_does_not_wait_here_is_refused(enrolled: World) -> None:
    wait_published(enrolled)
    root = enrolled.succession(NEXT, "stranger", (enrolled.opened.home.folder / "checkpoint").read_bytes())
    data = enrolled.signed(Kind.TRUST_ROOT, root, *enrolled.root_names[:2])
    enrolled.hub.__exit__()
    before = len(stored(enrolled.opened.home))
    assert isinstance(refused(lambda: succeed(enrolled.opened, data)), Refused)
    assert len(stored(enrolled.opened.home)) == before


def test_a_proposal_carries_it_once(enrolled: World) -> None:
    wait_published(enrolled)
    home, previous = enrolled.opened.home, enrolled.entries[0].data
    vkey, subtree = next_vkeys(home, NEXT)
    note = (home.folder / "checkpoint").read_bytes()
    genesis = enrolled.opened.genesis
    replacing = dataclasses.replace(genesis, origin=NEXT, log_vkey=vkey, log_subtree_vkey=subtree)
    common = {"pseudonym_key": None, "issued_at": 7}
    first = propose(replacing, [], previous=previous, predecessor_checkpoint=note, **common)  # type: ignore[arg-type]
    for name in enrolled.root_names[:2]:
        first = add_signature(first, key(name))
    in_force = verify_update(trust.verify_first(previous), first)
    assert in_force.origin == NEXT
    second = propose(replacing, [], previous=first, **common)  # type: ignore[arg-type]
    assert trust.describe(second).predecessor_checkpoint == b""
