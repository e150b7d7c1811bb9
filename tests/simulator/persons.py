"""Persons in a simulated log: counts, rosters, links, and their erasure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from privacy import envelope, links, rosters
from privacy.acceptance import Admission
from privacy.envelope import Kind
from privacy.erasures import erased_account
from privacy.links import BuiltLinks, build_links
from privacy.standing import HUB_ID, Role
from protos.epochs import Epoch
from protos.v1 import custodian_pb2, evidence_pb2
from tests.simulator.parties import EPOCH, KEY_ID, Logged, account, key, pseudonym
from tests.simulator.writing import Writer


class Persons(Writer):
    """Enrols, links and erases persons."""

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
