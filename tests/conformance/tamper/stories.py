"""Dishonest hubs, enterprises and custodians: each story makes a log that its own keys sign, one lie in it.

A story gets a folder and writes there what an auditor is handed: bundle, trust-root and, where the lie needs
it to be seen, receipts. All but the lie is what an honest federation would have logged.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from privacy import checkpoint, envelope, links, merkle
from privacy.acceptance import Admission
from privacy.checkpoint import Checkpoint
from privacy.claims import ratio
from privacy.deposits import Deposit, sign_deposit
from privacy.envelope import Kind
from privacy.receipts import Receipt, sign_receipt
from privacy.standing import HUB_ID, Role
from privacy.tlog_proof import TlogProof, format_proof
from protos.epochs import Epoch
from protos.problems import Problem
from protos.v1 import custodian_pb2, policy_pb2, release_pb2, trust_pb2
from tests.simulator import (
    EPOCH,
    ISSUED_AT,
    ORIGIN,
    Federation,
    Logged,
    begun,
    closed,
    enrolled,
    key,
    pseudonym,
)
from tests.unit.auditor.city import parts

NEXT = Epoch(202101)
BIKES, RETAILER = "bike-share", "retailer"
SEEN_AT = 1_700_000_000
WITNESS = checkpoint.witness_vkey("witness.example", key("witness").verify_key)


@dataclasses.dataclass
class Liar(Federation):
    """A federation whose hub logs what it likes: once lying, the rules are asked and not obeyed."""

    is_lying: bool = False
    # The trust root that was handed over, where it is not the log's first entry.
    pinned: bytes = b""

    def append(self, data: bytes, bodies: Sequence[bytes] = ()) -> Admission:
        """Log the message, whatever the rules say once the lie has begun."""
        try:
            return super().append(data, bodies)
        except Problem:
            if not self.is_lying:
                raise
            self.entries.append(Logged(data, list(bodies)))
            return None  # type: ignore[return-value]

    def lie(self, kind: Kind, message: Any, *signers: str, bodies: Sequence[bytes] = ()) -> None:
        """Log a message against the rules; a story whose lie the rules would take is no story."""
        data = self.signed(kind, message, *signers)
        try:
            self.state.check(data, list(bodies))
        except Problem:
            self.is_lying = True
            self.append(data, bodies)
            return
        raise AssertionError("the rules would have taken this")

    def replace(self, index: int, data: bytes, bodies: Sequence[bytes] | None = None) -> None:
        """Put another envelope or other bodies in an entry's place."""
        self.entries[index] = Logged(data, list(self.entries[index].bodies if bodies is None else bodies))

    def find(self, kind: Kind, number: int = 0) -> int:
        """Give the index of the n-th entry of a kind."""
        found = [at for at, one in enumerate(self.entries) if envelope.open_envelope(one.data).kind is kind]
        return found[number]

    def checkpoint(self) -> bytes:
        """Sign what is logged, lies included."""
        if self.log_key == "log":
            return self.signed_head(self.entries)
        root = merkle.root([entry.data for entry in self.entries])
        return checkpoint.sign_checkpoint_twice(
            Checkpoint(self.origin, len(self.entries), root), key(self.log_key)
        )

    def signed_head(self, entries: Sequence[Logged], *, by: str = "log") -> bytes:
        """Sign a list of entries."""
        root = merkle.root([entry.data for entry in entries])
        return checkpoint.sign_checkpoint(Checkpoint(ORIGIN, len(entries), root), key(by))

    def leaf(self, index: int) -> bytes:
        """Give an entry's leaf hash."""
        return merkle.leaf_hash(self.entries[index].data)


def lying(federation: Federation) -> Liar:
    """Take over an honest federation."""
    values = {field.name: getattr(federation, field.name) for field in dataclasses.fields(Federation)}
    return Liar(**values)


def counted(**changes: Any) -> Liar:
    """Documents, counts, rosters and links are logged."""
    return lying(enrolled(**{**parts(), **changes}))


def released() -> Liar:
    """Everybody has released the first epoch; its close is due."""
    hub = counted()
    for one in hub.enterprises:
        hub.release(one.id)
    return hub


def settled() -> Liar:
    """Two epochs are released and closed."""
    return lying(closed(EPOCH, NEXT, **parts()))


Story = Callable[[Path], None]
STORIES: dict[str, Story] = {}


def story(tell: Callable[[Path], Liar]) -> Callable[[Path], Liar]:
    """Register a story that ends with a bundle."""

    @functools.wraps(tell)
    def written(folder: Path) -> None:
        hub = tell(folder)
        trust_root = hub.write_bundle(folder / "bundle")
        if hub.pinned:
            trust_root.write_bytes(hub.pinned)

    STORIES[tell.__name__] = written
    return tell


_TYPES: dict[Kind, type[Any]] = {
    Kind.TRUST_ROOT: trust_pb2.TrustRoot,
    Kind.PACK: policy_pb2.PackRecord,
    Kind.COUNT_REPORT: custodian_pb2.CountReport,
}


