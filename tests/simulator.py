"""A whole federation in memory: documents, rosters, releases and closes, as (entry, bodies) in log order.

Every entry goes through privacy.acceptance.LogState, so what a story holds is what a hub would have logged.
"""

from __future__ import annotations

import functools
import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from privacy import (
    beacon,
    checkpoint,
    codec,
    envelope,
    links,
    merkle,
    policy,
    releases,
    rosters,
    shares,
    tiles,
)
from privacy.acceptance import Admission, LogState
from privacy.account_changes import build_change
from privacy.checkpoint import Checkpoint
from privacy.choices import BuiltChoices, build_choices, subject
from privacy.claims import ratio
from privacy.envelope import Kind
from privacy.erasures import erased_account
from privacy.keys import SigningKey
from privacy.laplace import variance_upper
from privacy.links import BuiltLinks, build_links
from privacy.policy import NO_OVERLAP, Policy
from privacy.releases import BuiltRelease
from privacy.selections import build_selection
from privacy.shares import Dealing
from privacy.standing import HUB_ID, Role, Selection
from privacy.tickets import sign_ticket
from protos.epochs import Epoch
from protos.v1 import (
    books_pb2,
    commitment_pb2,
    custodian_pb2,
    envelope_pb2,
    evidence_pb2,
    policy_pb2,
    programme_pb2,
    release_pb2,
    trust_pb2,
)

ORIGIN = "cgsp.example/log"
KEY_ID = b"pseudonym-key-01"
EPOCH = Epoch(202012)
ISSUED_AT = 1_610_000_000


# Enterprise, measure, slot and epoch of one released number.
Row = tuple[str, str, int, int]
# An anchor's grams, its variance, and the epochs it totals.
Anchored = tuple[int, int, tuple[int, ...]]


class Logged(NamedTuple):
    """One log entry and its bodies."""

    data: bytes
    bodies: list[bytes]


@dataclass(frozen=True)
class SimulatedPack:
    """A pack by the bytes that are logged for it."""

    id: str
    version: int = 1
    body: bytes = b"pack"
    domain: str = "travel"
    overlap_class: str = NO_OVERLAP


@dataclass(frozen=True)
class SimulatedEnterprise:
    """An enterprise: who is on its roster, what its one measure sums and how far a person reaches."""

    id: str
    persons: Sequence[int]
    pack_ids: tuple[str, ...]
    day_clamp_grams: int = 500
    reach_grams: int = 500
    month_clamp_grams: int = 5_000
    sum_reach_grams: int = 10_000
    count_reach: int = 8
    quota: int = 10_000


DEFAULT_PACKS = (SimulatedPack("bike"), SimulatedPack("power", body=b"power pack", domain="life"))
DEFAULT_ENTERPRISES = (
    SimulatedEnterprise("bike-share", range(12), ("bike",)),
    SimulatedEnterprise("utility", range(6, 20), ("power",), day_clamp_grams=1_000, reach_grams=1_000),
)
CUSTODIANS = ("regulator", "auditor-one", "operator-share")


@functools.cache
def beacon_dealing() -> Dealing:
    """Give the beacon key's shares, the same in every run."""
    return shares.deal(threshold=2, count=len(CUSTODIANS), random=random.Random(11).randbytes)


def key(name: str) -> SigningKey:
    """Give the signing key of that name, the same in every run."""
    return SigningKey(hashlib.sha256(b"key " + name.encode()).digest(), name=name)


def pseudonym(person: int) -> bytes:
    """Give a person's pseudonym."""
    return hashlib.sha256(b"person %d" % person).digest()[:16]


def account(person: int) -> bytes:
    """Give a person's account id."""
    return hashlib.sha256(b"account %d" % person).digest()[:16]


