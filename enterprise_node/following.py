"""The node's own view of the log: every entry verified and judged by the rules the hub and auditors use.

Policies, packs, custodians and what became of the node's own messages are taken from here, never from the
hub's word. A log that holds messages of this enterprise which the node does not know means that the node was
restored from an old copy, or has a twin: then nothing may be drawn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from privacy.acceptance import LogState
from privacy.envelope import envelope_hash
from privacy.receipts import open_receipt
from privacy.standing import Role
from protos.problems import Conflict, Problem, Unavailable, Unverified
from protos.v1.problem_pb2 import REASON_BUSY, REASON_HISTORY_INCONSISTENT, REASON_LOG_AHEAD
from runtime import successors
from runtime.retries import DEFAULT_POLICY, RetryPolicy, Wait, log_wait, retry

if TYPE_CHECKING:
    from enterprise_node.chain import OwnChain
    from enterprise_node.receipts import ReceiptFolder
    from enterprise_node.store.outbox import OutboxTable, StoredMessage
    from privacy.policy import Policy
    from privacy.trust import TrustRoot
    from protos.epochs import Epoch
    from runtime.log_follower import Entry
    from runtime.log_mirror import LogMirror
    from runtime.log_reader import LogReader

logger = logging.getLogger(__name__)


class Following:
    """Follows one hub's log for one enterprise."""

    def __init__(
        self,
        mirror: LogMirror,
        reader: LogReader,
        *,
        pinned: bytes,
        enterprise_id: str,
        chain: OwnChain,
        table: OutboxTable,
        policy: RetryPolicy = DEFAULT_POLICY,
        on_wait: Callable[[Wait], None] = log_wait,
        receipts: ReceiptFolder | None = None,
    ) -> None:
        self._mirror = mirror
        self._reader = reader
        self._enterprise_id = enterprise_id
        self._chain = chain
        self._table = table
        self._policy = policy
        self._on_wait = on_wait
        self._receipts = receipts
        self._state = LogState(pinned=pinned, replaying=True)
        # Entries of our own that this node did not write.
        self._strange: list[Entry] = []
        for entry in mirror.entries():
            self._take(entry)
        self._follow_origin()

    @property
    def state(self) -> LogState:
        """Give what the log has established."""
        return self._state

    @property
    def trust(self) -> TrustRoot:
        """Give the trust root in force."""
        return self._state.trust

    def refresh(self) -> None:
        """Read what is new; raises Unverified HISTORY_INCONSISTENT if the log breaks a promise."""
        retry(
            self._advance,
            what="the hub's log",
            policy=self._policy,
            on_wait=self._on_wait,
        )
        self._check_receipts()

    def policy_for(self, epoch: Epoch) -> Policy:
        """Give the policy in force; raises Refused POLICY_NOT_IN_FORCE."""
        return self._state.policy_for(epoch)

    def policy_by_hash(self, policy_hash: bytes) -> Policy:
        """Find the policy a reservation was made under."""
        return self._state.policy_by_hash(policy_hash)

    def is_registered(self) -> bool:
        """Say whether the trust root names this enterprise."""
        return self._state.has_trust and any(
            party.id == self._enterprise_id for party in self._state.trust.enterprises
        )

    @property
    def strange(self) -> tuple[Entry, ...]:
        """Give the log's messages of this enterprise that this node did not write, in order."""
        return tuple(self._strange)

    def require_current(self) -> None:
        """Refuse to go on where the log knows more of this enterprise than the node does."""
        if self._strange:
            raise Conflict(
                REASON_LOG_AHEAD,
                f"The log holds {len(self._strange)} messages of this enterprise that this node did not "
                f"write, the first at entry {self._strange[0].index}: its state was restored, or it has "
                "a twin.",
                remedy="Stop the other node if there is one; then run cgsp-node recover with this one.",
            )

    def check(self, data: bytes, bodies: Sequence[bytes]) -> None:
        """Judge a new message of ours as the hub will; raises what the hub would."""
        self.require_current()
        chain = self._state.chain(Role.ENTERPRISE, self._enterprise_id)
        if self._table.count() == chain.next_sequence - 1:
            self._state.check(data, bodies)

    def receipt_index(self, receipt: bytes, entry: bytes) -> int:
        """Verify the hub's receipt for a message of ours and give the index it promises."""
        trust = self._state.trust
        origins = [root.origin for root in self._state.trust_roots]
        return open_receipt(receipt, trust.hub_key, origin=origins, entry=entry).index

    def wait_until_seen(self) -> None:
        """Wait until a checkpoint covers every message that has a receipt."""
        if not self._table.unseen():
            return
        retry(
            self._advance_until_seen,
            what="the log to show this node's messages",
            policy=self._policy,
            on_wait=self._on_wait,
        )
        self._check_receipts()

    def _advance(self) -> None:
        root = self._state.trust if self._state.has_trust else None
        for entry in self._mirror.entries(successors.grow(self._mirror, self._reader, root)):
            self._take(entry)
        self._follow_origin()

    def _advance_until_seen(self) -> None:
        self._advance()
        self._check_receipts()
        if waiting := self._table.unseen():
            raise Unavailable(
                REASON_BUSY,
                f"The log does not show {waiting[0].kind} {waiting[0].sequence} yet.",
                remedy="The hub promised to merge it within a minute; if it does not, tell the auditors.",
            )

    def _take(self, entry: Entry) -> None:
        """Judge one entry with our own bodies where it is ours; an entry against the rules breaks the log."""
        own = self._table.by_hash(envelope_hash(entry.data))
        bodies = self._chain.bodies(own.sequence) if own and not self._strange else None
        try:
            admission = self._state.check(entry.data, bodies or None, entry.index)
        except Problem as problem:
            raise Unverified(
                REASON_HISTORY_INCONSISTENT,
                f"The hub logged entry {entry.index} against the rules: {problem.message}",
                remedy="Keep the node's log folder as evidence and tell the auditors; nothing more is sent.",
            ) from None
        self._state.apply(admission)
        if own is not None:
            self._note_seen(own, entry.index)
        elif admission.issuer == self._enterprise_id:
            self._strange.append(entry)

    def _note_seen(self, own: StoredMessage, index: int) -> None:
        if not own.seen:
            self._table.mark_seen(own.sequence, index)
            logger.info("message in the log", extra={"kind": own.kind, "index": index})

    def _check_receipts(self) -> None:
        """A receipt's promise holds or the log is not one log; proofs that it did are kept."""
        for message in self._table.unseen():
            if message.log_index is not None and message.log_index < self._state.size:
                raise Unverified(
                    REASON_HISTORY_INCONSISTENT,
                    f"The hub's receipt promised {message.kind} {message.sequence} at entry "
                    f"{message.log_index}; another entry stands there.",
                    remedy="Keep the receipt and the node's log folder as evidence and tell the auditors.",
                )
        if self._receipts is not None:
            self._receipts.keep(self._mirror, self._reader)

    def _follow_origin(self) -> None:
        """Sign what waits to be sent for the origin under which the log goes on."""
        if self._state.has_trust:
            self._chain.move(self._state.trust.origin)
