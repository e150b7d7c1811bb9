"""A client for the enterprise's own systems: pushes activities to their node, each taken once.

    with ActivityClient("127.0.0.1:7443", Identity.load(home), source="trips") as client:
        summary = client.record([Activity("order-1", {"trip": "1", "mobile": "…", "km": "1.2"})])

`record` returns when the node has made everything durable. Connections that break are opened again and what
was not acknowledged is sent again under the same keys, so that nothing is lost or doubled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count, islice
from types import TracebackType
from typing import NamedTuple, Self

import grpc

from protos.problems import Unavailable
from protos.v1 import node_pb2, node_pb2_grpc
from protos.v1.problem_pb2 import REASON_PEER_UNREACHABLE
from runtime.channels import open_channel
from runtime.identity import Identity, Role, SpiffeName
from runtime.retries import DEFAULT_POLICY, RetryPolicy, retry

BATCH_RECORDS = 1000
# Requests on their way before answers are awaited; together they bound what is held in memory.
WINDOW_REQUESTS = 8
STREAM_SECONDS_MAX = 600


class Activity(NamedTuple):
    """One record: a key of the sender's own that never changes for it, and values by declared column."""

    key: str
    values: Mapping[str, str]


class NotTaken(NamedTuple):
    """A record the node did not take, and what to do about it."""

    key: str
    column: str
    reason: str
    remedy: str


@dataclass(slots=True)
class Summary:
    """What the node acknowledged; a record whose first acknowledgement was lost counts as known."""

    accepted: int = 0
    known: int = 0
    quarantined: list[NotTaken] = field(default_factory=list)


class ActivityClient:
    """Pushes records of one source to a node; not for several threads at a time."""

    def __init__(
        self,
        address: str,
        identity: Identity,
        source: str,
        *,
        policy: RetryPolicy = DEFAULT_POLICY,
        batch_records: int = BATCH_RECORDS,
    ) -> None:
        name = SpiffeName(identity.name.trust_domain, Role.NODE, identity.name.id)
        self._channel = open_channel(address, identity, server_name=name.dns_name)
        self._stub = node_pb2_grpc.ActivityServiceStub(self._channel)
        self._source = source
        self._policy = policy
        self._batch_records = batch_records

    def record(self, activities: Iterable[Activity]) -> Summary:
        """Send all records and wait until all are acknowledged; raises a Problem when that cannot be."""
        summary = Summary()
        requests = self._requests(iter(activities))
        while waiting := deque(islice(requests, WINDOW_REQUESTS)):
            while waiting:
                before = len(waiting)
                retry(
                    partial(self._send, waiting, summary, before),
                    what="the node",
                    policy=self._policy,
                )
        return summary

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, waiting: deque[node_pb2.RecordActivitiesRequest], summary: Summary, before: int) -> None:
        """Send what waits and take off what is answered; after some progress patience begins anew.

        A stream whose connection broke may go on without a request that was under way, and end as if nothing
        had happened: an answer counts only for the request whose number it carries.
        """
        try:
            stream = self._stub.RecordActivities(iter(tuple(waiting)), timeout=STREAM_SECONDS_MAX)
            for answer in stream:
                if answer.number != waiting[0].number:
                    stream.cancel()
                    break
                waiting.popleft()
                summary.accepted += answer.accepted
                summary.known += answer.known
                summary.quarantined += [
                    NotTaken(one.idempotency_key, one.column, one.reason, one.remedy)
                    for one in answer.quarantined
                ]
        except grpc.RpcError:
            if len(waiting) == before:
                raise
        if len(waiting) == before:
            raise Unavailable(
                REASON_PEER_UNREACHABLE,
                "The node answered nothing of what was sent.",
                remedy="Send the same records again: they are taken once.",
            )

    def _requests(self, activities: Iterator[Activity]) -> Iterator[node_pb2.RecordActivitiesRequest]:
        for number in count(1):
            part = tuple(islice(activities, self._batch_records))
            if not part:
                return
            yield node_pb2.RecordActivitiesRequest(
                source=self._source,
                number=number,
                records=[
                    node_pb2.ActivityRecord(idempotency_key=one.key, values=dict(one.values)) for one in part
                ],
            )
