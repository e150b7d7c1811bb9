"""Protobuf in the one form that is taken: bounds first, no unknown field, equal to its own encoding."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_MALFORMED_MESSAGE, REASON_MESSAGE_TOO_LARGE

MessageT = TypeVar("MessageT", bound=Message)


def encode(message: Message) -> bytes:
    """Give the canonical bytes of a message: fields in order, no unknown ones."""
    return message.SerializeToString(deterministic=True)


def check_size(data: bytes, maximum_bytes: int, what: str) -> None:
    """Refuse what is larger than its bound before anything looks inside.

    Raises Malformed MESSAGE_TOO_LARGE.
    """
    if len(data) > maximum_bytes:
        raise Malformed(
            REASON_MESSAGE_TOO_LARGE, f"{what} has {len(data)} bytes; at most {maximum_bytes} are taken."
        )


def parse(kind: type[MessageT], data: bytes, *, maximum_bytes: int) -> MessageT:
    """Read a message; raises Malformed unless the bytes are exactly its canonical encoding."""
    name = kind.DESCRIPTOR.name
    check_size(data, maximum_bytes, name)
    try:
        message = kind.FromString(data)
    except DecodeError:
        raise Malformed(REASON_MALFORMED_MESSAGE, f"The bytes are no {name}.") from None
    message.DiscardUnknownFields()
    if encode(message) != data:
        raise Malformed(
            REASON_MALFORMED_MESSAGE,
            f"{name} is not in canonical form (field order, defaults or unknown fields).",
            remedy="Encode with the published protobuf schema of this version.",
        )
    return message
