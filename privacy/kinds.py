"""The kinds of messages that stand in the log: who signs each, what it says, and the rule that decides on it.

A trust root stands in no table: it is decided on before anybody is known.
"""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf.message import Message

from privacy import (
    account_change_rules,
    book_rules,
    choice_rules,
    commitment_rules,
    deadline_rules,
    document_rules,
    erasure_rules,
    issuance_rules,
    person_rules,
    programme_rules,
    release_rules,
    selection_rules,
)
from privacy.envelope import Kind
from privacy.standing import Role
from privacy.verdicts import Verdict
from protos.v1 import (
    books_pb2,
    commitment_pb2,
    custodian_pb2,
    evidence_pb2,
    ledger_pb2,
    policy_pb2,
    programme_pb2,
    release_pb2,
    roster_pb2,
)

DOCUMENTS: dict[Kind, tuple[type[Message], Callable[..., None], Callable[..., Verdict]]] = {
    Kind.POLICY: (policy_pb2.Policy, document_rules.verify_document, document_rules.check_policy),
    Kind.PACK: (policy_pb2.PackRecord, document_rules.verify_document, document_rules.check_pack),
    Kind.PROGRAMME: (
        programme_pb2.ProgrammeRecord,
        programme_rules.verify_programme,
        programme_rules.check_programme,
    ),
}
SEQUENCED: dict[Kind, tuple[Role, type[Message], Callable[..., Verdict]]] = {
    Kind.ROSTER_BATCH: (Role.ENTERPRISE, roster_pb2.RosterBatch, person_rules.check_roster_batch),
    Kind.RESERVATION: (Role.ENTERPRISE, release_pb2.Reservation, release_rules.check_reservation),
    Kind.RELEASE: (Role.ENTERPRISE, release_pb2.Release, release_rules.check_release),
    Kind.NOTHING_TO_REPORT: (
        Role.ENTERPRISE,
        release_pb2.NothingToReport,
        release_rules.check_nothing_to_report,
    ),
    Kind.COUNT_REPORT: (Role.CUSTODIAN, custodian_pb2.CountReport, person_rules.check_count_report),
    Kind.LINK_BATCH: (Role.HUB, books_pb2.LinkBatch, person_rules.check_link_batch),
    Kind.JOURNAL_SEGMENT: (Role.HUB, ledger_pb2.JournalSegment, book_rules.check_journal_segment),
    Kind.EPOCH_CLOSE: (Role.HUB, books_pb2.EpochClose, book_rules.check_epoch_close),
    Kind.ISSUANCE: (Role.HUB, ledger_pb2.Issuance, issuance_rules.check_issuance),
    Kind.MISSING: (Role.HUB, evidence_pb2.Missing, deadline_rules.check_missing),
    Kind.ERASURE_ORDER: (Role.ENTERPRISE, evidence_pb2.ErasureOrder, erasure_rules.check_erasure_order),
    Kind.HUB_ERASURE_ORDER: (Role.HUB, evidence_pb2.ErasureOrder, erasure_rules.check_hub_erasure),
    Kind.CHOICE_BATCH: (Role.HUB, programme_pb2.ChoiceBatch, choice_rules.check_choice_batch),
    Kind.SELECTION: (Role.HUB, programme_pb2.Selection, selection_rules.check_selection),
    Kind.ACCOUNT_CHANGE: (Role.HUB, programme_pb2.AccountChange, account_change_rules.check_account_change),
    Kind.COMMITMENT: (Role.ENTERPRISE, commitment_pb2.Commitment, commitment_rules.check_commitment),
    Kind.BEACON: (Role.HUB, commitment_pb2.Beacon, commitment_rules.check_beacon),
}
# Kinds of which bodies may come beside the envelope.
WITH_BODIES = frozenset(
    {
        Kind.PACK,
        Kind.PROGRAMME,
        Kind.ROSTER_BATCH,
        Kind.RELEASE,
        Kind.LINK_BATCH,
        Kind.JOURNAL_SEGMENT,
        Kind.CHOICE_BATCH,
        Kind.SELECTION,
        Kind.ACCOUNT_CHANGE,
    }
)
# What a suspended enterprise may still send, a mere withdrawal besides.
WHILE_SUSPENDED = frozenset({Kind.NOTHING_TO_REPORT, Kind.ERASURE_ORDER})


def signed_by(role: Role) -> frozenset[Kind]:
    """Give the kinds that stand in the chains of a role's parties."""
    return frozenset(kind for kind, (signer, _, _) in SEQUENCED.items() if signer is role)