def _message(hub: Liar, index: int) -> Any:
    """Parse an entry's message."""
    opened = envelope.open_envelope(hub.entries[index].data)
    return opened.parse(_TYPES[opened.kind])


# Charges and releases.


@story
def budget_off_by_one(folder: Path) -> Liar:
    """A reservation charges one unit less than its scale and reach cost."""
    hub = counted()
    message = hub.reservation(BIKES)
    epsilon = message.charges[0].claim.epsilon
    epsilon.numerator, epsilon.denominator = epsilon.numerator * 1000 - 1, epsilon.denominator * 1000
    hub.lie(Kind.RESERVATION, message, BIKES)
    return hub


@story
def noise_scale_off_by_one(folder: Path) -> Liar:
    """A release claims a noise one gram narrower than the policy asks."""
    hub = counted()
    built = hub.release_message(BIKES, hub.reserve(BIKES))
    built.message.statements[0].claim.scale -= 1
    hub.lie(Kind.RELEASE, built.message, BIKES, bodies=built.bodies)
    return hub


@story
def reservation_for_half_the_series(folder: Path) -> Liar:
    """A reservation leaves a series out, which would be released for nothing."""
    hub = counted()
    message = hub.reservation(BIKES)
    del message.charges[-1]
    hub.lie(Kind.RESERVATION, message, BIKES)
    return hub


@story
def reservation_paid_twice(folder: Path) -> Liar:
    """Two releases are paid by one reservation."""
    hub = counted()
    reservation = hub.reserve(BIKES)
    for epoch in (EPOCH, NEXT):
        built = hub.release_message(BIKES, reservation, epoch)
        if epoch == EPOCH:
            hub.append(hub.signed(Kind.RELEASE, built.message, BIKES), built.bodies)
        else:
            hub.lie(Kind.RELEASE, built.message, BIKES, bodies=built.bodies)
    return hub


@story
def release_without_reservation(folder: Path) -> Liar:
    """A release was drawn before its charge was logged."""
    hub = counted()
    built = hub.release_message(BIKES, hashlib.sha256(b"no reservation").digest())
    hub.lie(Kind.RELEASE, built.message, BIKES, bodies=built.bodies)
    return hub


@story
def replayed_release(folder: Path) -> Liar:
    """The hub logs one release a second time, to pay it twice."""
    hub = settled()
    hub.is_lying = True
    hub.append(*hub.entries[hub.find(Kind.RELEASE)])
    return hub


@story
def second_release_of_an_epoch(folder: Path) -> Liar:
    """An enterprise releases an epoch again, with fresh noise."""
    hub = released()
    message = hub.reservation(BIKES)
    hub.lie(Kind.RESERVATION, message, BIKES)
    return hub


@story
def statement_for_fewer_slots(folder: Path) -> Liar:
    """A release leaves out one person of the roster: idle persons must not be told by their absence."""
    hub = counted()
    built = hub.release_message(BIKES, hub.reserve(BIKES))
    built.message.active_slots -= 1
    for statement in built.message.statements:
        statement.rows -= 1
    hub.lie(Kind.RELEASE, built.message, BIKES, bodies=built.bodies)
    return hub


@story
def release_over_another_roster(folder: Path) -> Liar:
    """A release names the root of a roster that is not the logged one."""
    hub = counted()
    built = hub.release_message(BIKES, hub.reserve(BIKES))
    built.message.roster_root = hashlib.sha256(b"another roster").digest()
    hub.lie(Kind.RELEASE, built.message, BIKES, bodies=built.bodies)
    return hub


@story
def unlogged_body(folder: Path) -> Liar:
    """Statements beside the log are not those the enterprise signed: one account gets one gram more."""
    hub = settled()
    at = hub.find(Kind.RELEASE)
    body = bytearray(hub.entries[at].bodies[0])
    body[-8] ^= 1
    hub.replace(at, hub.entries[at].data, [bytes(body), *hub.entries[at].bodies[1:]])
    return hub


@story
def surplus_body(folder: Path) -> Liar:
    """A body lies beside a release that its envelope does not bind."""
    hub = settled()
    at = hub.find(Kind.RELEASE)
    hub.replace(at, hub.entries[at].data, [*hub.entries[at].bodies, hub.entries[at].bodies[0]])
    return hub


@story
def reordered_chunks(folder: Path) -> Liar:
    """A roster's chunk and its opening have changed places."""
    hub = settled()
    at = hub.find(Kind.ROSTER_BATCH)
    hub.replace(at, hub.entries[at].data, hub.entries[at].bodies[::-1])
    return hub


@story
def statements_of_another_epoch(folder: Path) -> Liar:
    """The statements of two epochs have changed places."""
    hub = settled()
    first, second = hub.find(Kind.RELEASE, 0), hub.find(Kind.RELEASE, 2)
    bodies = hub.entries[first].bodies
    hub.replace(first, hub.entries[first].data, hub.entries[second].bodies)
    hub.replace(second, hub.entries[second].data, bodies)
    return hub


# Books.


def _closing(change: Callable[[Any], None]) -> Liar:
    """Close with a change that the hub signs."""
    hub = released()
    message = hub.close_message()
    change(message)
    data = hub.signed(Kind.EPOCH_CLOSE, message, HUB_ID)
    hub.is_lying = True
    hub.append(data)
    return hub


