"""The one module that can send to the hub and to custodians; its closed list is the egress journal's kinds.

What is sent was kept before, so that a crash or a lost answer leads to the same bytes again; what leaves is
written to the journal before it leaves, every attempt of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from enterprise_node.egress import EgressJournal
from privacy import deposits
from privacy.egress import EgressKind
from privacy.tiles import entries_path, tile_path
from protos.problems import Unavailable
from protos.v1.custodian_pb2 import EvaluateRequest, EvaluateResponse
from protos.v1.problem_pb2 import REASON_PEER_UNREACHABLE
from runtime.joining import join
from runtime.log_reader import body_path
from runtime.posting import post
from runtime.retries import DEFAULT_POLICY, RetryPolicy, Wait, log_wait, retry, unary

if TYPE_CHECKING:
    from enterprise_node.chain import OwnChain
    from enterprise_node.store.outbox import OutboxTable, StoredMessage
    from privacy.keys import SigningKey
    from privacy.trust import Custodian
    from runtime.joining import Joined, JoinToken
    from runtime.log_reader import LogReader

logger = logging.getLogger(__name__)


class HubPort(Protocol):
    """A connection to the hub's intake."""

    @property
    def address(self) -> str:
        """Give host:port."""

    def submit(self, envelope: bytes, bodies: Sequence[bytes]) -> bytes:
        """Send one message; give the receipt's envelope. Raises the problem the hub answered with."""


class CustodianPort(Protocol):
    """Connections to custodians."""

    def evaluate(self, custodian: Custodian, request: EvaluateRequest) -> EvaluateResponse:
        """Send one order with its blinded elements; raises the problem the custodian answered with."""


# Checks a receipt against the message it is for and gives its log index.
ReceiptCheck = Callable[[bytes, bytes], int]


class Outbox:
    """Sends what the chain keeps, in order, and blinded batches."""

    def __init__(
        self,
        chain: OwnChain,
        table: OutboxTable,
        journal: EgressJournal,
        *,
        hub: HubPort,
        custodians: CustodianPort,
        check_receipt: ReceiptCheck,
        policy: RetryPolicy = DEFAULT_POLICY,
        on_wait: Callable[[Wait], None] = log_wait,
    ) -> None:
        self._chain = chain
        self._table = table
        self._journal = journal
        self._hub = hub
        self._custodians = custodians
        self._check_receipt = check_receipt
        self._policy = policy
        self._on_wait = on_wait

    def deliver(self) -> int:
        """Send every message without a receipt, oldest first; give how many were sent."""
        waiting = self._table.unsent()
        for message in waiting:
            receipt = retry(
                partial(self._send, message),
                what=f"the hub to take {message.kind} {message.sequence}",
                policy=self._policy,
                on_wait=self._on_wait,
            )
            index = self._check_receipt(receipt, message.envelope)
            self._table.receive(message.sequence, receipt, index)
            logger.info("message received by the hub", extra={"kind": message.kind, "index": index})
        return len(waiting)

    def evaluate(
        self, custodian: Custodian, order: bytes, blinded: bytes, order_hash: bytes
    ) -> EvaluateResponse:
        """Send a blinded batch to one custodian, once: whoever asks goes on with another quorum.

        The journal's hash is the batch hash, as in the custodian's signed counts.
        """
        self._journal.record(
            EgressKind.BLINDED_BATCH,
            custodian.address,
            (blinded,),
            envelope_hash=order_hash,
            extra=len(order),
        )
        request = EvaluateRequest(order=order, blinded_elements=blinded)
        return unary(lambda: self._custodians.evaluate(custodian, request))

    def _send(self, message: StoredMessage) -> bytes:
        """Write down and send one message, in one attempt."""
        bodies = self._chain.bodies(message.sequence)
        self._journal.record(
            EgressKind(message.kind),
            self._hub.address,
            (message.envelope, *bodies),
            envelope_hash=message.envelope_hash,
        )
        return self._hub.submit(message.envelope, bodies)


class HubReads:
    """Reads the hub's log; what is asked for is all that leaves."""

    def __init__(self, reader: LogReader, journal: EgressJournal, address: str) -> None:
        self._reader = reader
        self._journal = journal
        self._address = address

    def checkpoint(self) -> bytes:
        """Read the latest checkpoint."""
        self._record("checkpoint")
        return self._reader.checkpoint()

    def tile(self, level: int, index: int, width: int = 256) -> bytes:
        """Read a tile of hashes."""
        self._record(tile_path(level, index, width))
        return self._reader.tile(level, index, width)

    def entries(self, index: int, width: int = 256) -> bytes:
        """Read an entry bundle."""
        self._record(entries_path(index, width))
        return self._reader.entries(index, width)

    def body(self, index: int, position: int) -> bytes | None:
        """Read one public body."""
        self._record(body_path(index, position))
        return self._reader.body(index, position)

    def bodies(self, index: int) -> list[bytes] | None:
        """Read back this enterprise's own bodies, which the hub gives to nobody else but auditors."""
        self._record(f"bodies/{index}")
        return self._reader.bodies(index)

    def _record(self, path: str) -> None:
        self._journal.record(EgressKind.READ, self._address, (path.encode(),))


def send_join(
    journal: EgressJournal, token: JoinToken, signing_key: SigningKey, listen_address: str
) -> Joined:
    """Send the request to join; only a signing request, a public key and the token's secret leave."""

    def record(body: bytes) -> None:
        journal.record(EgressKind.JOIN, token.hub, (body,))

    return join(token, signing_key, address=listen_address, before_send=record)


def send_deposit(journal: EgressJournal, url: str, origin: str, envelope_hash: bytes) -> bytes:
    """Send a message's hash to a witness, which dates it; nothing but the hash and the log's name leave."""
    body = deposits.format_request(origin, envelope_hash)
    journal.record(EgressKind.DEPOSIT, url, (body,), envelope_hash=envelope_hash)
    status, answer, _ = post(url, "/deposit", body, limit=deposits.DEPOSIT_BYTES_MAX)
    if status != HTTPStatus.OK:
        raise Unavailable(
            REASON_PEER_UNREACHABLE,
            f"The witness at {url} answered {status}.",
            remedy="Ask a witness that the trust root names and that follows this log.",
        )
    return answer
