"""Who is removed by the next trust root; removed parties stay out of later ones until they are readmitted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from hub.store.parties import Party
from privacy import envelope
from protos.problems import Refused
from protos.v1 import trust_pb2
from protos.v1.problem_pb2 import REASON_NOT_REGISTERED


def admitted(parties: Iterable[Party], history: Sequence[bytes], readmit: Collection[str]) -> list[Party]:
    """Leave out who was named once and is no more; `history` are all versions' envelopes, in order."""
    versions = [envelope.open_envelope(data).parse(trust_pb2.TrustRoot) for data in history]
    ever = {name for version in versions for name in _named(version)}
    gone = ever - (_named(versions[-1]) if versions else set()) - set(readmit)
    return [party for party in parties if party.id not in gone]


def remove(message: trust_pb2.TrustRoot, ids: Collection[str]) -> None:
    """Take enterprises and auditors out; raises Refused NOT_REGISTERED for ids the document does not name."""
    if unknown := sorted(set(ids) - _named(message)):
        raise Refused(
            REASON_NOT_REGISTERED,
            f"The trust root names no {', '.join(unknown)}.",
            remedy="Remove enterprises and auditors by the ids that `trust show` lists.",
        )
    enterprises = [item for item in message.enterprises if item.id not in ids]
    auditors = [item for item in message.auditors if item.id not in ids]
    del message.enterprises[:], message.auditors[:]
    message.enterprises.extend(enterprises)
    message.auditors.extend(auditors)


def _named(message: trust_pb2.TrustRoot) -> set[str]:
    return {item.id for item in message.enterprises} | {item.id for item in message.auditors}