@story
def account_off_by_one_gram(folder: Path) -> Liar:
    """One account has one gram more than its statements give; total and root are those of the false books."""
    hub = released()
    books = {name: (mg, variance) for name, (mg, variance, _) in hub.accounts(EPOCH).items()}
    favoured = min(books)
    books[favoured] = (books[favoured][0] + 1000, books[favoured][1])
    message = hub.close_message()
    message.total_mg += 1000
    message.accounts_root = merkle.root(
        name + mg.to_bytes(8, "big", signed=True) + variance.to_bytes(16, "big")
        for name, (mg, variance) in sorted(books.items())
    )
    hub.append(hub.signed(Kind.EPOCH_CLOSE, message, HUB_ID))
    return hub


@story
def grams_moved_between_accounts(folder: Path) -> Liar:
    """One gram moves from one account to another: the total holds, the root does not."""
    hub = released()
    books = {name: (mg, variance) for name, (mg, variance, _) in hub.accounts(EPOCH).items()}
    giver, taker = min(books), max(books)
    books[giver] = (books[giver][0] - 1000, books[giver][1])
    books[taker] = (books[taker][0] + 1000, books[taker][1])
    message = hub.close_message()
    message.accounts_root = merkle.root(
        name + mg.to_bytes(8, "big", signed=True) + variance.to_bytes(16, "big")
        for name, (mg, variance) in sorted(books.items())
    )
    hub.append(hub.signed(Kind.EPOCH_CLOSE, message, HUB_ID))
    return hub


@story
def sham_account(folder: Path) -> Liar:
    """The close counts an account that no statement feeds."""
    return _closing(lambda message: setattr(message, "accounts", message.accounts + 1))


@story
def shared_accounts_inflated(folder: Path) -> Liar:
    """The close says more accounts are fed by two enterprises than are."""
    return _closing(
        lambda message: setattr(message, "accounts_in_two_or_more", message.accounts_in_two_or_more + 1)
    )


@story
def close_over_another_log(folder: Path) -> Liar:
    """The close stands on a root that the log never had."""
    return _closing(lambda message: setattr(message, "log_root", bytes(32)))


@story
def close_that_overlooks_an_answer(folder: Path) -> Liar:
    """The close stands on a beginning of the log without the last release."""
    hub = released()
    message = hub.close_message()
    message.log_size = hub.state.size - 1
    message.log_root = hub.state.root(message.log_size)
    hub.lie(Kind.EPOCH_CLOSE, message, HUB_ID)
    return hub


@story
def silence_hidden_by_the_close(folder: Path) -> Liar:
    """An enterprise said nothing, and the close does not say so."""
    hub = counted()
    hub.release(RETAILER)
    message = hub.close_message()
    del message.missing[:]
    hub.lie(Kind.EPOCH_CLOSE, message, HUB_ID)
    return hub


@story
def dropped_epoch(folder: Path) -> Liar:
    """Nobody released the second epoch, and it is closed as if nothing were amiss."""
    hub = released()
    hub.close()
    hub.close(NEXT)
    return hub


@story
def closed_twice(folder: Path) -> Liar:
    """An epoch is closed a second time, with other books."""
    hub = settled()
    hub.lie(Kind.EPOCH_CLOSE, hub.close_message(NEXT), HUB_ID)
    return hub


@story
def link_moved_to_another_account(folder: Path) -> Liar:
    """A person's pseudonym is linked a second time, to somebody else's account."""
    hub = counted()
    built = hub.link_batch([0])
    hub.lie(Kind.LINK_BATCH, built.message, HUB_ID, bodies=built.bodies)
    return hub


# Persons.


@story
def invented_persons(folder: Path) -> Liar:
    """An enterprise enrols persons whom no custodian ever evaluated."""
    hub = counted()
    hub.enrol(BIKES, [100, 101, 102], effective=NEXT)
    return hub


@story
def duplicate_slot(folder: Path) -> Liar:
    """A roster batch gives a slot number that is taken."""
    hub = counted()
    built = hub.roster(BIKES, [40], effective=NEXT)
    built.message.first_slot -= 1
    hub.lie(Kind.ROSTER_BATCH, built.message, BIKES, bodies=built.bodies)
    return hub


@story
def person_enrolled_twice(folder: Path) -> Liar:
    """A person who is on the roster is put on it again, to be paid twice."""
    hub = counted()
    built = hub.roster(BIKES, [0], effective=NEXT)
    hub.lie(Kind.ROSTER_BATCH, built.message, BIKES, bodies=built.bodies)
    return hub


@story
def roster_root_forged(folder: Path) -> Liar:
    """A roster batch leads to another root than its slots."""
    hub = counted()
    built = hub.roster(BIKES, [40], effective=NEXT)
    built.message.roster_root = bytes(32)
    hub.lie(Kind.ROSTER_BATCH, built.message, BIKES, bodies=built.bodies)
    return hub


