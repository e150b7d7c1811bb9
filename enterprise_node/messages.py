"""The messages of a node's own chain, by kind."""

from __future__ import annotations

from google.protobuf.message import Message

from privacy.envelope import Kind
from protos.v1 import commitment_pb2, evidence_pb2, release_pb2, roster_pb2

MESSAGES: dict[Kind, type[Message]] = {
    Kind.ROSTER_BATCH: roster_pb2.RosterBatch,
    Kind.RESERVATION: release_pb2.Reservation,
    Kind.RELEASE: release_pb2.Release,
    Kind.NOTHING_TO_REPORT: release_pb2.NothingToReport,
    Kind.ERASURE_ORDER: evidence_pb2.ErasureOrder,
    Kind.COMMITMENT: commitment_pb2.Commitment,
}
