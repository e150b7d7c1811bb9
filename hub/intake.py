"""Takes signed messages into the log: who sends, whether the rules hold, then everything in one transaction.

The order is the law: bounds (rpc), role and duplicate, the pure rules of privacy.acceptance, then entry,
bodies, links and root together, then the receipt. What was refused leaves no trace; what got a receipt is not
lost; the same envelope always gets the first receipt, byte for byte.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from google.protobuf.message import Message
from sqlalchemy import Connection

from engine.eligibility import CelConditions
from hub import erasures
from hub.log import LogWriter
from hub.programmes import check_content
from hub.state import State
from hub.store import books, entries
from hub.store.books import Link
from hub.store.entries import StoredEntry
from hub.store.writer import Writer
from privacy import codec, envelope, kinds, merkle, standing
from privacy.acceptance import Admission
from privacy.chunks import HALF_BYTES
from privacy.envelope import Kind
from privacy.erasures import ERASED
from privacy.keys import SigningKey
from privacy.receipts import Receipt, sign_receipt
from privacy.selections import SALT_BYTES, build_selection
from privacy.trust import describe
from protos.epochs import Epoch
from protos.problems import InvariantBroken, Refused
from protos.v1 import books_pb2, envelope_pb2, hub_pb2
from protos.v1.evidence_pb2 import ErasureOrder
from protos.v1.problem_pb2 import (
    REASON_COMMITMENT_CLOSED,
    REASON_INVARIANT_BROKEN,
    REASON_ROLE_NOT_ALLOWED,
    REASON_SELECTION_WRONG,
)
from protos.v1.release_pb2 import Reservation
from runtime.channels import Peer
from runtime.identity import Role

logger = logging.getLogger(__name__)

KINDS_BY_ROLE = {
    Role.NODE: kinds.signed_by(standing.Role.ENTERPRISE),
    Role.CUSTODIAN: kinds.signed_by(standing.Role.CUSTODIAN),
    Role.OPERATOR: frozenset({Kind.TRUST_ROOT, Kind.POLICY, Kind.PACK, Kind.PROGRAMME}),
}
# Every second body of these is an opening, and every body of those is rows of persons.
_PAIRED = frozenset({Kind.ROSTER_BATCH, Kind.LINK_BATCH, Kind.CHOICE_BATCH})
_PRIVATE = frozenset({Kind.RELEASE, Kind.JOURNAL_SEGMENT, Kind.SELECTION, Kind.ACCOUNT_CHANGE})

# What operations are decided upon, besides the books themselves.
_DECIDED_UPON = frozenset(
    {
        Kind.TRUST_ROOT,
        Kind.POLICY,
        Kind.PROGRAMME,
        Kind.ROSTER_BATCH,
        Kind.LINK_BATCH,
        Kind.CHOICE_BATCH,
        Kind.ACCOUNT_CHANGE,
    }
)

Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Own:
    """A message of the hub itself, still without its place in the hub's chain."""

    kind: Kind
    message: Message
    bodies: Sequence[bytes] = ()