@story
def batch_below_the_minimum(folder: Path) -> Liar:
    """A batch of one person tells when that person enrolled."""
    hub = counted(batch_min=5)
    built = hub.roster(BIKES, [40], effective=NEXT)
    hub.lie(Kind.ROSTER_BATCH, built.message, BIKES, bodies=built.bodies)
    return hub


@story
def uncounted_evaluations(folder: Path) -> Liar:
    """A custodian's running total does not follow from its batches."""
    hub = counted()
    hub.is_lying = True
    at = hub.find(Kind.COUNT_REPORT)
    message = _message(hub, at)
    message.header.CopyFrom(hub.header(Role.CUSTODIAN, message.header.issuer))
    for batch in message.batches:
        batch.batch_hash = hashlib.sha256(batch.batch_hash).digest()
    hub.lie(Kind.COUNT_REPORT, message, message.header.issuer)
    return hub


@story
def custodians_disagree(folder: Path) -> Liar:
    """Two custodians count one batch differently."""
    hub = counted()
    hub.count("regulator", BIKES, 3)
    hub.count("auditor-one", BIKES, 4)
    return hub


@story
def more_evaluated_than_enrolled(folder: Path) -> Liar:
    """Custodians evaluated identifiers that were never enrolled: somebody looks persons up."""
    hub = counted()
    for name in ("regulator", "auditor-one"):
        hub.count(name, BIKES, 500)
    return hub


@story
def quota_exceeded(folder: Path) -> Liar:
    """A custodian evaluated more for an enterprise than the trust root grants."""
    base = parts(quota=20)
    hub = lying(enrolled(**base))
    for name in ("regulator", "auditor-one"):
        message = _message(hub, hub.find(Kind.COUNT_REPORT))
        del message.batches[:]
        message.header.CopyFrom(hub.header(Role.CUSTODIAN, name))
        message.batches.add(batch_hash=hashlib.sha256(b"beyond").digest(), elements=30)
        message.evaluations_total += 30
        hub.is_lying = True
        hub.append(hub.signed(Kind.COUNT_REPORT, message, name))
    return hub


# Documents and keys.


@story
def pack_replaced(folder: Path) -> Liar:
    """A methodology's content changes under its version after the policy had named it."""
    hub = lying(begun(**parts()))
    old = hub.packs[0]
    forged = dataclasses.replace(old, body=old.body.replace(b"east", b"west") + b" ")
    record = _message(hub, hub.find(Kind.PACK))
    record.sha256, record.size = hashlib.sha256(forged.body).digest(), len(forged.body)
    hub.replace(hub.find(Kind.PACK), hub.signed(Kind.PACK, record, hub.root_names[0]), [forged.body])
    return hub


@story
def pack_published_twice(folder: Path) -> Liar:
    """A version of a methodology is published a second time with another content."""
    hub = counted()
    record = _message(hub, hub.find(Kind.PACK))
    record.sha256, record.size = hashlib.sha256(b"{}").digest(), 2
    hub.lie(Kind.PACK, record, hub.root_names[0], bodies=[b"{}"])
    return hub


@story
def weakened_policy(folder: Path) -> Liar:
    """The policy claims that a person-day moves less than the methodologies prove."""
    return lying(begun(**parts(reach_grams=1)))


@story
def allowance_raised_by_the_hub(folder: Path) -> Liar:
    """The hub signs a policy that allows itself more of everybody's privacy."""
    hub = counted()
    message = hub.policy_message(version=2, first_epoch=NEXT, person_day_allowance=ratio(Fraction(9)))
    hub.lie(Kind.POLICY, message, HUB_ID)
    return hub


@story
def policy_backdated(folder: Path) -> Liar:
    """A policy is put in force for an epoch that is closed."""
    hub = settled()
    hub.lie(Kind.POLICY, hub.policy_message(version=2), hub.root_names[0])
    return hub


@story
def sham_enterprise(folder: Path) -> Liar:
    """The hub adds an enterprise of its own with one signature where two are needed."""
    hub = counted()
    root = hub.trust_root(version=2, previous=hub.state.trust.envelope_hash)
    root.enterprises.add(id="sham", name="Sham", key=key("sham").verify_key.to_wire(), evaluation_quota=9)
    hub.lie(Kind.TRUST_ROOT, root, "operator")
    return hub


@story
def trust_root_signed_by_strangers(folder: Path) -> Liar:
    """A trust root names new signers, who sign it themselves; those before do not."""
    hub = counted()
    root = hub.trust_root(version=2, previous=hub.state.trust.envelope_hash)
    del root.root_keys[:]
    root.root_keys.extend(key(name).verify_key.to_wire() for name in ("one", "two", "three"))
    hub.lie(Kind.TRUST_ROOT, root, "one", "two")
    return hub


@story
def trust_root_rolled_back(folder: Path) -> Liar:
    """An older version of the trust root is put in force again, with the keys it still named."""
    hub = counted()
    hub.publish_trust(hub.trust_root(version=2, previous=hub.state.trust.envelope_hash))
    hub.is_lying = True
    hub.append(*hub.entries[0])
    return hub


