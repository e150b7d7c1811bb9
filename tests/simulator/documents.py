"""Documents of a simulated log: trust roots, packs, programmes, policies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from privacy import beacon, checkpoint
from privacy.acceptance import Admission
from privacy.claims import ratio
from privacy.envelope import Kind
from privacy.standing import HUB_ID
from protos.epochs import Epoch
from protos.v1 import policy_pb2, programme_pb2, trust_pb2
from tests.simulator.parties import CUSTODIANS, ISSUED_AT, KEY_ID, SimulatedPack, beacon_dealing, key
from tests.simulator.writing import Writer


class Documents(Writer):
    """Publishes what people sign."""

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
                difference_basis_points_max=one.difference_basis_points_max,
                sum_later=_later(one.sum_later),
            )
            mine.measures.add(
                id="main",
                pack_ids=one.pack_ids,
                day_clamp_grams=one.day_clamp_grams,
                reach_grams=one.reach_grams,
                later=_later(one.later),
            )
        for name, value in {**self.policy_changes, **changes}.items():
            message.ClearField(name)  # type: ignore[arg-type]
            message.MergeFrom(policy_pb2.Policy(**{name: value}))
        return message

    def publish_policy(self, message: policy_pb2.Policy | None = None) -> Admission:
        """Log a policy."""
        return self.append(self.signed(Kind.POLICY, message or self.policy_message(), self.root_names[0]))


def _later(parts: Mapping[int, int]) -> list[policy_pb2.LaterReach]:
    return [policy_pb2.LaterReach(months=months, reach=reach) for months, reach in parts.items()]
