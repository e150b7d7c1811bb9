"""Link tickets: an enterprise that has logged a person in says so, for one purpose and a few minutes.

A ticket is accepted once, and so is its nonce, whatever else its enterprise signed over it. It counts only
for a pseudonym that is active on that enterprise's roster, and only for what its subject names: the hub can
neither use it twice nor put other words in the person's mouth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from privacy import codec, envelope
from privacy.chunks import HALF_BYTES, HASH_BYTES
from privacy.envelope import Kind, Opened
from privacy.keys import SigningKey
from privacy.opened_tickets import Ticket
from privacy.spent_tickets import used
from privacy.standing import Role, Standing
from protos.problems import Conflict, Refused, Unverified
from protos.v1 import programme_pb2
from protos.v1.problem_pb2 import (
    REASON_KEY_UNKNOWN,
    REASON_SUSPENDED,
    REASON_TICKET_INVALID,
    REASON_TICKET_USED,
)

TICKET_SECONDS_MAX = 600
# How far the clocks of an enterprise and of the hub may lie apart.
SKEW_SECONDS_MAX = 60
TICKET_BYTES_MAX = 1_024
NONCE_BYTES = 16
PURPOSES = frozenset({"prove", "merge", "split", "choose", "redeem", "share", "close", "view"})
NO_SUBJECT = b""


def sign_ticket(
    key: SigningKey,
    *,
    origin: str,
    enterprise_id: str,
    pseudonym: bytes,
    purpose: str,
    nonce: bytes,
    issued_at: int,
    subject: bytes = NO_SUBJECT,
    seconds: int = TICKET_SECONDS_MAX,
) -> bytes:
    """Sign a ticket; `nonce` is 16 fresh random bytes."""
    message = programme_pb2.LinkTicket(
        origin=origin,
        enterprise_id=enterprise_id,
        pseudonym=pseudonym,
        purpose=purpose,
        nonce=nonce,
        issued_at=issued_at,
        expires_at=issued_at + seconds,
        subject=subject,
    )
    return envelope.sign(codec.encode(message), Kind.LINK_TICKET, [key])


def subject_of(data: bytes) -> bytes:
    """Give the SHA-256 by which a ticket names what the person agreed to."""
    return hashlib.sha256(data).digest()


def open_ticket(standing: Standing, data: bytes) -> Ticket:
    """Verify an envelope as a ticket of a registered enterprise; whether it is fresh is `check_ticket`'s.

    Bytes that were opened under the trust root in force are not verified again.
    """
    # Taken before anything is read of the root: should another come into force meanwhile, nobody looks in
    # this memory again.
    known = standing.opened_tickets
    ticket = known.find(data)
    if ticket is None:
        ticket = _opened(standing, data)
        known.add(data, ticket)
    return ticket


def _opened(standing: Standing, data: bytes) -> Ticket:
    opened = envelope.open_kind(data, Kind.LINK_TICKET, TICKET_BYTES_MAX)
    signer = standing.signers.get(opened.signatures[0].keyid)
    if signer is None or signer.role is not Role.ENTERPRISE:
        raise Unverified(REASON_KEY_UNKNOWN, "No enterprise of the trust root has the ticket's key.")
    envelope.verify(opened, [signer.key])
    message = opened.parse(programme_pb2.LinkTicket)
    envelope.check_origin(message.origin, standing.trust.origin)
    if message.enterprise_id != signer.id:
        raise invalid("another enterprise's key signed it")
    if standing.trust.enterprise(signer.id).suspended:
        raise Refused(REASON_SUSPENDED, f"Enterprise '{signer.id}' is suspended: its tickets do not count.")
    _check_form(message)
    return _ticket(opened, message)


def check_ticket(
    standing: Standing, data: bytes, *, purpose: str, at: int, subject: bytes = NO_SUBJECT
) -> Ticket:
    """Take a ticket for this purpose and subject at this time (seconds since 1970), unused until now.

    Raises Refused TICKET_INVALID and Conflict TICKET_USED.
    """
    ticket = open_ticket(standing, data)
    if ticket.purpose != purpose:
        raise invalid(f"it is for '{ticket.purpose}', not for '{purpose}'")
    if ticket.subject != subject:
        raise invalid("it is about something else")
    if not ticket.issued_at - SKEW_SECONDS_MAX <= at <= ticket.expires_at:
        raise invalid("it has ended, or has not begun")
    if ticket.use in standing.tickets_used:
        raise used()
    if not _is_enrolled(standing, ticket):
        raise invalid("its person is not on that enterprise's roster")
    return ticket


def invalid(what: str) -> Refused:
    """Give the refusal of a ticket, saying what is wrong with it."""
    return Refused(
        REASON_TICKET_INVALID,
        f"The link ticket does not count: {what}.",
        remedy="Log in again for a new one.",
    )


def read_ticket(data: bytes) -> Ticket:
    """Read a ticket that was checked before, without verifying it again."""
    opened = envelope.open_envelope(data, TICKET_BYTES_MAX)
    return _ticket(opened, opened.parse(programme_pb2.LinkTicket))


def pseudonym_in(data: bytes) -> bytes:
    """Read whom a logged ticket names, without verifying it again; empty for one that was erased."""
    if is_erased(data):
        return b""
    return read_ticket(data).pseudonym


def is_erased(data: bytes) -> bool:
    """Say whether bytes stand where a person's were before they were erased: zeros, as many as before."""
    return bool(data) and not any(data)


def check_distinct(tickets: Sequence[Ticket]) -> None:
    """Refuse tickets of which one is used twice in the same message."""
    if len({ticket.use for ticket in tickets}) != len(tickets):
        raise Conflict(REASON_TICKET_USED, "A ticket stands in the message twice.")


def _ticket(opened: Opened, message: programme_pb2.LinkTicket) -> Ticket:
    return Ticket(
        enterprise_id=message.enterprise_id,
        pseudonym=message.pseudonym,
        purpose=message.purpose,
        nonce=message.nonce,
        subject=message.subject,
        issued_at=message.issued_at,
        expires_at=message.expires_at,
        hash=opened.envelope_hash,
    )


def _is_enrolled(standing: Standing, ticket: Ticket) -> bool:
    mine = standing.enterprise(ticket.enterprise_id)
    if ticket.pseudonym in mine.active:
        return True
    # In a replay, rows erased since then no longer say who stood in them; of what comes next all is known.
    return standing.replaying and (mine.erased_rows > 0 or not mine.openings_known)


def _check_form(message: programme_pb2.LinkTicket) -> None:
    if len(message.pseudonym) != HALF_BYTES or len(message.nonce) != NONCE_BYTES:
        raise invalid("pseudonym and nonce have 16 bytes each")
    if len(message.subject) not in (0, HASH_BYTES):
        raise invalid("a subject has 32 bytes")
    if message.purpose not in PURPOSES:
        raise invalid("its purpose is not known")
    if not 0 < message.expires_at - message.issued_at <= TICKET_SECONDS_MAX:
        raise invalid(f"it holds longer than {TICKET_SECONDS_MAX} s, or not at all")
