"""What a log has established so far: documents in force, chains, rosters, reservations, answers and closes.

Only the acceptance rules change it, one admitted entry at a time.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from privacy import policy as policies
from privacy.anchors import Covered
from privacy.beacon import Drawn
from privacy.choices import Choices
from privacy.commitments import Committed
from privacy.envelope import NO_PREVIOUS
from privacy.erasures import Ordered
from privacy.keys import VerifyKey
from privacy.merkle import Tree
from privacy.opened_tickets import OpenedTickets
from privacy.ownership import Ownership
from privacy.policy import Policy
from privacy.rosters import RosterState
from privacy.slot_index import SlotIndex
from privacy.spent_tickets import SpentTickets, Use
from privacy.successions import Successions
from privacy.trust import TrustRoot
from protos.epochs import Epoch, next_epoch
from protos.problems import Refused
from protos.v1 import programme_pb2
from protos.v1.problem_pb2 import REASON_POLICY_NOT_IN_FORCE, REASON_TRUST_ROOT_INVALID
from protos.v1.release_pb2 import PrivacyUnit

HUB_ID = "hub"


class Role(enum.Enum):
    """Who may issue a sequenced message; the value is the role in a SPIFFE id."""

    ENTERPRISE = "node"
    CUSTODIAN = "custodian"
    HUB = "hub"


class AnswerKind(enum.Enum):
    """How an enterprise answered for an epoch."""

    RELEASE = "release"
    NOTHING_TO_REPORT = "nothing-to-report"


@dataclass(frozen=True, slots=True)
class Chain:
    """Where an issuer's chain stands: the next sequence number and the hash of its last envelope."""

    next_sequence: int = 1
    head: bytes = NO_PREVIOUS


@dataclass(frozen=True, slots=True)
class Signer:
    """A registered party and its key."""

    role: Role
    id: str
    key: VerifyKey


@dataclass(frozen=True, slots=True)
class LoggedPack:
    """A pack admitted to the log, and the entry it stands in."""

    id: str
    version: int
    sha256: bytes
    index: int


@dataclass(frozen=True, slots=True)
class LoggedProgramme:
    """A programme's version admitted to the log, the first epoch it pays for, and its entry."""

    id: str
    version: int
    sha256: bytes
    size: int
    first_epoch: Epoch
    index: int


@dataclass(slots=True)
class ProgrammeStanding:
    """One programme's versions, oldest first, and the epoch from which all of it is withdrawn."""

    versions: list[LoggedProgramme] = field(default_factory=list)
    withdrawn_from: Epoch | None = None


@dataclass(frozen=True, slots=True)
class Reserved:
    """A charge reserved for one release, the policy it was computed from, the epochs its anchors total."""

    epoch: Epoch
    policy: Policy
    index: int
    covered: Covered = field(default_factory=dict)
    # Hash of the Selection that stood for the epoch; empty without one.
    selection_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """An enterprise's release or signed silence for an epoch, and the entry it stands in."""

    kind: AnswerKind
    index: int


@dataclass(frozen=True, slots=True)
class Closed:
    """An epoch's close: its entry and the log it was computed from."""

    index: int
    log_size: int


@dataclass(frozen=True, slots=True)
class Selection:
    """What one enterprise leaves out of an epoch, slots ascending by class, and whose grams may be pooled."""

    exclusions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    pooled_slots: tuple[int, ...] = ()

    @property
    def excluded(self) -> int:
        """Count the pairs of slot and class that are left out."""
        return sum(map(len, self.exclusions.values()))

    @property
    def is_empty(self) -> bool:
        """Say whether there is nothing to log."""
        return not self.excluded and not self.pooled_slots

    def pairs(self) -> frozenset[tuple[str, int]]:
        """Give every class and slot left out; pooled slots stand under the class of no name."""
        out = {(name, slot) for name, slots in self.exclusions.items() for slot in slots}
        return frozenset(out | {("", slot) for slot in self.pooled_slots})


@dataclass(frozen=True, slots=True)
class Selected:
    """A logged Selection; `selection` is None where its body was not at hand."""

    index: int
    envelope_hash: bytes
    message: programme_pb2.Selection
    selection: Selection | None = None