class Intake:
    """The only way into the log."""

    def __init__(
        self,
        state: State,
        log: LogWriter,
        writer: Writer,
        key: SigningKey,
        *,
        merge_delay_seconds: int,
        clock: Callable[[], int],
        step: Step,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._random = random
        self._state = state
        self._log = log
        self._writer = writer
        self._key = key
        self._merge_delay_seconds = merge_delay_seconds
        self._clock = clock
        self._step = step
        self._seal_open: Callable[[Connection], bool] = lambda connection: False
        self._is_bound: Callable[[Epoch], bool] = lambda epoch: False
        self._conditions = CelConditions()
        self._on_erasure: Callable[[], None] = lambda: None

    def on_erasure(self, forget: Callable[[], None]) -> None:
        """Say who forgets what was made from rows that are erased now; called after the commit."""
        self._on_erasure = forget

    def refuse_commitments_where(self, is_bound: Callable[[Epoch], bool]) -> None:
        """Say which epochs' beacons custodians may know already: nothing is committed to after that."""
        self._is_bound = is_bound

    def submit(self, peer: Peer, data: bytes, bodies: Sequence[bytes]) -> bytes:
        """Take an envelope with its bodies from whoever signed it, and give the receipt."""
        opened = envelope.open_envelope(data)
        if opened.kind not in KINDS_BY_ROLE.get(peer.role, frozenset()):
            raise _not_allowed(f"A {peer.role.value} does not send messages of kind {opened.kind.value}.")
        if opened.kind is Kind.TRUST_ROOT and describe(data).origin != self._state.origin:
            raise _not_allowed(
                "A version that replaces the log's key is not sent: stop the hub, trust succeed."
            )
        receipt = self._writer.call(lambda connection: self._take(connection, peer, data, bodies))
        logger.info("taken", extra={"kind": opened.kind.value, "peer": f"{peer.role.value}/{peer.id}"})
        if opened.kind in erasures.KINDS:
            self._on_erasure()
        return receipt

    def chain(self, peer: Peer) -> hub_pb2.GetChainResponse:
        """Say where the caller's own chain stands."""
        role = standing.Role.CUSTODIAN if peer.role is Role.CUSTODIAN else standing.Role.ENTERPRISE
        chain = self._state.chain(role, peer.id)
        return hub_pb2.GetChainResponse(
            next_sequence=chain.next_sequence, head=chain.head, log_size=self._state.size
        )

    def append_own(self, connection: Connection, build: Callable[[envelope_pb2.Header], Own]) -> StoredEntry:
        """Append a message of the hub, inside the job of a larger change; `build` gets the next header."""
        own, data, admission = self._own(build)
        if own.kind in _DECIDED_UPON and self._seal_open(connection):
            with following("the open segment"):
                own, data, admission = self._own(build)
        return self._store(connection, admission, data, own.bodies)

    def check_own(self, build: Callable[[envelope_pb2.Header], Own]) -> None:
        """Refuse what `append_own` would refuse, before anything it goes with is written."""
        self._own(build)

    def seal_with(self, seal_open: Callable[[Connection], bool]) -> None:
        """Name what seals the open segment of operations, and says whether there was one.

        It comes before whatever later operations are decided upon: the log's order is the order of the books.
        """
        self._seal_open = seal_open

    def _own(self, build: Callable[[envelope_pb2.Header], Own]) -> tuple[Own, bytes, Admission]:
        own = build(self._state.next_header(issued_at=self._clock()))
        data = envelope.sign(codec.encode(own.message), own.kind, [self._key])
        return own, data, self._state.check(data, own.bodies, self._log.head.size)

    def erase_account(self, account: bytes) -> list[bytes]:
        """Order the erasure of every slot behind an account; give the orders' envelopes.

        Raises Refused ROSTER_WRONG, before anything is ordered, while an enterprise still has one enrolled.
        """
        orders = self._writer.call(
            lambda connection: erasures.build_orders(connection, account, self._state.slots_of)
        )
        self._state.check_erasable({one.enterprise_id: one.slots for one in orders})
        stored = [self._writer.call(partial(self._append_order, order=order)) for order in orders]
        logger.info("account erased", extra={"orders": len(stored)})
        self._on_erasure()
        return stored

    def _append_order(self, connection: Connection, order: ErasureOrder) -> bytes:
        def build(header: envelope_pb2.Header) -> Own:
            order.header.CopyFrom(header)
            return Own(Kind.HUB_ERASURE_ORDER, order)

        return self.append_own(connection, build).envelope

    def _take(self, connection: Connection, peer: Peer, data: bytes, bodies: Sequence[bytes]) -> bytes:
        leaf = merkle.leaf_hash(data)
        known = entries.find_by_leaf(connection, leaf)
        if known is not None:
            if peer.role is not Role.OPERATOR and known.issuer != peer.id:
                raise _not_allowed("The message is another party's.")
            return known.receipt
        try:
            admission = self._state.check(data, bodies, self._log.head.size)
        except Refused as refused:
            if not self._waits_for_selection(refused, peer, data):
                raise
            return self._store_selected(connection, peer.id, data).receipt
        if peer.role is not Role.OPERATOR and not hmac.compare_digest(admission.issuer, peer.id):
            raise _another_signed(peer)
        self._check_beyond_the_rules(admission, bodies)
        if admission.kind in _DECIDED_UPON and self._seal_open(connection):
            with following("the open segment"):
                admission = self._state.check(data, bodies, self._log.head.size)
        return self._store(connection, admission, data, bodies).receipt

    def _check_beyond_the_rules(self, admission: Admission, bodies: Sequence[bytes]) -> None:
        """Refuse what the log's rules cannot see: a beacon asked for meanwhile, a programme's content."""
        if admission.kind is Kind.COMMITMENT and self._is_bound(Epoch(admission.message.epoch)):
            raise Refused(
                REASON_COMMITMENT_CLOSED,
                "The beacon of this epoch is being drawn: nothing is committed to any more.",
                remedy="Sign nothing-to-report for an outage.",
            )
        if admission.kind is Kind.PROGRAMME:
            check_content(admission.message, bodies, self._conditions)

    def _waits_for_selection(self, refused: Refused, peer: Peer, data: bytes) -> bool:
        """Say whether all that a reservation lacks is its selection, which is the hub's to log."""
        opened = envelope.open_envelope(data)
        if refused.reason != REASON_SELECTION_WRONG or opened.kind is not Kind.RESERVATION:
            return False
        message = opened.parse(Reservation)
        if not hmac.compare_digest(message.header.issuer, peer.id):
            raise _another_signed(peer)
        return not self._state.is_selected(peer.id, Epoch(message.epoch))

    def _store_selected(self, connection: Connection, enterprise_id: str, data: bytes) -> StoredEntry:
        """Log a reservation and its selection before it; memory goes with the first, so both must succeed."""
        epoch = Epoch(envelope.open_envelope(data).parse(Reservation).epoch)
        selection, salt = self._state.select(enterprise_id, epoch), self._random(SALT_BYTES)

        def build(header: envelope_pb2.Header) -> Own:
            built = build_selection(
                header, enterprise_id=enterprise_id, epoch=epoch, salt=salt, selection=selection
            )
            return Own(Kind.SELECTION, built.message, built.bodies)

        self.append_own(connection, build)
        with following("its selection"):
            admission = self._state.check(data, (), self._log.head.size)
            return self._store(connection, admission, data, ())

    def _store(
        self, connection: Connection, admission: Admission, data: bytes, bodies: Sequence[bytes]
    ) -> StoredEntry:
        """Write entry, bodies, books and root; then, and only then, let memory follow."""
        self._step("checked")
        leaf = merkle.leaf_hash(data)
        stored = self._entry(admission, data, leaf)
        marked = [(body, is_private(admission.kind, position)) for position, body in enumerate(bodies)]
        entries.add_entry(connection, stored, marked)
        entries.set_tree_head(connection, self._log.head_with(leaf))
        if admission.kind is Kind.LINK_BATCH:
            books.add_links(connection, links_of(admission.message, bodies, stored.index))
        if admission.kind in erasures.KINDS:
            order = admission.message
            gone = self._state.gone_by(order.enterprise_id, order.slots)
            left = self._state.log.participants.left_by(gone)
            erasures.carry_out(connection, order, stored.index, gone=gone, left=left)
        self._step("stored")
        try:
            self._state.apply(admission)
            self._log.append(leaf, data)
        except Exception as error:
            raise InvariantBroken(
                REASON_INVARIANT_BROKEN, f"State could not follow the log: {type(error).__name__}."
            ) from error
        return stored

    def _entry(self, admission: Admission, data: bytes, leaf: bytes) -> StoredEntry:
        now = self._clock()
        index = self._log.head.size
        receipt = Receipt(self._state.origin, index, leaf, now, self._merge_delay_seconds)
        return StoredEntry(
            index=index,
            envelope=data,
            leaf_hash=leaf,
            kind=admission.kind.value,
            issuer=admission.issuer,
            epoch=getattr(admission.message, "epoch", 0),
            received_at=now,
            receipt=sign_receipt(receipt, self._key),
        )


@contextmanager
def following(what: str) -> Iterator[None]:
    """Stop where an entry cannot follow one that memory has taken already: they are one change."""
    try:
        yield
    except Exception as error:
        raise InvariantBroken(
            REASON_INVARIANT_BROKEN, f"An entry could not follow {what}: {type(error).__name__}."
        ) from error


def is_private(kind: Kind, position: int) -> bool:
    """Say whether a body is only for auditors and the operator: it holds rows of persons."""
    return kind in _PRIVATE or (kind in _PAIRED and position % 2 == 1)


def links_of(batch: books_pb2.LinkBatch, bodies: Sequence[bytes], index: int) -> list[Link]:
    """Read a link batch's openings as rows of the books."""
    links: list[Link] = []
    for data in bodies[1::2]:
        opening = books_pb2.LinkOpening.FromString(data)
        for at in range(0, len(opening.pseudonyms), HALF_BYTES):
            half = slice(at, at + HALF_BYTES)
            if opening.pseudonyms[half] == ERASED:
                continue
            links.append(Link(opening.pseudonyms[half], opening.accounts[half], batch.effective_epoch, index))
    return links


def _another_signed(peer: Peer) -> Refused:
    return _not_allowed(f"The certificate is {peer.id}'s, the message is signed in another party's name.")


def _not_allowed(message: str) -> Refused:
    return Refused(
        REASON_ROLE_NOT_ALLOWED, message, remedy="Send each message with its own signer's certificate."
    )