@story
def another_first_trust_root(folder: Path) -> Liar:
    """The log begins with a trust root that is not the one handed over."""
    hub = counted()
    hub.pinned = hub.entries[0].data
    root = _message(hub, 0)
    root.issued_at += 1
    hub.replace(0, hub.signed(Kind.TRUST_ROOT, root, "operator", "regulator"))
    return hub


def _without(hub: Liar, enterprise_id: str, *, replaced_by: str = "") -> None:
    """Publish a trust root that leaves an enterprise out, or gives it a new key."""
    root = hub.trust_root(version=2, previous=hub.state.trust.envelope_hash)
    kept: list[trust_pb2.Enterprise] = []
    for one in root.enterprises:
        if one.id == enterprise_id and replaced_by:
            one.key.CopyFrom(key(replaced_by).verify_key.to_wire())
        if one.id != enterprise_id or replaced_by:
            kept.append(one)
    del root.enterprises[:]
    root.enterprises.extend(kept)
    hub.publish_trust(root)


@story
def revoked_enterprise(folder: Path) -> Liar:
    """An enterprise that the trust root no longer names goes on releasing."""
    hub = counted()
    message = hub.reservation(BIKES)
    _without(hub, BIKES)
    hub.lie(Kind.RESERVATION, message, BIKES)
    return hub


@story
def expired_key(folder: Path) -> Liar:
    """An enterprise signs with the key it had before its key was replaced."""
    hub = counted()
    _without(hub, BIKES, replaced_by="bikes-new")
    hub.lie(Kind.RESERVATION, hub.reservation(BIKES), BIKES)
    return hub


@story
def wrong_key(folder: Path) -> Liar:
    """A message in one enterprise's name is signed by another's key."""
    hub = counted()
    hub.lie(Kind.RESERVATION, hub.reservation(BIKES), RETAILER)
    return hub


@story
def unknown_key(folder: Path) -> Liar:
    """A message is signed by a key that nobody registered."""
    hub = counted()
    hub.lie(Kind.RESERVATION, hub.reservation(BIKES), "stranger")
    return hub


@story
def hub_speaks_for_an_enterprise(folder: Path) -> Liar:
    """The hub signs a release in an enterprise's name."""
    hub = counted()
    built = hub.release_message(BIKES, hub.reserve(BIKES))
    hub.lie(Kind.RELEASE, built.message, HUB_ID, bodies=built.bodies)
    return hub


@story
def suspended_enterprise(folder: Path) -> Liar:
    """An enterprise releases while it is suspended."""
    hub = counted()
    root = hub.trust_root(version=2, previous=hub.state.trust.envelope_hash)
    root.enterprises[0].suspended = True
    hub.publish_trust(root)
    hub.lie(Kind.RESERVATION, hub.reservation(BIKES), BIKES)
    return hub


@story
def message_of_another_log(folder: Path) -> Liar:
    """A message that was signed for another log is put into this one."""
    hub = counted()
    message = hub.reservation(BIKES)
    message.header.origin = "other.example/log"
    hub.lie(Kind.RESERVATION, message, BIKES)
    return hub


@story
def sequence_skipped(folder: Path) -> Liar:
    """The hub keeps one of an enterprise's messages back."""
    hub = counted()
    at = hub.state.size
    hub.release(BIKES)
    del hub.entries[at]
    return hub


@story
def chain_broken(folder: Path) -> Liar:
    """A message does not follow the one before it in its sender's chain."""
    hub = counted()
    message = hub.reservation(BIKES)
    message.header.previous = bytes(32)
    hub.lie(Kind.RESERVATION, message, BIKES)
    return hub


@story
def false_silence(folder: Path) -> Liar:
    """An enterprise says its roster is empty, which it is not."""
    hub = counted()
    message = release_pb2.NothingToReport(
        header=hub.header(Role.ENTERPRISE, BIKES),
        epoch=EPOCH,
        reason=release_pb2.NOTHING_REASON_EMPTY_ROSTER,
    )
    hub.lie(Kind.NOTHING_TO_REPORT, message, BIKES)
    return hub


# Deadlines.

DEADLINE_DAYS = 20
# The documents are younger than the first epoch's end: its deadline runs from them.
DUE_AT = ISSUED_AT + DEADLINE_DAYS * 86_400


def awaited(**changes: Any) -> Liar:
    """The bikes have released the first epoch, the retailer has until the deadline; custodians reported."""
    hub = counted(policy_changes={"deadline_days": DEADLINE_DAYS}, **changes)
    hub.release(BIKES)
    hub.count("operator-share", BIKES)
    return hub


@story
def missed_deadline(folder: Path) -> Liar:
    """An enterprise let its deadline pass, and the hub logged that it is missing."""
    hub = awaited()
    hub.miss(RETAILER, issued_at=DUE_AT)
    hub.close()
    return hub


@story
def custodian_silent(folder: Path) -> Liar:
    """A custodian made no report since the epoch's end, and the hub logged that it is missing."""
    hub = counted(policy_changes={"deadline_days": DEADLINE_DAYS})
    for one in hub.enterprises:
        hub.release(one.id)
    hub.miss("operator-share", role=Role.CUSTODIAN, issued_at=DUE_AT)
    return hub


