"""The books of a simulated log: accounts by a plain fold of their own, and the close that names them."""

from __future__ import annotations

from fractions import Fraction

from privacy import envelope, merkle, releases
from privacy.acceptance import Admission
from privacy.envelope import Kind
from privacy.laplace import variance_upper
from privacy.standing import HUB_ID, Role
from protos.epochs import Epoch
from protos.v1 import books_pb2, release_pb2
from tests.simulator.parties import EPOCH
from tests.simulator.writing import Writer

# Enterprise, measure, slot and epoch of one released number.
Row = tuple[str, str, int, int]
# An anchor's grams, its variance, and the epochs it totals.
Anchored = tuple[int, int, tuple[int, ...]]


class Books(Writer):
    """Folds statements into accounts and closes epochs."""

    def close_message(self, epoch: Epoch = EPOCH) -> books_pb2.EpochClose:
        """Build the close of an epoch over the log as it stands."""
        books = self.accounts(epoch)
        leaves = [
            row + balance.to_bytes(8, "big", signed=True) + variance.to_bytes(16, "big")
            for row, (balance, variance, _) in sorted(books.items())
        ]
        return books_pb2.EpochClose(
            header=self.header(Role.HUB, HUB_ID),
            epoch=epoch,
            log_size=self.state.size,
            log_root=self.state.root(),
            accounts=len(books),
            accounts_in_two_or_more=sum(len(issuers) > 1 for _, _, issuers in books.values()),
            accounts_root=merkle.root(leaves),
            total_mg=sum(balance for balance, _, _ in books.values()),
            missing=self.state.missing(epoch),
        )

    def close(self, epoch: Epoch = EPOCH) -> Admission:
        """Log the close of an epoch."""
        return self.append(self.signed(Kind.EPOCH_CLOSE, self.close_message(epoch), HUB_ID))

    def accounts(self, epoch: Epoch) -> dict[bytes, tuple[int, int, set[str]]]:
        """Fold all statements up to the epoch into accounts: balance mg, variance mg^2, enterprises."""
        months, anchors = self._released(epoch)
        for (issuer, measure, slot, _), (total, spread, covered) in anchors.items():
            found = [
                months.pop((issuer, measure, slot, of))
                for of in covered
                if (issuer, measure, slot, of) in months
            ]
            grams, variance = (sum(one[side] for one in found) for side in (0, 1))
            balance = (grams * spread + total * variance) // (spread + variance)
            combined = Fraction(spread * variance, spread + variance)
            months[issuer, measure, slot, covered[-1]] = (balance, -(-combined // 1))
        books: dict[bytes, tuple[int, int, set[str]]] = {}
        for (issuer, _, slot, _), (grams, variance) in months.items():
            held = self.linked.get(self.rows[issuer][slot])
            if held is None or held[1] > epoch:
                continue
            balance, spread, issuers = books.get(held[0], (0, 0, set()))
            books[held[0]] = (balance + grams * 1000, spread + variance * 1_000_000, issuers | {issuer})
        return books

    def _released(self, epoch: Epoch) -> tuple[dict[Row, tuple[int, int]], dict[Row, Anchored]]:
        """Read every row up to the epoch: grams and variance of months; anchors with what they total."""
        months: dict[Row, tuple[int, int]] = {}
        anchors: dict[Row, Anchored] = {}
        for data, bodies in self.entries:
            opened = envelope.open_envelope(data)
            if opened.kind is not Kind.RELEASE:
                continue
            message = opened.parse(release_pb2.Release)
            issuer, of = message.header.issuer, Epoch(message.epoch)
            slots = self.state.roster(issuer).active_slots(of)
            for one, body in zip(message.statements, bodies if of <= epoch else (), strict=False):
                variance = variance_upper(one.claim.scale)
                for slot, grams in zip(slots, releases.parse_statement_chunk(body).grams(), strict=True):
                    if one.epochs:
                        anchors[issuer, one.measure_id, slot, of] = (grams, variance, tuple(one.epochs))
                    else:
                        months[issuer, one.measure_id, slot, of] = (grams, variance)
        return months, anchors
