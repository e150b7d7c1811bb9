"""What can be read of a log's state: documents, chains, rosters, answers, books and what is owed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction

from privacy import commitment_rules, deadlines, erasure_rules, release_rules
from privacy.beacon import Drawn
from privacy.charges import allowance
from privacy.checkpoint import Checkpoint
from privacy.commitments import Committed
from privacy.deadlines import Due
from privacy.erasures import Ordered
from privacy.participants import Participants
from privacy.policy import Policy
from privacy.rosters import RosterState
from privacy.standing import Answer, Chain, Closed, LoggedPack, ProgrammeStanding, Reserved, Role, Standing
from privacy.successions import Successions
from privacy.trust import TrustRoot
from protos.epochs import Epoch
from protos.v1.release_pb2 import PrivacyUnit


class LogReadings:
    """Reads what the entries of a log have established; it changes nothing."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    @property
    def size(self) -> int:
        """Count the entries taken."""
        return self._standing.tree.size

    def root(self, size: int | None = None) -> bytes:
        """Give the root over the first `size` entries (all by default)."""
        return self._standing.tree.root(size)

    @property
    def trust(self) -> TrustRoot:
        """Give the trust root in force; raises Refused TRUST_ROOT_INVALID before the first."""
        return self._standing.trust

    @property
    def trust_roots(self) -> tuple[TrustRoot, ...]:
        """Give all versions of the trust root, oldest first."""
        return tuple(root for _, root in self._standing.trust_roots)

    @property
    def has_trust(self) -> bool:
        """Say whether the log has begun."""
        return bool(self._standing.trust_roots)

    @property
    def policies(self) -> tuple[Policy, ...]:
        """Give all policies, oldest first."""
        return tuple(self._standing.policies)

    def policy_for(self, epoch: Epoch) -> Policy:
        """Give the policy in force for an epoch; raises Refused POLICY_NOT_IN_FORCE."""
        return self._standing.policy_for(epoch)

    def policy_by_hash(self, policy_hash: bytes) -> Policy:
        """Find a policy by its envelope's hash; raises Refused POLICY_NOT_IN_FORCE."""
        return self._standing.policy_by_hash(policy_hash)

    @property
    def packs(self) -> dict[tuple[str, int], LoggedPack]:
        """Give the packs by id and version."""
        return dict(self._standing.packs)

    @property
    def programmes(self) -> dict[str, ProgrammeStanding]:
        """Give the programmes by id, not to be changed."""
        return dict(self._standing.programmes)

    def chain(self, role: Role, issuer: str) -> Chain:
        """Say where an issuer's chain stands."""
        return self._standing.chains.get((role, issuer), Chain())

    def roster(self, enterprise_id: str) -> RosterState:
        """Give an enterprise's roster, not to be changed."""
        return self._standing.enterprise(enterprise_id).roster

    def answers(self, enterprise_id: str) -> dict[Epoch, Answer]:
        """Give an enterprise's releases and silences by epoch."""
        return dict(self._standing.enterprise(enterprise_id).answers)

    def spent(self, enterprise_id: str, unit: PrivacyUnit.ValueType, epoch: Epoch) -> Fraction:
        """Give what an enterprise has charged to a unit for an epoch."""
        return self._standing.enterprise(enterprise_id).spent.get((unit, epoch), Fraction(0))

    def covered(self, enterprise_id: str, policy: Policy, epoch: Epoch) -> dict[str, tuple[Epoch, ...]]:
        """Give the epochs each anchor of a release of this epoch would total, by series name."""
        mine = self._standing.enterprise(enterprise_id)
        return release_rules.anchors_covered(mine, policy, enterprise_id, epoch)

    def reserved(self, enterprise_id: str, reservation_hash: bytes) -> Reserved | None:
        """Give what a reservation in the log pays for."""
        return self._standing.enterprise(enterprise_id).reservations.get(reservation_hash)

    def remaining(self, enterprise_id: str, unit: PrivacyUnit.ValueType, epoch: Epoch) -> Fraction:
        """Give what the policy in force still allows."""
        return allowance(self.policy_for(epoch), unit) - self.spent(enterprise_id, unit, epoch)

    def evaluations(self, enterprise_id: str) -> dict[str, int]:
        """Give what each custodian has counted for an enterprise."""
        return {
            custodian: count.evaluations_total
            for (custodian, served), count in self._standing.counts.items()
            if served == enterprise_id
        }

    def is_linked(self, pseudonym: bytes) -> bool:
        """Say whether a pseudonym has a link (where link openings were at hand)."""
        return pseudonym in self._standing.linked

    @property
    def successions(self) -> Successions:
        """Give which pseudonyms follow which after rotations of the key, not to be changed."""
        return self._standing.successions

    def inherited(self, pseudonym: bytes) -> bytes | None:
        """Give the account inherited from pseudonyms before; None for newcomers and in a dispute."""
        return self._standing.successions.inherited(pseudonym, self._standing.linked)

    def frozen_accounts(self) -> frozenset[bytes]:
        """List the accounts of disputed pseudonyms: nothing is spent from them."""
        return self._standing.disputed_accounts()

    @property
    def participants(self) -> Participants:
        """Give what the log says of participants: tickets, accounts, choices, selections."""
        return Participants(self._standing)

    @property
    def closes(self) -> dict[Epoch, Closed]:
        """Give the epochs closed."""
        return dict(self._standing.closes)

    @property
    def last_closed(self) -> Epoch | None:
        """Give the last epoch closed."""
        return self._standing.last_closed

    def commitments(self, enterprise_id: str) -> dict[Epoch, Committed]:
        """Give an enterprise's commitments by epoch."""
        return dict(self._standing.enterprise(enterprise_id).commitments)

    @property
    def beacons(self) -> dict[Epoch, Drawn]:
        """Give the beacons by epoch."""
        return dict(self._standing.beacons)

    def beacon_head(self, epoch: Epoch, note: bytes) -> Checkpoint:
        """Give the checkpoint an epoch's beacon may be evaluated over; raises what keeps it from that."""
        return commitment_rules.check_input(self._standing, epoch, note)

    def is_closed(self, epoch: Epoch) -> bool:
        """Say whether an epoch's books are closed."""
        return self._standing.is_closed(epoch)

    def missing(self, epoch: Epoch) -> list[str]:
        """List the registered enterprises that have not answered for an epoch, as a close would now."""
        return self._standing.missing(epoch, self.size)

    def open_dues(self, now: int, party: tuple[Role, str] | None = None) -> list[Due]:
        """List what parties (or one) owe for epochs that are over; seconds since 1970."""
        return deadlines.open_dues(self._standing, now, party)

    def due_at(self, role: Role, party_id: str, epoch: Epoch) -> int | None:
        """Give a party's deadline for an epoch; None without one."""
        return deadlines.due_at(self._standing, role, party_id, epoch)

    def is_unstated(self, enterprise_id: str, epoch: Epoch) -> bool:
        """Say whether an enterprise has a deadline for an epoch and no entry says that it missed it."""
        key = (Role.ENTERPRISE, enterprise_id, epoch)
        return key not in self.missed and deadlines.due_at(self._standing, *key) is not None

    @property
    def missed(self) -> Mapping[tuple[Role, str, Epoch], int]:
        """Give the entries that say who missed a deadline, not to be changed."""
        return self._standing.missed

    @property
    def erasures(self) -> tuple[Ordered, ...]:
        """Give the erasure orders, oldest first."""
        return tuple(self._standing.erasures)

    def erased_slots(self, enterprise_id: str) -> frozenset[int]:
        """Give the slots of an enterprise that orders have erased."""
        return frozenset(self._standing.enterprise(enterprise_id).erased)

    def gone_by(self, enterprise_id: str, slots: Sequence[int]) -> frozenset[bytes]:
        """Give the pseudonyms that no slot names any more once these are erased."""
        return erasure_rules.gone(self._standing, enterprise_id, slots)

    def slots_of(self, pseudonyms: Collection[bytes]) -> dict[str, list[int]]:
        """Give the slots by enterprise at which pseudonyms stand, ascending."""
        return erasure_rules.slots_of(self._standing, pseudonyms)

    @property
    def linked(self) -> Mapping[bytes, bytes]:
        """Give the account of every pseudonym linked, not to be changed."""
        return self._standing.linked

    @property
    def operations(self) -> int:
        """Count the operations on the ledgers that stand in segments."""
        return self._standing.operations
