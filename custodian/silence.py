"""Silent custodians say so: after each month under a policy with a deadline an empty count report is due."""

from __future__ import annotations

from privacy import envelope
from privacy.deadlines import ended_at, last_ended
from privacy.envelope import Kind
from protos.problems import Malformed, Unverified
from protos.v1.policy_pb2 import Policy
from runtime.log_follower import Entry


class Silence:
    """Knows from the log which months have a deadline."""

    def __init__(self) -> None:
        self._policies: list[Policy] = []

    def take(self, entry: Entry) -> None:
        """Take note of policies; what the hub logs falsely costs an empty report, nothing else."""
        try:
            opened = envelope.open_envelope(entry.data)
            if opened.kind is Kind.POLICY:
                self._policies.append(opened.parse(Policy))
        except (Malformed, Unverified):
            return

    def is_due(self, last_issued_at: int, now: int) -> bool:
        """Say whether the last report was made before the newest month that has ended and has a deadline."""
        ended = last_ended(now)
        fitting = [policy for policy in self._policies if policy.first_epoch <= ended]
        return bool(fitting) and fitting[-1].deadline_days > 0 and last_issued_at < ended_at(ended)
