"""Entries are handed out only under a signed root; the trust root moves only by its own rules."""

from __future__ import annotations

import secrets

import pytest

from privacy import checkpoint, codec, envelope, keys, merkle, tiles
from privacy.checkpoint import Checkpoint
from privacy.envelope import Kind
from privacy.keys import SigningKey
from privacy.tiles import Tile
from protos.problems import Malformed, Unavailable, Unverified
from protos.v1 import trust_pb2
from runtime.log_follower import (
    Entry,
    TrustFollower,
    Witnesses,
    find_first_trust_root,
    follow_trust_root,
    read_entries,
    read_head,
)
from tests.simulated_log import SimulatedLog

ORIGIN = "cgsp.example/log"
LOG_KEY, ROOT_KEY, OTHER_KEY, HUB_KEY = (keys.generate(secrets.token_bytes, "k1") for _ in range(4))


def log_of(size: int) -> SimulatedLog:
    log = SimulatedLog(ORIGIN, LOG_KEY)
    log.append(*(b"entry %d" % number for number in range(size)))
    return log


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512, 700])
def test_entries_are_read_whole(size: int) -> None:
    log = log_of(size)
    assert list(read_entries(log, log.vkey)) == [Entry(at, data) for at, data in enumerate(log.list)]


@pytest.mark.parametrize("start", [0, 1, 255, 256, 300, 599, 600, 601])
def test_reading_from_the_middle_fetches_only_what_is_needed(start: int) -> None:
    log = log_of(600)
    assert [entry.index for entry in read_entries(log, str(log.vkey), start)] == list(range(start, 600))
    bundles = [path for path in log.reads if "entries" in path]
    assert len(bundles) == -(-600 // 256) - start // 256


def test_large_log_is_joined_through_its_upper_tiles() -> None:
    log = log_of(66_000)
    assert sum(1 for _ in read_entries(log, log.vkey, 65_900)) == 100
    assert not any(path.startswith("tile/0/000") for path in log.reads)


@pytest.mark.parametrize("position", [0, 255, 256, 599])
def test_changed_entry_is_not_handed_out(position: int) -> None:
    log = log_of(600)
    head = read_head(log, log.vkey)
    honest = log.tile
    tiles_of_before = {(level, index): honest(level, index, width) for level, index, width in _tiles()}
    log.list[position] = b"forged"
    log.tile = lambda level, index, width=256: tiles_of_before[level, index]  # type: ignore[method-assign]
    seen: list[Entry] = []
    with pytest.raises(Unverified, match="not those the log signed"):
        seen.extend(read_entries(log, log.vkey, head=head))
    assert all(entry.index // 256 < position // 256 for entry in seen)


def _tiles() -> list[tuple[int, int, int]]:
    return [(0, 0, 256), (0, 1, 256), (0, 2, 88), (1, 0, 2)]


def test_tiles_that_do_not_join_to_the_root_stop_everything() -> None:
    log = log_of(600)
    head = read_head(log, log.vkey)
    log.list[3] = b"forged"
    with pytest.raises(Unverified, match="do not give the root"):
        next(read_entries(log, log.vkey, head=head))


class Copied:
    """A log read once, of which a test may change any byte."""

    def __init__(self, log: SimulatedLog, size: int) -> None:
        self.note = log.checkpoint()
        self.files = {
            tile: log.tile(tile.level or 0, tile.index, tile.width) for tile in tiles.tiles_of(size)
        }
        self.files |= {name: log.entries(name.index, name.width) for name in tiles.bundles_of(size)}

    def checkpoint(self) -> bytes:
        return self.note

    def tile(self, level: int, index: int, width: int = 256) -> bytes:
        return self.files[Tile(level, index, width)]

    def entries(self, index: int, width: int = 256) -> bytes:
        return self.files[Tile(None, index, width)]

    def body(self, index: int, position: int) -> bytes | None:
        return None

    def bodies(self, index: int) -> list[bytes] | None:
        return None


@pytest.mark.parametrize(
    "place", [Tile(1, 0, 1), Tile(0, 1, 44), Tile(None, 1, 44)], ids=lambda tile: tile.path
)
def test_every_byte_served_counts(place: Tile) -> None:
    log = log_of(300)
    copied = Copied(log, 300)
    assert [entry.data for entry in read_entries(copied, log.vkey)] == log.list
    honest = copied.files[place]
    for position in range(len(honest)):
        copied.files[place] = honest[:position] + bytes([honest[position] ^ 1]) + honest[position + 1 :]
        with pytest.raises((Unverified, Malformed)):
            list(read_entries(copied, log.vkey))


def test_every_byte_of_the_checkpoint_counts() -> None:
    log = log_of(5)
    copied = Copied(log, 5)
    honest = copied.note
    for position in range(len(honest)):
        copied.note = honest[:position] + bytes([honest[position] ^ 1]) + honest[position + 1 :]
        with pytest.raises(Unverified):
            list(read_entries(copied, log.vkey))


def test_short_tiles_and_bundles_are_malformed() -> None:
    log = log_of(300)
    honest = log.tile
    log.tile = lambda level, index, width=256: honest(level, index, width)[:-1]  # type: ignore[method-assign]
    with pytest.raises(Malformed, match="bytes where"):
        next(read_entries(log, log.vkey))
    other = log_of(300)
    other.entries = lambda index, width=256: b"\0\0" * (width + 1)  # type: ignore[method-assign]
    with pytest.raises(Malformed, match="exactly 256 entries"):
        next(read_entries(other, other.vkey))


def test_checkpoint_of_another_key_or_origin_is_not_trusted() -> None:
    log = log_of(3)
    other = checkpoint.log_vkey(ORIGIN, OTHER_KEY.verify_key)
    elsewhere = checkpoint.log_vkey("cgsp.example/other", LOG_KEY.verify_key)
    for vkey in (other, elsewhere):
        with pytest.raises(Unverified, match="Checkpoint"):
            next(read_entries(log, vkey))
    with pytest.raises(Malformed, match="verifier key"):
        read_head(log, "not a key")


def test_witness_quorum_is_required() -> None:
    log = log_of(3)
    witness_key = keys.generate(secrets.token_bytes)
    witness = checkpoint.witness_vkey("witness.example", witness_key.verify_key)
    silent = checkpoint.witness_vkey("silent.example", OTHER_KEY.verify_key)
    plain = log.checkpoint
    with pytest.raises(Unverified, match="0 witnesses cosigned"):
        read_head(log, log.vkey, Witnesses((witness, silent), 1))
    log.checkpoint = lambda: checkpoint.cosign(plain(), witness, witness_key, time=1)  # type: ignore[method-assign]
    assert read_head(log, log.vkey, Witnesses((witness, silent), 1)).size == 3
    with pytest.raises(Unverified, match="1 witnesses cosigned"):
        read_head(log, log.vkey, Witnesses((witness, silent), 2))


def trust_root(
    version: int = 1, previous: bytes = b"", signers: tuple[SigningKey, ...] = (ROOT_KEY,)
) -> bytes:
    message = trust_pb2.TrustRoot(
        version=version,
        previous=previous,
        origin=ORIGIN,
        root_keys=[ROOT_KEY.verify_key.to_wire()],
        root_threshold=1,
        log_vkey=str(checkpoint.log_vkey(ORIGIN, LOG_KEY.verify_key)),
        hub_key=HUB_KEY.verify_key.to_wire(),
        hub_ca=b"der",
        policy_keys=[ROOT_KEY.verify_key.to_wire()],
        policy_threshold=1,
    )
    return envelope.sign(codec.encode(message), Kind.TRUST_ROOT, signers)


FIRST = trust_root()
FIRST_HASH = envelope.envelope_hash(FIRST)
SECOND = trust_root(2, FIRST_HASH)


@pytest.mark.parametrize("pinned", [FIRST, FIRST_HASH.hex()], ids=["bytes", "fingerprint"])
def test_trust_root_is_followed_from_the_pinned_one(pinned: bytes | str) -> None:
    follower = TrustFollower(pinned)
    assert (follower.root is not None) is isinstance(pinned, bytes)
    assert follower.take(Entry(0, FIRST)) is isinstance(pinned, str)
    assert follower.take(Entry(1, b"not an envelope")) is False
    assert follower.take(Entry(2, envelope.sign(b"", Kind.POLICY, (ROOT_KEY,)))) is False
    assert follower.take(Entry(3, SECOND)) is True
    assert follower.root is not None and follower.root.version == 2


@pytest.mark.parametrize(
    "bad",
    [
        trust_root(3, FIRST_HASH),
        trust_root(2, b"\0" * 32),
        trust_root(2, FIRST_HASH, (OTHER_KEY,)),
    ],
)
def test_update_that_breaks_the_rules_is_not_followed(bad: bytes) -> None:
    follower = TrustFollower(FIRST)
    with pytest.raises(Unverified, match="Trust root"):
        follower.take(Entry(1, bad))
    assert follower.root is not None and follower.root.version == 1


def test_log_that_begins_with_another_trust_root_is_not_followed() -> None:
    impostor = trust_root(1, b"", (ROOT_KEY, OTHER_KEY))
    with pytest.raises(Unverified):
        follow_trust_root([Entry(0, impostor)], FIRST_HASH.hex())
    with pytest.raises(Unverified, match="does not hold"):
        follow_trust_root([], FIRST_HASH.hex())
    assert follow_trust_root([Entry(0, FIRST), Entry(1, SECOND)], FIRST).version == 2
    with pytest.raises(Malformed, match="64 lower-case hex"):
        TrustFollower("ab")


def test_first_trust_root_is_found_by_its_fingerprint() -> None:
    log = log_of(2)
    log.append(FIRST)
    assert find_first_trust_root(log, FIRST_HASH.hex()) == FIRST
    with pytest.raises(Unavailable, match="fingerprint"):
        find_first_trust_root(log, "0" * 64)
    with pytest.raises(Unavailable, match="fingerprint"):
        find_first_trust_root(log_of(0), "0" * 64)


def test_head_says_what_was_signed() -> None:
    log = log_of(3)
    head = read_head(log, log.vkey)
    assert (head.origin, head.size, head.root) == (ORIGIN, 3, merkle.root(log.list))
    assert Checkpoint(head.origin, head.size, head.root).text in head.note
