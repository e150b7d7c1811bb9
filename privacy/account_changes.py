"""Changes to whose an account is: what the log holds of one, and its bodies.

Bodies: the AccountChangeBody, then the tickets, all private. A commitment binds the body, the body binds the
tickets, and a ticket's subject binds what its person agreed to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from privacy import chunks, codec
from privacy.chunks import BODY_BYTES_MAX, HALF_BYTES
from privacy.tickets import is_erased, subject_of
from protos.epochs import Epoch
from protos.problems import Malformed
from protos.v1 import envelope_pb2, programme_pb2
from protos.v1.problem_pb2 import REASON_WRONG_SHAPE

SALT_BYTES = 32
SHARES_MAX = 64

FREEZE = programme_pb2.ACCOUNT_CHANGE_KIND_FREEZE
UNFREEZE = programme_pb2.ACCOUNT_CHANGE_KIND_UNFREEZE
CLOSE = programme_pb2.ACCOUNT_CHANGE_KIND_CLOSE
PROVE = programme_pb2.ACCOUNT_CHANGE_KIND_PROVE
MERGE = programme_pb2.ACCOUNT_CHANGE_KIND_MERGE
SPLIT = programme_pb2.ACCOUNT_CHANGE_KIND_SPLIT
SHARE_OUT = programme_pb2.ACCOUNT_CHANGE_KIND_SHARE_OUT


@dataclass(frozen=True, slots=True)
class BuiltChange:
    """An account change ready to be signed, with its bodies in order."""

    message: programme_pb2.AccountChange
    bodies: list[bytes]


def commitment(body: programme_pb2.AccountChangeBody) -> bytes:
    """Give SHA-256(salt || the body without its salt)."""
    bare = programme_pb2.AccountChangeBody()
    bare.CopyFrom(body)
    bare.ClearField("salt")
    return hashlib.sha256(body.salt + codec.encode(bare)).digest()


def share_terms(household: bytes, parts: Sequence[tuple[bytes, int]]) -> bytes:
    """Give the subject of the tickets of a share-out: the SHA-256 of its account and shares."""
    body = programme_pb2.AccountChangeBody(
        account=household,
        shares_accounts=[account for account, _ in parts],
        shares_basis_points=[points for _, points in parts],
    )
    return subject_of(codec.encode(body))


def build_change(
    header: envelope_pb2.Header,
    *,
    kind: programme_pb2.AccountChangeKind.ValueType,
    effective: Epoch,
    salt: bytes,
    account: bytes,
    tickets: Sequence[bytes] = (),
    other_account: bytes = b"",
    pseudonym: bytes = b"",
    parts: Sequence[tuple[bytes, int]] = (),
) -> BuiltChange:
    """Build a change; `salt` is 32 fresh random bytes, `tickets` are envelopes in the rule's order."""
    body = programme_pb2.AccountChangeBody(
        salt=salt,
        account=account,
        other_account=other_account,
        pseudonym=pseudonym,
        ticket_hashes=[hashlib.sha256(ticket).digest() for ticket in tickets],
        shares_accounts=[one for one, _ in parts],
        shares_basis_points=[points for _, points in parts],
    )
    message = programme_pb2.AccountChange(
        header=header, effective_epoch=effective, kind=kind, commitment=commitment(body)
    )
    return BuiltChange(message, [codec.encode(body), *tickets])


def erase(bodies: Sequence[bytes], is_theirs: Callable[[bytes], bool]) -> dict[int, bytes]:
    """Give what takes the place of which body: a person's tickets, and a body that names their pseudonym."""
    erased = {
        position: bytes(len(ticket))
        for position, ticket in enumerate(bodies[1:], start=1)
        if is_theirs(ticket)
    }
    if erased and not is_erased(bodies[0]):
        body = codec.parse(programme_pb2.AccountChangeBody, bodies[0], maximum_bytes=BODY_BYTES_MAX)
        if body.pseudonym:
            erased[0] = bytes(len(bodies[0]))
    return erased


def check_bodies(
    message: programme_pb2.AccountChange, bodies: Sequence[bytes], *, erasure_allowed: bool = False
) -> tuple[programme_pb2.AccountChangeBody, Sequence[bytes]]:
    """Check that the bodies are those signed; gives the change's body and its tickets. Raises Malformed.

    A ticket erased since stands for the one named where that is allowed.
    """
    if not bodies:
        raise chunks.mismatch("An account change has a body.")
    body = codec.parse(programme_pb2.AccountChangeBody, bodies[0], maximum_bytes=BODY_BYTES_MAX)
    if len(body.salt) != SALT_BYTES or commitment(body) != message.commitment:
        raise chunks.mismatch("The account change's body is not the one it signs.")
    named = list(body.ticket_hashes)
    is_whole = len(named) == len(bodies) - 1 and all(
        hashlib.sha256(ticket).digest() == name or (erasure_allowed and is_erased(ticket))
        for ticket, name in zip(bodies[1:], named, strict=True)
    )
    if not is_whole:
        raise chunks.mismatch("The link tickets are not those the account change names.")
    if len(body.account) != HALF_BYTES:
        raise misshapen("an account has 16 bytes")
    return body, bodies[1:]


def misshapen(what: str) -> Malformed:
    """Give the refusal of a change whose parts do not fit its kind."""
    return Malformed(REASON_WRONG_SHAPE, f"The account change does not hold: {what}.")