@dataclass(slots=True)
class EnterpriseStanding:
    """What one enterprise has on record; `active` are its pseudonyms where openings were at hand."""

    roster: RosterState = field(default_factory=RosterState)
    pseudonyms: bytearray = field(default_factory=bytearray)
    slots: SlotIndex = field(default_factory=SlotIndex)
    active: set[bytes] = field(default_factory=set)
    erased: set[int] = field(default_factory=set)
    openings_known: bool = True
    # Rows whose pseudonyms were erased before this log was read.
    erased_rows: int = 0
    reservations: dict[bytes, Reserved] = field(default_factory=dict)
    nonces: set[bytes] = field(default_factory=set)
    used: set[bytes] = field(default_factory=set)
    answers: dict[Epoch, Answer] = field(default_factory=dict)
    # The policy each released epoch was made under.
    released: dict[Epoch, Policy] = field(default_factory=dict)
    spent: dict[tuple[PrivacyUnit.ValueType, Epoch], Fraction] = field(default_factory=dict)
    commitments: dict[Epoch, Committed] = field(default_factory=dict)

    def has_reserved(self, epoch: Epoch) -> bool:
        """Say whether a charge for an epoch is on record."""
        return any(one.epoch == epoch for one in self.reservations.values())


@dataclass(slots=True)
class CountStanding:
    """What one custodian has counted for one enterprise."""

    evaluations_total: int = 0
    batches: set[bytes] = field(default_factory=set)


