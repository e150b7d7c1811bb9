"""A link ticket as text, for JSON and addresses: base64, or base64url as an address needs it."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from pydantic import Field

from privacy.tickets import TICKET_BYTES_MAX
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_TICKET_INVALID

TicketText = Annotated[str, Field(max_length=TICKET_BYTES_MAX * 2)]
_ALPHABET = str.maketrans("-_", "+/")


def ticket_bytes(text: str) -> bytes:
    """Give the envelope of a ticket; raises Malformed TICKET_INVALID."""
    try:
        return base64.b64decode(text.translate(_ALPHABET), validate=True)
    except (binascii.Error, ValueError):
        raise Malformed(
            REASON_TICKET_INVALID,
            "The ticket is not base64.",
            remedy="Open the page from the enterprise's app again: it gives a fresh ticket.",
        ) from None
