"""What the log says of participants: whose an account is and may do, what they chose, what is selected."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

from privacy import asked, choice_rules, selections
from privacy.account_change_rules import older
from privacy.choices import Choices
from privacy.opened_tickets import Ticket
from privacy.ownership import AccountState, Move, owner
from privacy.selection_rules import selects
from privacy.standing import Selected, Selection, Standing
from privacy.tickets import NO_SUBJECT, check_ticket, open_ticket
from protos.epochs import Epoch
from protos.problems import Problem
from protos.v1 import ledger_pb2


class Participants:
    """A reading of a log's state; it changes nothing."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    def check_ticket(self, data: bytes, *, purpose: str, at: int, subject: bytes = NO_SUBJECT) -> Ticket:
        """Take a link ticket for this purpose at this time; looking at it does not use it up."""
        return check_ticket(self._standing, data, purpose=purpose, at=at, subject=subject)

    def check_asked(self, operation: ledger_pb2.Operation) -> Ticket:
        """Give the ticket of the person whose account pays for an operation; refuse one without it."""
        return asked.check_asked(self._standing, operation)

    def open_ahead(self, data: bytes) -> None:
        """Verify a ticket before its turn, on the caller's time; what is wrong with it is told then."""
        with suppress(Problem):
            open_ticket(self._standing, data)

    def tickets(self, data: Sequence[bytes], *, purpose: str, at: int) -> list[Ticket]:
        """Take several tickets for one purpose, each about whatever its subject says."""
        return [
            check_ticket(
                self._standing, one, purpose=purpose, at=at, subject=open_ticket(self._standing, one).subject
            )
            for one in data
        ]

    def is_used(self, data: bytes) -> bool:
        """Say whether something rests on a ticket's nonce already; raises what is wrong with the ticket."""
        return open_ticket(self._standing, data).use in self._standing.tickets_used

    def signer(self, data: bytes) -> str:
        """Name the enterprise that signed a ticket; raises what is wrong with its form or signature."""
        return open_ticket(self._standing, data).enterprise_id

    def by_age(self, one: bytes, other: bytes) -> tuple[bytes, bytes]:
        """Give two accounts, the one linked first before the other."""
        first = older(self._standing, one, other)
        return first, other if first == one else one

    def account(self, pseudonym: bytes) -> bytes | None:
        """Give the account a pseudonym's grams go to now; None for one without a link."""
        return owner(self._standing.ownership, self._standing.linked, pseudonym)

    def current(self, account: bytes) -> bytes:
        """Give the account that stands for one that was merged."""
        return self._standing.ownership.current(account)

    def pseudonyms(self, account: bytes) -> list[bytes]:
        """List the pseudonyms whose grams go to an account now, ascending."""
        return sorted(one for one in self._standing.linked if self.account(one) == account)

    def left_by(self, gone: Collection[bytes]) -> frozenset[bytes]:
        """Give the accounts that have no other pseudonym than these."""
        found = {self.account(one) for one in gone} - {None}
        if found:
            found -= {self.account(one) for one in self._standing.linked if one not in gone}
        return frozenset(one for one in found if one is not None)

    def merged_into(self, account: bytes) -> list[bytes]:
        """List the accounts whose place an account has taken, ascending."""
        return self._standing.ownership.absorbed(account)

    def state(self, account: bytes) -> AccountState:
        """Say what an account may do; one whose pseudonyms are disputed is frozen."""
        state = self._standing.ownership.holder(account).state
        is_disputed = state is AccountState.OPEN and account in self._standing.disputed_accounts()
        return AccountState.FROZEN if is_disputed else state

    def is_proved(self, account: bytes) -> bool:
        """Say whether an account's person has shown control of it; before that it spends nothing."""
        return self._standing.ownership.holder(account).is_proved

    @property
    def moves(self) -> tuple[Move, ...]:
        """List what changed whose grams are whose, in log order."""
        return tuple(move for _, move in self._standing.ownership.moves)

    def moves_on(self, epoch: Epoch, log_size: int | None = None) -> list[Move]:
        """List what changes an epoch's books, in log order; of the log's first entries or all."""
        size = self._standing.tree.size if log_size is None else log_size
        logged = self._standing.ownership.moves
        return [move for index, move in logged if index < size and move.effective <= epoch]

    def moves_about(self, names: Collection[bytes], epoch: Epoch) -> list[Move]:
        """List what of an epoch's changes names accounts or pseudonyms, in log order."""
        return [move for _, move in self._standing.ownership.about(names) if move.effective <= epoch]

    @property
    def choices(self) -> Choices:
        """Give what was chosen, not to be changed."""
        return self._standing.choices

    def choice_effective(self, at: int) -> Epoch:
        """Give the first epoch that a choice logged at this time can act from."""
        return choice_rules.first_effective(self._standing, at)

    def selects(self, epoch: Epoch) -> bool:
        """Say whether releases of an epoch may have to leave something out."""
        return selects(self._standing, epoch)

    def select(self, enterprise_id: str, epoch: Epoch) -> Selection:
        """Give what an enterprise leaves out of an epoch as the log stands; needs all openings."""
        return selections.select(self._standing, enterprise_id, epoch)

    def selected_epochs(self, enterprise_id: str) -> list[Epoch]:
        """List the epochs with a selection for an enterprise, ascending."""
        return sorted(epoch for named, epoch in self._standing.selections if named == enterprise_id)

    def selection(self, enterprise_id: str, epoch: Epoch) -> Selected | None:
        """Give the selection logged for an enterprise's epoch; None where nothing is."""
        return self._standing.selections.get((enterprise_id, epoch))