@dataclass(slots=True)
class Standing:
    """Everything the entries so far have established."""

    # Entries that were admitted before are followed: rows may have been erased since.
    replaying: bool = False
    tree: Tree = field(default_factory=Tree)
    trust_roots: list[tuple[int, TrustRoot]] = field(default_factory=list)
    signers: dict[str, Signer] = field(default_factory=dict)
    retired: set[str] = field(default_factory=set)
    policies: list[Policy] = field(default_factory=list)
    packs: dict[tuple[str, int], LoggedPack] = field(default_factory=dict)
    programmes: dict[str, ProgrammeStanding] = field(default_factory=dict)
    chains: dict[tuple[Role, str], Chain] = field(default_factory=dict)
    enterprises: dict[str, EnterpriseStanding] = field(default_factory=dict)
    counts: dict[tuple[str, str], CountStanding] = field(default_factory=dict)
    # The account of every pseudonym whose link's opening was at hand.
    linked: dict[bytes, bytes] = field(default_factory=dict)
    links_total: int = 0
    closes: dict[Epoch, Closed] = field(default_factory=dict)
    # The entry of each batch of units, by its name.
    batches: dict[str, int] = field(default_factory=dict)
    # Operations in journal segments so far, and whether a close has named its ledgers yet.
    operations: int = 0
    has_ledgers: bool = False
    # Whatever any trust root named: what was done for them stays countable after they have left.
    enterprises_ever: set[str] = field(default_factory=set)
    pseudonym_keys_ever: set[bytes] = field(default_factory=set)
    successions: Successions = field(default_factory=Successions)
    erasures: list[Ordered] = field(default_factory=list)
    ownership: Ownership = field(default_factory=Ownership)
    choices: Choices = field(default_factory=Choices)
    selections: dict[tuple[str, Epoch], Selected] = field(default_factory=dict)
    # What was reckoned last, and of what; the rules alone look here.
    selected_last: tuple[tuple[str, Epoch, int], Selection] | None = None
    # Enterprise and nonce of the link tickets that entries rest on.
    tickets_used: set[Use] = field(default_factory=set)
    # Those that operations in segments rest on, until each has ended.
    tickets_spent: SpentTickets = field(default_factory=SpentTickets)
    # Spares a second look at a signature and says nothing of the log.
    opened_tickets: OpenedTickets = field(default_factory=OpenedTickets, repr=False, compare=False)
    beacons: dict[Epoch, Drawn] = field(default_factory=dict)
    # When the trust root that first named a party was issued, and when a custodian made its newest report.
    known_since: dict[tuple[Role, str], int] = field(default_factory=dict)
    reported_at: dict[str, int] = field(default_factory=dict)
    # The entries that say who missed a deadline.
    missed: dict[tuple[Role, str, Epoch], int] = field(default_factory=dict)

    @property
    def trust(self) -> TrustRoot:
        """Give the trust root in force; raises Refused before the first."""
        if not self.trust_roots:
            raise Refused(REASON_TRUST_ROOT_INVALID, "A log begins with its trust root.")
        return self.trust_roots[-1][1]

    @property
    def last_closed(self) -> Epoch | None:
        """Give the last epoch closed."""
        return max(self.closes, default=None)

    def disputed_accounts(self) -> frozenset[bytes]:
        """List the accounts of pseudonyms that enterprises disagree about: nothing is spent from them."""
        frozen = self.successions.frozen
        found = (self.linked[pseudonym] for pseudonym in frozen if pseudonym in self.linked)
        return frozenset(map(self.ownership.current, found))

    def trust_at(self, size: int) -> TrustRoot:
        """Give the trust root in force when the log had `size` entries."""
        fitting = [root for index, root in self.trust_roots if index < size]
        return fitting[-1] if fitting else self.trust

    def policy_for(self, epoch: Epoch) -> Policy:
        """Give the policy in force for an epoch; raises Refused POLICY_NOT_IN_FORCE."""
        return policies.in_force(self.policies, epoch)

    def policy_by_hash(self, policy_hash: bytes) -> Policy:
        """Find a logged policy by its envelope's hash; raises Refused POLICY_NOT_IN_FORCE."""
        for policy in self.policies:
            if policy.policy_hash == policy_hash:
                return policy
        raise Refused(REASON_POLICY_NOT_IN_FORCE, "The policy named is not in the log.")

    def enterprise(self, enterprise_id: str) -> EnterpriseStanding:
        """Give what an enterprise has on record; a new, empty record for one that has none."""
        return self.enterprises.get(enterprise_id) or EnterpriseStanding()

    def entry_of(self, enterprise_id: str) -> EnterpriseStanding:
        """Give an enterprise's record to change it."""
        return self.enterprises.setdefault(enterprise_id, EnterpriseStanding())

    @property
    def open_epoch(self) -> Epoch | None:
        """Give the first epoch whose books are open; None before the first policy."""
        if self.last_closed is not None:
            return next_epoch(self.last_closed)
        return min((policy.first_epoch for policy in self.policies), default=None)

    def is_closed(self, epoch: Epoch) -> bool:
        """Say whether an epoch's books are closed (with it, every epoch before)."""
        last = self.last_closed
        return last is not None and epoch <= last

    def missing(self, epoch: Epoch, log_size: int) -> list[str]:
        """List the registered enterprises without an answer for the epoch in the first `log_size` entries."""
        return sorted(
            party.id
            for party in self.trust_at(log_size).enterprises
            if not self._has_answered(party.id, epoch, log_size)
        )

    def _has_answered(self, enterprise_id: str, epoch: Epoch, log_size: int) -> bool:
        answer = self.enterprise(enterprise_id).answers.get(epoch)
        return answer is not None and answer.index < log_size

    def register(self, root: TrustRoot, index: int) -> None:
        """Put a trust root in force: its keys count, those it leaves out are retired."""
        self.trust_roots.append((index, root))
        self.enterprises_ever.update(party.id for party in root.enterprises)
        if root.pseudonym_key is not None:
            self.pseudonym_keys_ever.add(root.pseudonym_key.key_id)
        signers = [Signer(Role.HUB, HUB_ID, root.hub_key)]
        signers += [Signer(Role.ENTERPRISE, party.id, party.key) for party in root.enterprises]
        signers += [Signer(Role.CUSTODIAN, party.id, party.key) for party in root.custodians]
        for signer in signers:
            self.known_since.setdefault((signer.role, signer.id), root.issued_at)
        self._replace_signers(signers)
        # Last: what was opened before, or meanwhile, was opened under other keys.
        self.opened_tickets = OpenedTickets()

    def _replace_signers(self, signers: Sequence[Signer]) -> None:
        fresh = {signer.key.keyid: signer for signer in signers}
        self.retired |= self.signers.keys() - fresh.keys()
        self.retired -= fresh.keys()
        self.signers = fresh