@story
def missing_before_the_deadline(folder: Path) -> Liar:
    """The hub declares an enterprise missing a second before its deadline passes."""
    hub = awaited()
    hub.lie(Kind.MISSING, hub.missing_message(RETAILER, issued_at=DUE_AT - 1), HUB_ID)
    return hub


@story
def missing_although_answered(folder: Path) -> Liar:
    """The hub declares an enterprise missing whose release stands in the log."""
    hub = awaited()
    hub.lie(Kind.MISSING, hub.missing_message(BIKES, issued_at=DUE_AT), HUB_ID)
    return hub


@story
def missing_by_a_stranger(folder: Path) -> Liar:
    """An enterprise declares its rival missing."""
    hub = awaited()
    message = hub.missing_message(RETAILER, issued_at=DUE_AT)
    message.header.CopyFrom(hub.header(Role.ENTERPRISE, BIKES, issued_at=DUE_AT))
    hub.lie(Kind.MISSING, message, BIKES)
    return hub


@story
def missing_dated_ahead(folder: Path) -> Liar:
    """The hub dates a missing entry behind the deadline; a witness saw it days before."""
    hub = lying(Federation(**parts(), policy_changes={"deadline_days": DEADLINE_DAYS}))
    root = hub.trust_root()
    root.witness_vkeys.append(str(WITNESS))
    root.witness_quorum = 1
    hub.publish_trust(root)
    for pack in hub.packs:
        hub.publish_pack(pack)
    hub.publish_policy()
    hub.miss(RETAILER, issued_at=DUE_AT)
    seen_at = DUE_AT - 5 * 86_400
    note = checkpoint.cosign(hub.signed_head(hub.entries), WITNESS, key("witness"), time=seen_at)
    hub.checkpoint = lambda: note  # type: ignore[method-assign]
    return hub


@story
def missing_although_deposited(folder: Path) -> Liar:
    """The hub takes nothing from an enterprise and calls it missing; a witness had dated its answer."""
    hub = _witnessed(quorum=0, policy_changes={"deadline_days": DEADLINE_DAYS})
    for pack in hub.packs:
        hub.publish_pack(pack)
    hub.publish_policy()
    data = hub.signed(Kind.RESERVATION, hub.reservation(RETAILER), RETAILER)
    seen = Deposit(ORIGIN, envelope.envelope_hash(data), DUE_AT - 60, WITNESS.name)
    (folder / "deposits").mkdir()
    (folder / "deposits" / "000001-reservation.envelope").write_bytes(data)
    (folder / "deposits" / "000001-reservation.deposit").write_bytes(sign_deposit(seen, key("witness")))
    hub.miss(RETAILER, issued_at=DUE_AT)
    return hub


@story
def silence_covered_up(folder: Path) -> Liar:
    """Weeks behind a deadline the hub goes on without a word about the enterprise that missed it."""
    hub = awaited()
    hub.miss("operator-share", Epoch(202101), role=Role.CUSTODIAN, issued_at=DUE_AT + 30 * 86_400)
    return hub


@story
def closed_before_the_deadline(folder: Path) -> Liar:
    """The hub closes the books without an enterprise that still had time to answer."""
    hub = awaited()
    hub.lie(Kind.EPOCH_CLOSE, hub.close_message(), HUB_ID)
    return hub


# Erasure.


def _withdrawn() -> Liar:
    """The first epoch is closed; slots 0 and 1 of the bikes have been withdrawn since."""
    hub = released()
    hub.close()
    hub.enrol(BIKES, [], effective=NEXT, withdrawn=[0, 1])
    return hub


def erased() -> Liar:
    """A person was erased between two closes, another by the hub after them."""
    hub = _withdrawn()
    hub.erase(BIKES, [0])
    for one in hub.enterprises:
        hub.release(one.id, NEXT)
    hub.close(NEXT)
    hub.erase(BIKES, [1], by_hub=True)
    return hub


@story
def person_emptied_without_an_order(folder: Path) -> Liar:
    """A person's salt, pseudonym and link are gone from the bodies, and nobody ordered it."""
    hub = _withdrawn()
    hub.empty(BIKES, [0])
    return hub


@story
def order_not_carried_out(folder: Path) -> Liar:
    """An enterprise ordered an erasure; the hub logged the order and kept the rows."""
    hub = _withdrawn()
    hub.append(hub.signed(Kind.ERASURE_ORDER, hub.erasure(BIKES, [0]), BIKES))
    return hub


@story
def more_erased_than_ordered(folder: Path) -> Liar:
    """The order names one slot; two are emptied."""
    hub = _withdrawn()
    hub.erase(BIKES, [0])
    hub.empty(BIKES, [1])
    return hub


@story
def link_of_a_living_person_erased(folder: Path) -> Liar:
    """Under cover of an order the hub also empties the link of a person who stays."""
    hub = _withdrawn()
    hub.erase(BIKES, [0])
    at = hub.find(Kind.LINK_BATCH)
    bodies = list(hub.entries[at].bodies)
    bodies[1] = links.erase(bodies[1], [pseudonym(19)])
    hub.replace(at, hub.entries[at].data, bodies)
    return hub