@dataclass
class Federation:
    """Writes a log, message by message; `state` is what it has established."""

    packs: Sequence[SimulatedPack] = DEFAULT_PACKS
    enterprises: Sequence[SimulatedEnterprise] = DEFAULT_ENTERPRISES
    root_names: Sequence[str] = ("operator", "regulator", "auditor")
    regions: Sequence[str] = ("east", "west")
    domains: Sequence[str] = ("travel", "life")
    batch_min: int = 1
    unmatched_per_mille: int = 0
    first_epoch: Epoch = EPOCH
    policy_changes: Mapping[str, Any] = field(default_factory=dict)
    entries: list[Logged] = field(default_factory=list)
    state: LogState = field(default_factory=LogState)
    origin: str = ORIGIN
    # Name of the log's present key.
    log_key: str = "log"
    randomness: random.Random = field(default_factory=lambda: random.Random(7))
    linked: dict[bytes, tuple[bytes, Epoch]] = field(default_factory=dict)
    rows: dict[str, list[bytes]] = field(default_factory=dict)
    batches: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)

    # Writing.

    def append(self, data: bytes, bodies: Sequence[bytes] = ()) -> Admission:
        """Put an envelope into the log; raises what the rules raise."""
        admission = self.state.check(data, bodies)
        self.state.apply(admission)
        self.entries.append(Logged(data, list(bodies)))
        return admission

    def header(self, role: Role, issuer: str, **changes: Any) -> envelope_pb2.Header:
        """Give the next header of an issuer, with changes for tests that want it wrong."""
        chain = self.state.chain(role, issuer)
        values: dict[str, Any] = {
            "origin": self.origin,
            "issuer": issuer,
            "sequence": chain.next_sequence,
            "previous": chain.head,
            "issued_at": ISSUED_AT,
        }
        return envelope_pb2.Header(**{**values, **changes})

    def signed(self, kind: Kind, message: Any, *signers: str) -> bytes:
        """Sign a message with the keys of those names."""
        return envelope.sign(codec.encode(message), kind, [key(name) for name in signers])

    # Documents.

    def trust_root(self, *, version: int = 1, previous: bytes = b"", **changes: Any) -> trust_pb2.TrustRoot:
        """Give a trust root naming everybody."""
        root = trust_pb2.TrustRoot(
            version=version,
            previous=previous,
            origin=self.origin,
            root_keys=[key(name).verify_key.to_wire() for name in self.root_names],
            root_threshold=2,
            log_vkey=str(self.log_vkey),
            hub_key=key(HUB_ID).verify_key.to_wire(),
            hub_ca=b"certificate",
            policy_keys=[key(name).verify_key.to_wire() for name in self.root_names[:2]],
            policy_threshold=1,
            issued_at=ISSUED_AT,
        )
        root.pseudonym_key.key_id = KEY_ID
        root.pseudonym_key.threshold = 2
        root.pseudonym_key.commitments.extend([bytes([1] * 32), bytes([2] * 32)])
        dealt = beacon_dealing()
        root.beacon_key.key_id = beacon.key_id(dealt.commitments[0])
        root.beacon_key.threshold = dealt.threshold
        root.beacon_key.commitments.extend(dealt.commitments)
        for index, name in enumerate(CUSTODIANS, start=1):
            root.custodians.add(
                id=name, name=name, index=index, address="127.0.0.1:1", key=key(name).verify_key.to_wire()
            )
        for one in self.enterprises:
            root.enterprises.add(
                id=one.id, name=one.id, key=key(one.id).verify_key.to_wire(), evaluation_quota=one.quota
            )
        root.auditors.add(id="auditor", name="Auditor")
        root.MergeFrom(trust_pb2.TrustRoot(**changes))
        return root

    def publish_trust(self, root: trust_pb2.TrustRoot | None = None, *signers: str) -> Admission:
        """Log a trust root signed by two of three."""
        signed = self.signed(Kind.TRUST_ROOT, root or self.trust_root(), *(signers or self.root_names[:2]))
        return self.append(signed)

    def succession(self, origin: str, log_key: str, note: bytes | None = None) -> trust_pb2.TrustRoot:
        """Give the trust root that lets another key go on with the log, from its present checkpoint."""
        before = self.state.trust
        note = self.checkpoint() if note is None else note
        root = self.trust_root(
            version=before.version + 1,
            previous=before.envelope_hash,
            log_subtree_vkey=str(checkpoint.subtree_vkey(origin, key(log_key))),
            predecessor_checkpoint=note,
            witness_vkeys=[str(vkey) for vkey in before.witness_vkeys],
            witness_quorum=before.witness_quorum,
        )
        root.origin = origin
        root.log_vkey = str(checkpoint.log_vkey(origin, key(log_key).verify_key))
        return root

    def succeed(self, origin: str = "cgsp.example/log-two", log_key: str = "log-two") -> Admission:
        """Replace the log's key."""
        admission = self.publish_trust(self.succession(origin, log_key))
        self.origin, self.log_key = origin, log_key
        return admission

    def publish_pack(self, pack: SimulatedPack) -> Admission:
        """Log a pack."""
        record = policy_pb2.PackRecord(
            origin=self.origin,
            id=pack.id,
            version=pack.version,
            sha256=hashlib.sha256(pack.body).digest(),
            size=len(pack.body),
        )
        return self.append(self.signed(Kind.PACK, record, self.root_names[0]), [pack.body])

    def publish_programme(self, data: bytes, *signers: str, **changes: Any) -> Admission:
        """Log a programme's canonical bytes, signed by two; with changes for tests that want it wrong."""
        said = json.loads(data)
        values: dict[str, Any] = {
            "origin": self.origin,
            "id": said["id"],
            "version": said["version"],
            "sha256": hashlib.sha256(data).digest(),
            "size": len(data),
            "first_epoch": said["first_epoch"],
        }
        record = programme_pb2.ProgrammeRecord(**{**values, **changes})
        bodies = [] if record.withdrawn else [data]
        return self.append(self.signed(Kind.PROGRAMME, record, *(signers or self.root_names[:2])), bodies)

    def policy_message(
        self, *, version: int = 1, first_epoch: Epoch | None = None, **changes: Any
    ) -> policy_pb2.Policy:
        """Give a policy over all packs and enterprises."""
        message = policy_pb2.Policy(
            id="city",
            version=version,
            origin=self.origin,
            first_epoch=first_epoch or self.first_epoch,
            statement_epsilon=ratio(Fraction(1, 2)),
            sum_epsilon=ratio(Fraction(2, 5)),
            count_epsilon=ratio(Fraction(1, 10)),
            person_day_allowance=ratio(Fraction(1, 2)),
            person_month_allowance=ratio(Fraction(1)),
            regions=self.regions,
            domains=self.domains,
            unmatched_per_mille=self.unmatched_per_mille,
            roster_batch_min=self.batch_min,
            issued_at=ISSUED_AT,
        )
        for pack in self.packs:
            message.packs.add(
                id=pack.id,
                version=pack.version,
                sha256=hashlib.sha256(pack.body).digest(),
                domain=pack.domain,
                overlap_class=pack.overlap_class,
            )
        for one in self.enterprises:
            mine = message.enterprises.add(
                enterprise_id=one.id,
                month_clamp_grams=one.month_clamp_grams,
                sum_reach_grams=one.sum_reach_grams,
                count_reach=one.count_reach,
            )
            mine.measures.add(
                id="main",
                pack_ids=one.pack_ids,
                day_clamp_grams=one.day_clamp_grams,
                reach_grams=one.reach_grams,
            )
        for name, value in {**self.policy_changes, **changes}.items():
            message.ClearField(name)  # type: ignore[arg-type]
            message.MergeFrom(policy_pb2.Policy(**{name: value}))
        return message

    def publish_policy(self, message: policy_pb2.Policy | None = None) -> Admission:
        """Log a policy."""
        return self.append(self.signed(Kind.POLICY, message or self.policy_message(), self.root_names[0]))

    # Persons.

    def roster(
        self,
        enterprise_id: str,
        persons: Sequence[int],
        *,
        effective: Epoch = EPOCH,
        withdrawn: Sequence[int] = (),
    ) -> rosters.BuiltBatch:
        """Build a roster batch."""
        standing = self.state.roster(enterprise_id)
        assert standing.tree is not None
        salts = b"".join(self.randomness.randbytes(16) for _ in persons)
        return rosters.build_batch(
            self.header(Role.ENTERPRISE, enterprise_id),
            effective=effective,
            key_id=KEY_ID,
            first_slot=standing.total,
            salts=salts,
            pseudonyms=b"".join(map(pseudonym, persons)),
            consents=b"".join(hashlib.sha256(b"consent %d" % person).digest() for person in persons),
            withdrawn=withdrawn,
            tree=standing.tree,
        )

    def enrol(
        self,
        enterprise_id: str,
        persons: Sequence[int],
        *,
        effective: Epoch = EPOCH,
        withdrawn: Sequence[int] = (),
    ) -> Admission:
        """Log a roster batch."""
        built = self.roster(enterprise_id, persons, effective=effective, withdrawn=withdrawn)
        admission = self.append(self.signed(Kind.ROSTER_BATCH, built.message, enterprise_id), built.bodies)
        self.rows.setdefault(enterprise_id, []).extend(map(pseudonym, persons))
        return admission

    def count(self, custodian_id: str, enterprise_id: str, *elements: int) -> Admission:
        """Log a custodian's count of new batches; an enterprise's batches are the same for all custodians."""
        before = self.state.evaluations(enterprise_id).get(custodian_id, 0)
        message = custodian_pb2.CountReport(
            header=self.header(Role.CUSTODIAN, custodian_id),
            enterprise_id=enterprise_id,
            key_id=KEY_ID,
            evaluations_total=before + sum(elements),
        )
        mine = self.batches.setdefault((custodian_id, enterprise_id), [])
        for number in elements:
            name = f"batch {enterprise_id} {len(mine)}"
            mine.append(hashlib.sha256(name.encode()).digest())
            message.batches.add(batch_hash=mine[-1], elements=number)
        return self.append(self.signed(Kind.COUNT_REPORT, message, custodian_id))

    def link_batch(self, persons: Sequence[int], *, effective: Epoch = EPOCH) -> BuiltLinks:
        """Build a link batch."""
        return build_links(
            self.header(Role.HUB, HUB_ID),
            effective=effective,
            salts=b"".join(self.randomness.randbytes(16) for _ in persons),
            pseudonyms=b"".join(map(pseudonym, persons)),
            accounts=b"".join(map(account, persons)),
        )

    def link(self, persons: Sequence[int], *, effective: Epoch = EPOCH) -> Admission:
        """Log a link batch."""
        built = self.link_batch(persons, effective=effective)
        admission = self.append(self.signed(Kind.LINK_BATCH, built.message, HUB_ID), built.bodies)
        self.linked.update({pseudonym(person): (account(person), effective) for person in persons})
        return admission

    # Accounts.

    def ticket(
        self,
        signer: str,
        person: int,
        purpose: str,
        *,
        subject: bytes = b"",
        issued_at: int = ISSUED_AT,
        **changes: Any,
    ) -> bytes:
        """Sign a link ticket of a person that an enterprise has logged in."""
        values: dict[str, Any] = {
            "origin": self.origin,
            "enterprise_id": signer,
            "pseudonym": pseudonym(person),
            "purpose": purpose,
            "nonce": self.randomness.randbytes(16),
            "issued_at": issued_at,
            "subject": subject,
        }
        return sign_ticket(key(signer), **{**values, **changes})

    def change(
        self,
        kind: programme_pb2.AccountChangeKind.ValueType,
        holder: bytes,
        *tickets: bytes,
        effective: Epoch = EPOCH,
        header: dict[str, Any] | None = None,
        **rest: Any,
    ) -> Admission:
        """Log a change to an account."""
        built = build_change(
            self.header(Role.HUB, HUB_ID, **(header or {})),
            kind=kind,
            effective=effective,
            salt=self.randomness.randbytes(32),
            account=holder,
            tickets=tickets,
            **rest,
        )
        return self.append(self.signed(Kind.ACCOUNT_CHANGE, built.message, HUB_ID), built.bodies)

    def choice_batch(
        self, choices: Sequence[programme_pb2.Choice], tickets: Sequence[bytes], effective: Epoch
    ) -> BuiltChoices:
        """Build a batch of choices."""
        return build_choices(
            self.header(Role.HUB, HUB_ID),
            effective=effective,
            salts=self.randomness.randbytes(16 * len(choices)),
            choices=choices,
            tickets=tickets,
        )

    def choose(
        self, enterprise_id: str, person: int, overlap_class: str, recorder: str, *, effective: Epoch
    ) -> Admission:
        """Log whom a person, logged in at an enterprise, lets record a class."""
        choice = programme_pb2.Choice(account=self.state.participants.account(pseudonym(person)) or b"")
        choice.recording.overlap_class = overlap_class
        choice.recording.enterprise_id = recorder
        return self._chosen(choice, enterprise_id, person, effective)

    def consent(
        self, enterprise_id: str, person: int, programme: str, *, effective: Epoch, consents: bool = True
    ) -> Admission:
        """Log whether a programme may pool a person's grams."""
        choice = programme_pb2.Choice(account=self.state.participants.account(pseudonym(person)) or b"")
        choice.pool.programme = programme
        choice.pool.consents = consents
        return self._chosen(choice, enterprise_id, person, effective)

    def _chosen(
        self, choice: programme_pb2.Choice, enterprise_id: str, person: int, effective: Epoch
    ) -> Admission:
        ticket = self.ticket(enterprise_id, person, "choose", subject=subject(choice))
        built = self.choice_batch([choice], [ticket], effective)
        return self.append(self.signed(Kind.CHOICE_BATCH, built.message, HUB_ID), built.bodies)

    def select(
        self, enterprise_id: str, epoch: Epoch = EPOCH, selection: Selection | None = None
    ) -> Admission | None:
        """Log an enterprise's selection (another than the log gives, for lies); None where it is empty."""
        found = selection or self.state.participants.select(enterprise_id, epoch)
        if found.is_empty:
            return None
        built = build_selection(
            self.header(Role.HUB, HUB_ID),
            enterprise_id=enterprise_id,
            epoch=epoch,
            salt=self.randomness.randbytes(32),
            selection=found,
        )
        return self.append(self.signed(Kind.SELECTION, built.message, HUB_ID), built.bodies)

    # Epochs.

    def commitment(
        self, enterprise_id: str, epoch: Epoch = EPOCH, *, value: bytes = b"", **header: Any
    ) -> commitment_pb2.Commitment:
        """Build a commitment, to made-up bytes unless some are given."""
        return commitment_pb2.Commitment(
            header=self.header(Role.ENTERPRISE, enterprise_id, **header),
            epoch=epoch,
            policy_hash=self.state.policy_for(epoch).policy_hash,
            commitment=value or self.randomness.randbytes(32),
        )

    def commit(self, enterprise_id: str, epoch: Epoch = EPOCH, **header: Any) -> Admission:
        """Log a commitment."""
        message = self.commitment(enterprise_id, epoch, **header)
        return self.append(self.signed(Kind.COMMITMENT, message, enterprise_id))

    def beacon_message(
        self, epoch: Epoch = EPOCH, note: bytes | None = None, indices: Sequence[int] = (1, 2)
    ) -> commitment_pb2.Beacon:
        """Build an epoch's beacon over a checkpoint, by default the present one."""
        dealt = beacon_dealing()
        checked = note or self.checkpoint()
        text = checkpoint.parse_note(checked).text
        message = commitment_pb2.Beacon(
            header=self.header(Role.HUB, HUB_ID),
            epoch=epoch,
            key_id=beacon.key_id(dealt.commitments[0]),
            checkpoint=checked,
        )
        for index in indices:
            part = beacon.evaluate(
                dealt.shares[index - 1],
                beacon.beacon_input(ORIGIN, epoch, text),
                self.randomness.randbytes,
            )
            message.parts.add(index=part.index, evaluated=part.evaluated, proof=part.proof)
        return message

    def draw_beacon(self, epoch: Epoch = EPOCH) -> Admission:
        """Log an epoch's beacon."""
        return self.append(self.signed(Kind.BEACON, self.beacon_message(epoch), HUB_ID))

    def reservation(self, enterprise_id: str, epoch: Epoch = EPOCH) -> release_pb2.Reservation:
        """Build a reservation."""
        rules = self.state.policy_for(epoch)
        return releases.build_reservation(
            self.header(Role.ENTERPRISE, enterprise_id),
            epoch=epoch,
            policy=rules,
            covered=self.state.covered(enterprise_id, rules, epoch),
            nonce=self.randomness.randbytes(32),
        )

    def reserve(self, enterprise_id: str, epoch: Epoch = EPOCH) -> bytes:
        """Log a reservation, the selection it stands under before it, and give its hash."""
        if (
            self.state.participants.selects(epoch)
            and self.state.participants.selection(enterprise_id, epoch) is None
        ):
            self.select(enterprise_id, epoch)
        message = self.reservation(enterprise_id, epoch)
        return self.append(self.signed(Kind.RESERVATION, message, enterprise_id)).envelope_hash

    def release_message(
        self,
        enterprise_id: str,
        reservation_hash: bytes,
        epoch: Epoch = EPOCH,
        covered: Mapping[str, tuple[Epoch, ...]] | None = None,
    ) -> BuiltRelease:
        """Build a release of made-up values."""
        rules = self.state.policy_for(epoch)
        standing = self.state.roster(enterprise_id)
        active = standing.active_count(epoch)
        return releases.build_release(
            self.header(Role.ENTERPRISE, enterprise_id),
            epoch=epoch,
            policy=rules,
            reservation_hash=reservation_hash,
            roster_root=standing.root_at(epoch),
            active_slots=active,
            statements=self._statements(rules, enterprise_id, active, epoch),
            tables=self._tables(rules, enterprise_id),
            covered=self.state.covered(enterprise_id, rules, epoch) if covered is None else covered,
            selection_hash=self.selection_hash(enterprise_id, epoch),
        )

    def selection_hash(self, enterprise_id: str, epoch: Epoch) -> bytes:
        """Give the hash of the selection an epoch stands under."""
        selected = self.state.participants.selection(enterprise_id, epoch)
        return selected.envelope_hash if selected is not None else b""

    def release(self, enterprise_id: str, epoch: Epoch = EPOCH) -> Admission:
        """Log a reservation and its release."""
        rules = self.state.policy_for(epoch)
        covered = self.state.covered(enterprise_id, rules, epoch)
        built = self.release_message(enterprise_id, self.reserve(enterprise_id, epoch), epoch, covered)
        return self.append(self.signed(Kind.RELEASE, built.message, enterprise_id), built.bodies)

    def missing_message(
        self, party_id: str, epoch: Epoch = EPOCH, *, role: Role = Role.ENTERPRISE, issued_at: int
    ) -> evidence_pb2.Missing:
        """Build the hub's word that somebody missed a deadline."""
        header = self.header(Role.HUB, HUB_ID, issued_at=issued_at)
        return evidence_pb2.Missing(header=header, epoch=epoch, role=role.value, party_id=party_id)

    def miss(self, party_id: str, epoch: Epoch = EPOCH, **changes: Any) -> Admission:
        """Log that somebody missed a deadline."""
        return self.append(
            self.signed(Kind.MISSING, self.missing_message(party_id, epoch, **changes), HUB_ID)
        )

    def nothing_to_report(
        self, enterprise_id: str, reason: release_pb2.NothingReason.ValueType, epoch: Epoch = EPOCH
    ) -> Admission:
        """Log a signed silence."""
        message = release_pb2.NothingToReport(
            header=self.header(Role.ENTERPRISE, enterprise_id), epoch=epoch, reason=reason
        )
        return self.append(self.signed(Kind.NOTHING_TO_REPORT, message, enterprise_id))

    def erasure(
        self, enterprise_id: str, slots: Sequence[int], *, by_hub: bool = False
    ) -> evidence_pb2.ErasureOrder:
        """Build an erasure order, signed by the enterprise or by the hub."""
        issuer = (Role.HUB, HUB_ID) if by_hub else (Role.ENTERPRISE, enterprise_id)
        return evidence_pb2.ErasureOrder(
            header=self.header(*issuer), enterprise_id=enterprise_id, slots=slots
        )

    def erase(self, enterprise_id: str, slots: Sequence[int], *, by_hub: bool = False) -> Admission:
        """Log an erasure order and carry it out, as a hub does."""
        message = self.erasure(enterprise_id, slots, by_hub=by_hub)
        kind = Kind.HUB_ERASURE_ORDER if by_hub else Kind.ERASURE_ORDER
        admission = self.append(self.signed(kind, message, HUB_ID if by_hub else enterprise_id))
        self.empty(enterprise_id, slots)
        return admission

    def empty(self, enterprise_id: str, slots: Sequence[int]) -> None:
        """Zero slots in the bodies kept, and the links of pseudonyms that no slot names any more."""
        gone = {self.rows[enterprise_id][slot] for slot in slots}
        for slot in slots:
            self.rows[enterprise_id][slot] = erased_account(enterprise_id)
        gone -= {name for rows in self.rows.values() for name in rows}
        self.linked = {name: held for name, held in self.linked.items() if name not in gone}
        self.linked[erased_account(enterprise_id)] = (erased_account(enterprise_id), Epoch(0))
        for _, bodies in self._of_kind(Kind.ROSTER_BATCH, enterprise_id):
            for position in range(1, len(bodies), 2):
                opening = rosters.parse_opening(bodies[position])
                mine = set(slots).intersection(range(opening.first_slot, opening.end_slot))
                bodies[position] = rosters.erase(bodies[position], *mine)
        for _, bodies in self._of_kind(Kind.LINK_BATCH, HUB_ID):
            bodies[1::2] = [links.erase(body, gone) for body in bodies[1::2]]

    def _of_kind(self, kind: Kind, issuer: str) -> list[Logged]:
        """Give the entries of one kind that an issuer signed."""
        keyid = key(issuer).keyid
        opened = [(one, envelope.open_envelope(one.data)) for one in self.entries]
        return [one for one, of in opened if of.kind is kind and of.signatures[0].keyid == keyid]

    def close_message(self, epoch: Epoch = EPOCH) -> books_pb2.EpochClose:
        """Build the close of an epoch over the log as it stands."""
        books = self.accounts(epoch)
        leaves = [
            row + balance.to_bytes(8, "big", signed=True) + variance.to_bytes(16, "big")
            for row, (balance, variance, _) in sorted(books.items())
        ]
        return books_pb2.EpochClose(
            header=self.header(Role.HUB, HUB_ID),
            epoch=epoch,
            log_size=self.state.size,
            log_root=self.state.root(),
            accounts=len(books),
            accounts_in_two_or_more=sum(len(issuers) > 1 for _, _, issuers in books.values()),
            accounts_root=merkle.root(leaves),
            total_mg=sum(balance for balance, _, _ in books.values()),
            missing=self.state.missing(epoch),
        )

    def close(self, epoch: Epoch = EPOCH) -> Admission:
        """Log the close of an epoch."""
        return self.append(self.signed(Kind.EPOCH_CLOSE, self.close_message(epoch), HUB_ID))

    def accounts(self, epoch: Epoch) -> dict[bytes, tuple[int, int, set[str]]]:
        """Fold all statements up to the epoch into accounts: balance mg, variance mg^2, enterprises."""
        months, anchors = self._released(epoch)
        for (issuer, measure, slot, _), (total, spread, covered) in anchors.items():
            found = [
                months.pop((issuer, measure, slot, of))
                for of in covered
                if (issuer, measure, slot, of) in months
            ]
            grams, variance = (sum(one[side] for one in found) for side in (0, 1))
            balance = (grams * spread + total * variance) // (spread + variance)
            combined = Fraction(spread * variance, spread + variance)
            months[issuer, measure, slot, covered[-1]] = (balance, -(-combined // 1))
        books: dict[bytes, tuple[int, int, set[str]]] = {}
        for (issuer, _, slot, _), (grams, variance) in months.items():
            held = self.linked.get(self.rows[issuer][slot])
            if held is None or held[1] > epoch:
                continue
            balance, spread, issuers = books.get(held[0], (0, 0, set()))
            books[held[0]] = (balance + grams * 1000, spread + variance * 1_000_000, issuers | {issuer})
        return books

    def _released(self, epoch: Epoch) -> tuple[dict[Row, tuple[int, int]], dict[Row, Anchored]]:
        """Read every row up to the epoch: grams and variance of months; anchors with what they total."""
        months: dict[Row, tuple[int, int]] = {}
        anchors: dict[Row, Anchored] = {}
        for data, bodies in self.entries:
            opened = envelope.open_envelope(data)
            if opened.kind is not Kind.RELEASE:
                continue
            message = opened.parse(release_pb2.Release)
            issuer, of = message.header.issuer, Epoch(message.epoch)
            slots = self.state.roster(issuer).active_slots(of)
            for one, body in zip(message.statements, bodies if of <= epoch else (), strict=False):
                variance = variance_upper(one.claim.scale)
                for slot, grams in zip(slots, releases.parse_statement_chunk(body).grams(), strict=True):
                    if one.epochs:
                        anchors[issuer, one.measure_id, slot, of] = (grams, variance, tuple(one.epochs))
                    else:
                        months[issuer, one.measure_id, slot, of] = (grams, variance)
        return months, anchors

    # The log as it is served.

    @property
    def log_vkey(self) -> checkpoint.Vkey:
        """Give the log's verifier key."""
        return checkpoint.log_vkey(self.origin, key(self.log_key).verify_key)

    def checkpoint(self) -> bytes:
        """Sign the present entries."""
        head = Checkpoint(self.origin, self.state.size, self.state.root())
        if self.log_key == "log":
            return checkpoint.sign_checkpoint(head, key(self.log_key))
        return checkpoint.sign_checkpoint_twice(head, key(self.log_key))

    def write_bundle(self, folder: Path, *, with_bodies: bool = True) -> Path:
        """Write what `cgsp-hub export` writes; give the file of the first trust root."""
        folder.mkdir(parents=True, exist_ok=True)
        tree = merkle.Tree(merkle.leaf_hash(entry.data) for entry in self.entries)
        files = {tile.path: tiles.tile_bytes(tree, tile) for tile in tiles.tiles_of(tree.size)}
        for tile in tiles.bundles_of(tree.size):
            first = tile.index * tiles.TILE_WIDTH
            mine = [entry.data for entry in self.entries[first : first + tile.width]]
            files[tile.path] = tiles.encode_bundle(mine)
        files["checkpoint"] = self.checkpoint()
        files["log.vkey"] = f"{self.log_vkey}\n".encode()
        for index, entry in enumerate(self.entries if with_bodies else []):
            for position, body in enumerate(entry.bodies):
                files[f"bodies/{index // 1000}/{index}-{position}"] = body
        files["../trust-root"] = self.entries[0].data
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return folder / "../trust-root"

    def _statements(self, rules: Policy, enterprise_id: str, rows: int, epoch: Epoch) -> Mapping[str, bytes]:
        return {
            item.name: releases.to_raw([self.randomness.randint(-2_000, 9_000) for _ in range(rows)])
            for item in policy.series(rules, enterprise_id, epoch)
            if item.by_slot
        }

    def _tables(self, rules: Policy, enterprise_id: str) -> Mapping[str, Sequence[int]]:
        return {
            item.name: [self.randomness.randint(-500, 50_000) for _ in range(item.cells or 0)]
            for item in policy.series(rules, enterprise_id)
            if item.cells is not None
        }


def begun(**changes: Any) -> Federation:
    """Give a federation whose documents are logged: trust root, packs, policy."""
    federation = Federation(**changes)
    federation.publish_trust()
    for pack in federation.packs:
        federation.publish_pack(pack)
    federation.publish_policy()
    return federation


def enrolled(**changes: Any) -> Federation:
    """Give a federation whose persons are counted, enrolled and linked."""
    federation = begun(**changes)
    for one in federation.enterprises:
        for custodian_id in CUSTODIANS[:2]:
            federation.count(custodian_id, one.id, len(one.persons))
        federation.enrol(one.id, one.persons, effective=federation.first_epoch)
    everybody = sorted({person for one in federation.enterprises for person in one.persons})
    federation.link(everybody, effective=federation.first_epoch)
    return federation


def closed(*epochs: Epoch, **changes: Any) -> Federation:
    """Give a federation that has released and closed the epochs (the first by default)."""
    federation = enrolled(**changes)
    for epoch in epochs or (EPOCH,):
        for one in federation.enterprises:
            federation.release(one.id, epoch)
        federation.close(epoch)
    return federation
