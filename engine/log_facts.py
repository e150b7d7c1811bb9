"""What decisions on the ledgers ask of the log: programmes, what an account may do, the open epoch."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from accounting.ledger.books import AccountStatus
from accounting.programmes.parse import parse_canonical
from accounting.programmes.programme import Programme
from accounting.programmes.versions import Span, in_force, spans_of
from privacy.acceptance import LogState
from privacy.opened_tickets import Ticket
from privacy.ownership import AccountState, Merge
from privacy.policy import Policy
from privacy.spending import RESERVE_Z
from privacy.standing import LoggedProgramme
from protos.epochs import Epoch, next_epoch
from protos.problems import Refused
from protos.v1 import ledger_pb2
from protos.v1.problem_pb2 import REASON_POLICY_NOT_IN_FORCE


class LogFacts:
    """A reading of a log's state; `body_of` gives the body of a record, `parsed` keeps what was read."""

    def __init__(
        self,
        state: LogState,
        body_of: Callable[[LoggedProgramme], bytes],
        parsed: dict[bytes, Programme] | None = None,
    ) -> None:
        self._state = state
        self._body_of = body_of
        self._parsed = {} if parsed is None else parsed

    @property
    def epoch(self) -> Epoch:
        """Give the open epoch: after the last close, else the first policy's first."""
        closed = self._state.last_closed
        if closed is not None:
            return next_epoch(closed)
        first = min((policy.first_epoch for policy in self._state.policies), default=None)
        if first is None:
            raise Refused(REASON_POLICY_NOT_IN_FORCE, "There is no policy yet, so no epoch is open.")
        return first

    def programmes(self) -> list[str]:
        """List the ids of all programmes ever logged."""
        return sorted(self._state.programmes)

    def closed_epochs(self) -> list[Epoch]:
        """List the epochs closed, in order."""
        return sorted(self._state.closes)

    @property
    def reserve_z(self) -> Fraction:
        """Give how many standard deviations a wallet keeps, by the policy in force for the open epoch."""
        try:
            return self._state.policy_for(self.epoch).reserve_z
        except Refused:
            return RESERVE_Z

    def policy_for(self, epoch: Epoch) -> Policy:
        """Give the policy in force for an epoch."""
        return self._state.policy_for(epoch)

    def programme(self, programme: str, version: int) -> Programme | None:
        """Find a programme's version."""
        standing = self._state.programmes.get(programme)
        versions = standing.versions if standing else []
        found = next((one for one in versions if one.version == version), None)
        return None if found is None else self._read(found)

    def last_version(self, programme: str) -> Programme | None:
        """Give the version logged last, whether in force or not."""
        standing = self._state.programmes.get(programme)
        versions = standing.versions if standing else []
        return self._read(max(versions, key=lambda one: one.version)) if versions else None

    def spans(self, programme: str) -> tuple[Span, ...]:
        """Lay out which version of a programme pays for which epochs."""
        standing = self._state.programmes.get(programme)
        if standing is None:
            return ()
        return spans_of(map(self._read, standing.versions), standing.withdrawn_from)

    def in_force(self, programme: str, epoch: Epoch | None = None) -> Programme | None:
        """Give the version that holds for an epoch, the open one by default."""
        return in_force(self.spans(programme), epoch or self.epoch)

    def begun(self, epoch: Epoch) -> dict[str, tuple[Span, ...]]:
        """Give the programmes that have begun by an epoch, ended and withdrawn ones too."""
        found = {}
        for programme in sorted(self._state.programmes):
            spans = tuple(one for one in self.spans(programme) if one.first <= epoch)
            if spans:
                found[programme] = spans
        return found

    def status(self, account: bytes) -> AccountStatus:
        """Say whether an account may be debited."""
        participants = self._state.participants
        state = participants.state(account)
        return AccountStatus(
            frozen=state is AccountState.FROZEN,
            closed=state in (AccountState.CLOSED, AccountState.MERGED),
            proved=participants.is_proved(account),
        )

    def check_asked(self, operation: ledger_pb2.Operation) -> Ticket:
        """Give the ticket of the person whose account pays for an operation; refuse one without it."""
        return self._state.participants.check_asked(operation)

    def pools(self, account: bytes) -> frozenset[str]:
        """Name the programmes that an account, or one merged into it, has ever let pool its grams."""
        choices, epoch = self._state.participants.choices, self.epoch
        found = (choices.ever_consented(one, epoch) for one in self.parts(account))
        return frozenset().union(*found)

    def holder(self, account: bytes) -> bytes:
        """Give the account that has what an account had, as the last close left it."""
        closed = self._state.last_closed
        return account if closed is None else self.merged(closed).get(account, account)

    def parts(self, account: bytes) -> tuple[bytes, ...]:
        """List an account and those that closes have merged into it."""
        closed = self._state.last_closed
        merged = {} if closed is None else self.merged(closed)
        return (account, *sorted(one for one, target in merged.items() if target == account))

    def merged(self, epoch: Epoch) -> dict[bytes, bytes]:
        """Give the accounts that are part of another by an epoch's close, each with its last target."""
        moves = self._state.participants.moves
        into = {one.ends: one.stays for one in moves if isinstance(one, Merge) and one.effective <= epoch}
        return {account: _last(into, target) for account, target in into.items()}

    def _read(self, logged: LoggedProgramme) -> Programme:
        if logged.sha256 not in self._parsed:
            self._parsed[logged.sha256] = parse_canonical(self._body_of(logged))
        return self._parsed[logged.sha256]


def _last(into: dict[bytes, bytes], account: bytes) -> bytes:
    while account in into:
        account = into[account]
    return account
