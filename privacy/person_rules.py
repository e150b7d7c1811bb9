"""Rules for what concerns persons: roster batches, links, and custodians' counts."""

from __future__ import annotations

from dataclasses import dataclass

from privacy import links, merkle, rosters
from privacy.chunks import HALF_BYTES
from privacy.erasures import ERASED
from privacy.links import LinkRows
from privacy.rosters import NOBODY, RosterRows
from privacy.standing import CountStanding, EnterpriseStanding, Standing
from privacy.successions import Claim
from privacy.verdicts import Submission, Verdict
from protos.epochs import Epoch, checked_epoch
from protos.problems import Conflict, Malformed, Refused, Unverified
from protos.v1 import books_pb2, custodian_pb2, roster_pb2
from protos.v1.problem_pb2 import (
    REASON_ALREADY_EXISTS,
    REASON_ALREADY_RELEASED,
    REASON_EPOCH_CLOSED,
    REASON_KEY_UNKNOWN,
    REASON_NOT_REGISTERED,
    REASON_ROSTER_WRONG,
    REASON_WRONG_SHAPE,
)

BATCH_ELEMENTS_MAX = 65_535


def check_roster_batch(
    standing: Standing, message: roster_pb2.RosterBatch, submission: Submission
) -> Verdict:
    """Take slots that continue the roster and act after every epoch released or closed.

    Raises Refused ROSTER_WRONG.
    """
    mine = standing.enterprise(submission.issuer)
    effective = checked_epoch(message.effective_epoch)
    _check_key(standing, message.pseudonym_key_id)
    _check_effective(standing, mine, effective)
    _check_growth(standing, mine, message, effective)
    rosters.check_withdrawn(mine.roster, message)
    rows = None
    if message.count == 0:
        _check_unchanged(mine, message)
        rows = RosterRows(b"", b"")
    elif submission.bodies is not None:
        rows = rosters.check_bodies(message, submission.bodies, erasure_allowed=submission.replaying)
    tree = mine.roster.grown(rows.slots) if rows is not None else None
    if tree is not None and tree.root() != message.roster_root:
        raise Refused(REASON_ROSTER_WRONG, "The roster root is not that of all slots so far.")
    change = _change(mine, message, rows)
    claims = _claims(mine, message, rows, submission.issuer)
    is_partial = _has_lost_claims(mine, rows)

    def apply() -> None:
        standing.successions.take(claims)
        standing.successions.is_partial |= is_partial
        entry = standing.entry_of(submission.issuer)
        predecessors = rows.predecessors if rows is not None else ()
        entry.roster.add(message, tree, index=submission.index, predecessors=predecessors)
        entry.erased_rows += rows.erased if rows is not None else 0
        entry.openings_known = change is not None
        if change is not None:
            entry.active -= change.leaving
            entry.active |= change.coming
            entry.slots.add(len(entry.pseudonyms) // HALF_BYTES, change.pseudonyms)
            entry.pseudonyms += change.pseudonyms

    return Verdict(apply, bodies_checked=rows is not None, rows=rows)


def check_count_report(
    standing: Standing, message: custodian_pb2.CountReport, submission: Submission
) -> Verdict:
    """Take a custodian's count: its total grows by exactly the new batches, each counted once.

    It may come after its enterprise has left or its key was replaced; a chain must never be blocked for good.
    """
    _check_ever_known(standing, message)
    key = (submission.issuer, message.enterprise_id)
    before = standing.counts.get(key) or CountStanding()
    hashes = [batch.batch_hash for batch in message.batches]
    if any(len(value) != 32 for value in hashes) or len(set(hashes)) != len(hashes):
        raise Malformed(REASON_WRONG_SHAPE, "Batches are named by distinct SHA-256 hashes.")
    if any(not 1 <= batch.elements <= BATCH_ELEMENTS_MAX for batch in message.batches):
        raise Malformed(REASON_WRONG_SHAPE, f"A batch has 1 to {BATCH_ELEMENTS_MAX} elements.")
    if before.batches.intersection(hashes):
        raise Conflict(REASON_ALREADY_EXISTS, "A batch of the report has been counted before.")
    total = before.evaluations_total + sum(batch.elements for batch in message.batches)
    if message.evaluations_total != total:
        raise Malformed(
            REASON_WRONG_SHAPE,
            f"The report's total is {message.evaluations_total}; its batches give {total}.",
        )

    def apply() -> None:
        before.evaluations_total = total
        before.batches.update(hashes)
        standing.counts[key] = before
        last = standing.reported_at.get(submission.issuer, 0)
        standing.reported_at[submission.issuer] = max(last, message.header.issued_at)

    return Verdict(apply)


def check_link_batch(standing: Standing, message: books_pb2.LinkBatch, submission: Submission) -> Verdict:
    """Take links of pseudonyms not linked yet, for epochs whose books are open.

    Raises Refused EPOCH_CLOSED, Malformed WRONG_SHAPE.
    """
    effective = checked_epoch(message.effective_epoch)
    if standing.is_closed(effective):
        raise Refused(REASON_EPOCH_CLOSED, f"Links cannot act from {effective}: its books are closed.")
    if message.count < 1:
        raise Malformed(REASON_WRONG_SHAPE, "A link batch holds at least one link.")
    rows = None
    fresh: dict[bytes, bytes] = {}
    if submission.bodies is not None:
        rows = links.check_bodies(message, submission.bodies, erasure_allowed=submission.replaying)
        fresh = _fresh_links(standing, rows)

    def apply() -> None:
        standing.linked.update(fresh)
        standing.links_total += message.count

    return Verdict(apply, bodies_checked=rows is not None, rows=rows)


def _fresh_links(standing: Standing, rows: LinkRows) -> dict[bytes, bytes]:
    """Give the batch's links by pseudonym; after a rotation accounts go to undisputed heirs alone."""
    names = _distinct(rows.pseudonyms, "linked")
    if not standing.linked.keys().isdisjoint(names):
        raise Conflict(REASON_ALREADY_EXISTS, "A pseudonym of the batch has a link already.")
    halves = [slice(at, at + HALF_BYTES) for at in range(0, len(rows.pseudonyms), HALF_BYTES)]
    fresh = {rows.pseudonyms[half]: rows.accounts[half] for half in halves}
    fresh.pop(ERASED, None)
    for pseudonym, account in fresh.items():
        if not standing.successions.may_join(pseudonym, account, standing.linked):
            raise Conflict(
                REASON_ALREADY_EXISTS,
                "A pseudonym of the batch follows others: it inherits their account, in a dispute none.",
                remedy="Link it to the account it inherits, or to a new one where enterprises disagree.",
            )
    return fresh


def _check_key(standing: Standing, key_id: bytes) -> None:
    key = standing.trust.pseudonym_key
    if key is None or key.key_id != key_id:
        raise Unverified(
            REASON_KEY_UNKNOWN,
            "The pseudonym key named is not the trust root's.",
            remedy="Read the trust root in force again.",
        )


def _check_ever_known(standing: Standing, message: custodian_pb2.CountReport) -> None:
    if message.enterprise_id not in standing.enterprises_ever:
        raise Refused(
            REASON_NOT_REGISTERED,
            "No version of the trust root has named the enterprise counted for.",
            remedy="Count only what was evaluated for a registered enterprise.",
        )
    if message.key_id not in standing.pseudonym_keys_ever:
        raise Unverified(
            REASON_KEY_UNKNOWN,
            "No version of the trust root has named the pseudonym key counted for.",
            remedy="Count only what was evaluated with a published key.",
        )


def _check_effective(standing: Standing, mine: EnterpriseStanding, effective: Epoch) -> None:
    if standing.is_closed(effective):
        raise Refused(
            REASON_EPOCH_CLOSED, f"The roster cannot change from {effective}: its books are closed."
        )
    if any(effective <= epoch for epoch in mine.answers):
        raise Conflict(
            REASON_ALREADY_RELEASED, f"The enterprise has already answered for {max(mine.answers)}."
        )
    if any(effective <= epoch for epoch in mine.commitments):
        raise Refused(
            REASON_ROSTER_WRONG,
            f"The enterprise has committed to the roster of {max(mine.commitments)}.",
            remedy="Let the batch act from a later epoch.",
        )
    last = mine.roster.last_effective
    if last is not None and effective < last:
        raise Refused(
            REASON_ROSTER_WRONG, f"The batch before acts from {last}; effective epochs do not go back."
        )


def _check_growth(
    standing: Standing, mine: EnterpriseStanding, message: roster_pb2.RosterBatch, effective: Epoch
) -> None:
    if message.first_slot != mine.roster.total:
        raise Refused(REASON_ROSTER_WRONG, f"The next slot is {mine.roster.total}, not {message.first_slot}.")
    if message.count == 0:
        if not message.withdrawn_slots:
            raise Malformed(REASON_WRONG_SHAPE, "A roster batch adds or withdraws somebody.")
        return
    reserved = [one.epoch for one in mine.reservations.values() if one.epoch not in mine.answers]
    if any(effective <= epoch for epoch in reserved):
        raise Refused(
            REASON_ROSTER_WRONG,
            f"{max(reserved)} is reserved: who records what in it has been settled for its roster.",
            remedy="Enrol from the epoch after it.",
        )
    minimum = standing.policy_for(effective).roster_batch_min
    if message.count < minimum:
        raise Refused(
            REASON_ROSTER_WRONG,
            f"A batch enrols at least {minimum} persons, not {message.count}.",
            remedy="Wait until enough persons have enrolled.",
        )


def _check_unchanged(mine: EnterpriseStanding, message: roster_pb2.RosterBatch) -> None:
    unchanged = mine.roster.root_at(Epoch(message.effective_epoch))
    if message.chunks_root != merkle.EMPTY_ROOT or message.roster_root != unchanged:
        raise Refused(REASON_ROSTER_WRONG, "A batch without new slots leaves the roster root as it was.")


@dataclass(frozen=True, slots=True)
class _Change:
    leaving: set[bytes]
    coming: set[bytes]
    pseudonyms: bytes


def _change(
    mine: EnterpriseStanding, message: roster_pb2.RosterBatch, rows: RosterRows | None
) -> _Change | None:
    """Give who leaves and who comes; None where openings are not at hand."""
    if rows is None or rows.pseudonyms is None or not mine.openings_known:
        return None
    leaving = {_pseudonym(mine.pseudonyms, number) for number in message.withdrawn_slots}
    coming = _distinct(rows.pseudonyms, "enrolled")
    if (coming & mine.active) - leaving:
        raise Conflict(
            REASON_ALREADY_EXISTS,
            "A person of the batch is on the roster already.",
            remedy="Enrol only persons who are not active.",
        )
    return _Change(leaving, coming, rows.pseudonyms)


def _claims(
    mine: EnterpriseStanding, message: roster_pb2.RosterBatch, rows: RosterRows | None, issuer: str
) -> list[Claim]:
    """Give who succeeds whom: slots of another key that this very batch withdraws, each once."""
    if rows is None or not rows.predecessors:
        return []
    named = [number for number in rows.predecessors if number != NOBODY]
    if len(set(named)) != len(named) or not set(message.withdrawn_slots).issuperset(named):
        raise Refused(
            REASON_ROSTER_WRONG, "A slot succeeded is withdrawn by the same batch, and succeeded once."
        )
    if any(mine.roster.key_of(number) == message.pseudonym_key_id for number in named):
        raise Refused(REASON_ROSTER_WRONG, "Slots are succeeded only after the pseudonym key was replaced.")
    if rows.pseudonyms is None or not mine.openings_known:
        return []
    claims = [
        Claim(
            issuer,
            _pseudonym(mine.pseudonyms, number),
            rows.pseudonyms[row * HALF_BYTES : (row + 1) * HALF_BYTES],
            (number, message.first_slot + row),
        )
        for row, number in enumerate(rows.predecessors)
        if number != NOBODY
    ]
    return [claim for claim in claims if ERASED not in (claim.before, claim.after)]


def _has_lost_claims(mine: EnterpriseStanding, rows: RosterRows | None) -> bool:
    """Say whether erasure took claims of a batch: one of the two rows is empty now."""
    if rows is None or not rows.predecessors or not mine.openings_known:
        return False
    before = (number for number in rows.predecessors if number != NOBODY)
    return rows.erased > 0 or any(_pseudonym(mine.pseudonyms, number) == ERASED for number in before)


def _distinct(pseudonyms: bytes, what: str) -> set[bytes]:
    rows = [pseudonyms[at : at + HALF_BYTES] for at in range(0, len(pseudonyms), HALF_BYTES)]
    found = set(rows)
    erased = rows.count(ERASED)
    if len(found) + max(erased - 1, 0) != len(rows):
        raise Conflict(REASON_ALREADY_EXISTS, f"A pseudonym is {what} twice in one batch.")
    found.discard(ERASED)
    return found


def _pseudonym(pseudonyms: bytearray, number: int) -> bytes:
    return bytes(pseudonyms[number * HALF_BYTES : (number + 1) * HALF_BYTES])