@story
def link_kept_after_erasure(folder: Path) -> Liar:
    """The roster's row is emptied as ordered; the link still says whose account the person had."""
    hub = _withdrawn()
    at = hub.find(Kind.LINK_BATCH)
    kept = list(hub.entries[at].bodies)
    hub.erase(BIKES, [0])
    hub.replace(at, hub.entries[at].data, kept)
    return hub


@story
def erasure_ordered_by_another_enterprise(folder: Path) -> Liar:
    """An enterprise orders the erasure of a rival's persons."""
    hub = _withdrawn()
    message = hub.erasure(BIKES, [0])
    message.header.CopyFrom(hub.header(Role.ENTERPRISE, RETAILER))
    hub.lie(Kind.ERASURE_ORDER, message, RETAILER)
    return hub


@story
def erasure_of_an_enrolled_person(folder: Path) -> Liar:
    """The hub orders the erasure of somebody who has not withdrawn, to be rid of the account."""
    hub = _withdrawn()
    hub.lie(Kind.HUB_ERASURE_ORDER, hub.erasure(BIKES, [5], by_hub=True), HUB_ID)
    return hub


# The log itself.


@story
def forged_bundle_with_matching_tile(folder: Path) -> Liar:
    """One byte of an entry is changed, and bundle, tiles, root and checkpoint are made to match."""
    hub = settled()
    at = hub.find(Kind.RELEASE)
    data = bytearray(hub.entries[at].data)
    data[len(data) // 2] ^= 1
    hub.replace(at, bytes(data))
    return hub


@story
def swapped_entries(folder: Path) -> Liar:
    """Two entries have changed places, and the tree is made to match."""
    hub = settled()
    at = hub.find(Kind.RELEASE)
    hub.entries[at - 1], hub.entries[at] = hub.entries[at], hub.entries[at - 1]
    return hub


@story
def removed_entry(folder: Path) -> Liar:
    """An entry is taken out, and the tree is made to match."""
    hub = settled()
    del hub.entries[hub.find(Kind.COUNT_REPORT)]
    return hub


@story
def wrong_log_key(folder: Path) -> Liar:
    """The checkpoint is signed by a key that is not the log's."""
    hub = settled()
    hub.checkpoint = lambda: hub.signed_head(hub.entries, by="stranger")  # type: ignore[method-assign]
    return hub


NEXT_ORIGIN = "cgsp.example/log-two"


def succeeded() -> Liar:
    """The first epoch was released under the first log key and closed under the second."""
    hub = released()
    hub.succeed(NEXT_ORIGIN)
    hub.close()
    return hub


@story
def log_key_replaced_by_one_signer(folder: Path) -> Liar:
    """One of three root keys puts another log key in force."""
    hub = released()
    hub.lie(Kind.TRUST_ROOT, hub.succession(NEXT_ORIGIN, "log-two"), hub.root_names[0])
    return hub


@story
def log_key_replaced_over_another_history(folder: Path) -> Liar:
    """The version that replaces the log's key names a checkpoint of a tree that this log never had."""
    hub, other = released(), lying(enrolled(**parts(), batch_min=2))
    root = hub.succession(NEXT_ORIGIN, "log-two", other.signed_head(other.entries))
    hub.lie(Kind.TRUST_ROOT, root, *hub.root_names[:2])
    return hub


@story
def replaced_log_key_still_signs(folder: Path) -> Liar:
    """After the log's key was replaced, its old key signs what came behind."""
    hub = succeeded()
    hub.checkpoint = lambda: hub.signed_head(hub.entries)  # type: ignore[method-assign]
    return hub


@story
def message_for_the_replaced_origin(folder: Path) -> Liar:
    """A message signed for the origin before is logged under the next."""
    hub = counted()
    message = hub.reservation(BIKES)
    hub.succeed(NEXT_ORIGIN)
    hub.lie(Kind.RESERVATION, message, BIKES)
    return hub


def _witnessed(quorum: int = 1, **changes: Any) -> Liar:
    hub = lying(Federation(**parts(), **changes))
    root = hub.trust_root()
    root.witness_vkeys.append(str(WITNESS))
    root.witness_quorum = quorum
    hub.publish_trust(root)
    return hub


@story
def witness_left_out(folder: Path) -> Liar:
    """The checkpoint is served without the cosignature that the trust root asks for."""
    return _witnessed()


@story
def witness_lied_to(folder: Path) -> Liar:
    """The witness was shown another history; its cosignature is put below this one's checkpoint."""
    hub = _witnessed()
    shown = hub.signed_head(hub.entries)
    line = checkpoint.cosignature_line(checkpoint.parse_note(shown), WITNESS, key("witness"), time=SEEN_AT)
    hub.publish_pack(hub.packs[0])
    note = hub.signed_head(hub.entries) + line
    hub.checkpoint = lambda: note  # type: ignore[method-assign]
    return hub


# What a node keeps, held against what it is shown.


def _promise(folder: Path, index: int, leaf_hash: bytes) -> None:
    (folder / "receipts").mkdir()
    receipt = Receipt(ORIGIN, index, leaf_hash, SEEN_AT - 3600)
    (folder / "receipts" / "000001-release.receipt").write_bytes(sign_receipt(receipt, key(HUB_ID)))


@story
def stale_checkpoint(folder: Path) -> Liar:
    """An hour after a message was taken, readers are still shown the log as it was before."""
    hub = _witnessed()
    _promise(folder, len(hub.entries), merkle.leaf_hash(b"a message"))
    note = checkpoint.cosign(hub.signed_head(hub.entries), WITNESS, key("witness"), time=SEEN_AT)
    hub.checkpoint = lambda: note  # type: ignore[method-assign]
    return hub


@story
def promise_broken(folder: Path) -> Liar:
    """Another message stands where a receipt promised a node's own."""
    hub = settled()
    _promise(folder, hub.find(Kind.RELEASE), merkle.leaf_hash(b"a message"))
    return hub


@story
def forked_tree(folder: Path) -> Liar:
    """A node was shown another tree than the auditor; its proof shows the log's signature on both."""
    hub, other = settled(), lying(enrolled(**parts(), batch_min=2))
    _promise(folder, 0, other.leaf(0))
    leaves = [merkle.leaf_hash(entry.data) for entry in other.entries]
    proof = TlogProof(0, tuple(merkle.inclusion_proof(leaves, 0)), other.checkpoint())
    (folder / "receipts" / "000001-release.tlog-proof").write_bytes(format_proof(proof))
    return hub


@story
def truncated_log(folder: Path) -> Liar:
    """Entries that a node has proofs of are cut off the log, and the shorter log is signed anew."""
    hub = settled()
    index = len(hub.entries) - 1
    leaves = [merkle.leaf_hash(entry.data) for entry in hub.entries]
    _promise(folder, index, leaves[index])
    proof = TlogProof(index, tuple(merkle.inclusion_proof(leaves, index)), hub.checkpoint())
    (folder / "receipts" / "000001-release.tlog-proof").write_bytes(format_proof(proof))
    del hub.entries[index - 2 :]
    return hub


# What samples stand on.

ASKED = {"commitment_required": True, "commitment_deadline_days": 20, "issued_at": 1_600_000_000}
# The deadline of January's commitments, 2021-02-21 00:00 in UTC+8.
DUE = 1_613_836_800


def _committed() -> Liar:
    """The first epoch is released and closed under a policy that asks for commitments."""
    hub = counted(policy_changes=ASKED)
    for one in hub.enterprises:
        hub.commit(one.id)
        hub.release(one.id)
    return hub


def _closed_at(hub: Liar, issued_at: int) -> None:
    message = hub.close_message()
    message.header.issued_at = issued_at
    hub.append(hub.signed(Kind.EPOCH_CLOSE, message, HUB_ID))


def sampled() -> Liar:
    """The beacon over the first epoch's commitments is drawn."""
    hub = _committed()
    hub.close()
    hub.draw_beacon()
    return hub


@story
def commitment_backdated(folder: Path) -> Liar:
    """A commitment says it was made before its deadline; the hub's close before it in the log is later."""
    hub = _committed()
    _closed_at(hub, DUE + 86_400)
    hub.commit(BIKES, NEXT, issued_at=DUE - 86_400)
    return hub


@story
def commitment_left_out(folder: Path) -> Liar:
    """A release stands in the log without the commitment its policy asks for."""
    hub = counted(policy_changes=ASKED)
    built = hub.release_message(BIKES, hub.reserve(BIKES))
    hub.lie(Kind.RELEASE, built.message, BIKES, bodies=built.bodies)
    return hub


@story
def commitment_to_a_closed_epoch(folder: Path) -> Liar:
    """An enterprise that is missing at the close commits once it knows which leaves will be drawn."""
    hub = counted(policy_changes=ASKED)
    hub.commit(BIKES)
    hub.release(BIKES)
    hub.close()
    hub.draw_beacon()
    hub.lie(Kind.COMMITMENT, hub.commitment(RETAILER), RETAILER)
    return hub


@story
def beacon_of_one_custodians_choice(folder: Path) -> Liar:
    """One custodian answers with what it likes instead of its share's evaluation."""
    hub = _committed()
    hub.close()
    message = hub.beacon_message()
    message.parts[1].evaluated = message.parts[0].evaluated
    hub.lie(Kind.BEACON, message, HUB_ID)
    return hub


@story
def second_beacon(folder: Path) -> Liar:
    """The hub has an epoch's beacon drawn again, over a checkpoint whose draws it may like better."""
    hub = sampled()
    hub.lie(Kind.BEACON, hub.beacon_message(), HUB_ID)
    return hub


@story
def beacon_before_the_commitment(folder: Path) -> Liar:
    """The beacon is over a checkpoint that an enterprise's commitment stands behind."""
    hub = counted(policy_changes=ASKED)
    note = hub.checkpoint()
    for one in hub.enterprises:
        hub.commit(one.id)
        hub.release(one.id)
    hub.close()
    hub.lie(Kind.BEACON, hub.beacon_message(note=note), HUB_ID)
    return hub
