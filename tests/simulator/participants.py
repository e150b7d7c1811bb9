"""What participants ask for in a simulated log: tickets, changes, choices; the selections that follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from privacy.acceptance import Admission
from privacy.account_changes import build_change
from privacy.choices import BuiltChoices, build_choices, subject
from privacy.envelope import Kind
from privacy.selections import build_selection
from privacy.standing import HUB_ID, Role, Selection
from privacy.tickets import sign_ticket
from protos.epochs import Epoch
from protos.v1 import programme_pb2
from tests.simulator.parties import EPOCH, ISSUED_AT, key, pseudonym
from tests.simulator.writing import Writer


class Participants(Writer):
    """Logs what persons ask for."""

    def ticket(
        self,
        signer: str,
        person: int,
        purpose: str,
        *,
        subject: bytes = b"",
        issued_at: int = ISSUED_AT,
        **changes: Any,
    ) -> bytes:
        """Sign a link ticket of a person that an enterprise has logged in."""
        values: dict[str, Any] = {
            "origin": self.origin,
            "enterprise_id": signer,
            "pseudonym": pseudonym(person),
            "purpose": purpose,
            "nonce": self.randomness.randbytes(16),
            "issued_at": issued_at,
            "subject": subject,
        }
        return sign_ticket(key(signer), **{**values, **changes})

    def change(
        self,
        kind: programme_pb2.AccountChangeKind.ValueType,
        holder: bytes,
        *tickets: bytes,
        effective: Epoch = EPOCH,
        header: dict[str, Any] | None = None,
        **rest: Any,
    ) -> Admission:
        """Log a change to an account."""
        built = build_change(
            self.header(Role.HUB, HUB_ID, **(header or {})),
            kind=kind,
            effective=effective,
            salt=self.randomness.randbytes(32),
            account=holder,
            tickets=tickets,
            **rest,
        )
        return self.append(self.signed(Kind.ACCOUNT_CHANGE, built.message, HUB_ID), built.bodies)

    def choice_batch(
        self, choices: Sequence[programme_pb2.Choice], tickets: Sequence[bytes], effective: Epoch
    ) -> BuiltChoices:
        """Build a batch of choices."""
        return build_choices(
            self.header(Role.HUB, HUB_ID),
            effective=effective,
            salts=self.randomness.randbytes(16 * len(choices)),
            choices=choices,
            tickets=tickets,
        )

    def choose(
        self, enterprise_id: str, person: int, overlap_class: str, recorder: str, *, effective: Epoch
    ) -> Admission:
        """Log whom a person, logged in at an enterprise, lets record a class."""
        choice = programme_pb2.Choice(account=self.state.participants.account(pseudonym(person)) or b"")
        choice.recording.overlap_class = overlap_class
        choice.recording.enterprise_id = recorder
        return self._chosen(choice, enterprise_id, person, effective)

    def consent(
        self, enterprise_id: str, person: int, programme: str, *, effective: Epoch, consents: bool = True
    ) -> Admission:
        """Log whether a programme may pool a person's grams."""
        choice = programme_pb2.Choice(account=self.state.participants.account(pseudonym(person)) or b"")
        choice.pool.programme = programme
        choice.pool.consents = consents
        return self._chosen(choice, enterprise_id, person, effective)

    def _chosen(
        self, choice: programme_pb2.Choice, enterprise_id: str, person: int, effective: Epoch
    ) -> Admission:
        ticket = self.ticket(enterprise_id, person, "choose", subject=subject(choice))
        built = self.choice_batch([choice], [ticket], effective)
        return self.append(self.signed(Kind.CHOICE_BATCH, built.message, HUB_ID), built.bodies)

    def select(
        self, enterprise_id: str, epoch: Epoch = EPOCH, selection: Selection | None = None
    ) -> Admission | None:
        """Log an enterprise's selection (another than the log gives, for lies); None where it is empty."""
        found = selection or self.state.participants.select(enterprise_id, epoch)
        if found.is_empty:
            return None
        built = build_selection(
            self.header(Role.HUB, HUB_ID),
            enterprise_id=enterprise_id,
            epoch=epoch,
            salt=self.randomness.randbytes(32),
            selection=found,
        )
        return self.append(self.signed(Kind.SELECTION, built.message, HUB_ID), built.bodies)
