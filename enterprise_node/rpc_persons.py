"""PersonService: what the enterprise's own app asks for a person it has logged in."""

# ruff: noqa: N802 (methods are named as the protocol names them)

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from enterprise_node.agreements import subject
from enterprise_node.correct import correct
from enterprise_node.erase import erase
from enterprise_node.person import show_person
from enterprise_node.person_export import export_person
from enterprise_node.rpc import require_own
from protos.epochs import checked_epoch
from protos.problems import Unavailable
from protos.v1 import node_pb2, node_pb2_grpc
from protos.v1.problem_pb2 import REASON_BUSY, REASON_NOT_FOUND

if TYPE_CHECKING:
    import grpc

    from enterprise_node.membership import Membership
    from enterprise_node.tickets import Tickets
    from enterprise_node.workspace import Workspace

PERSON_SERVICE = node_pb2.DESCRIPTOR.services_by_name["PersonService"].full_name
WAIT_SECONDS_MAX = 30.0


class PersonServicer(node_pb2_grpc.PersonServiceServicer):
    """Answers one call after the other, each in a workspace of its own."""

    def __init__(
        self, membership: Membership, open_workspace: Callable[[], Workspace], tickets: Tickets
    ) -> None:
        self._membership = membership
        self._open_workspace = open_workspace
        self._tickets = tickets
        self._turn = threading.Lock()

    def ShowPerson(
        self, request: node_pb2.ShowPersonRequest, context: grpc.ServicerContext
    ) -> node_pb2.ShowPersonResponse:
        """Give the person's exact figures and last records."""
        with self._person(context, request.identifier) as (workspace, number):
            view = show_person(workspace, number, tuple(map(checked_epoch, request.epochs)))
        return node_pb2.ShowPersonResponse(
            since=view.since or "",
            until=view.until or "",
            months=[
                node_pb2.PersonMonth(
                    epoch=month.epoch,
                    records=month.records,
                    credited_mg=month.credited_mg,
                    footprint_mg=month.footprint_mg,
                    points=month.points,
                    recorded_elsewhere=month.recorded_elsewhere,
                )
                for month in view.months
            ],
            records=[json.dumps(one, ensure_ascii=False, default=str) for one in view.records],
        )

    def ExportPerson(
        self, request: node_pb2.ExportPersonRequest, context: grpc.ServicerContext
    ) -> node_pb2.ExportPersonResponse:
        """Give everything kept of the person, signed."""
        with self._person(context, request.identifier) as (workspace, number):
            return node_pb2.ExportPersonResponse(export=export_person(workspace, self._membership, number))

    def CorrectPerson(
        self, request: node_pb2.CorrectPersonRequest, context: grpc.ServicerContext
    ) -> node_pb2.CorrectPersonResponse:
        """Correct a record of the person's."""
        with self._person(context, request.identifier) as (workspace, number):
            done = correct(
                workspace, number, request.record, request.inputs, request.reason, now=int(time.time())
            )
        return node_pb2.CorrectPersonResponse(activity=done.activity, date=done.date, late=done.is_late)

    def ErasePerson(
        self, request: node_pb2.ErasePersonRequest, context: grpc.ServicerContext
    ) -> node_pb2.ErasePersonResponse:
        """Erase the person here."""
        with self._person(context, request.identifier) as (workspace, number):
            return node_pb2.ErasePersonResponse(activities=erase(workspace, number).activities)

    def IssueTicket(
        self, request: node_pb2.IssueTicketRequest, context: grpc.ServicerContext
    ) -> node_pb2.IssueTicketResponse:
        """Sign that the person is logged in."""
        with self._person(context, request.identifier) as (_, number):
            issued = self._tickets.issue(number, request.purpose, subject(request))
        return node_pb2.IssueTicketResponse(ticket=issued.ticket, expires_at=issued.expires_at)

    @contextmanager
    def _person(self, context: grpc.ServicerContext, identifier: str) -> Iterator[tuple[Workspace, int]]:
        """Open a workspace in its turn and find the person."""
        require_own(context, self._membership.enterprise_id)
        if not self._turn.acquire(timeout=WAIT_SECONDS_MAX):
            raise Unavailable(REASON_BUSY, "Others are asking already.", remedy="Try again in a moment.")
        try:
            workspace = self._open_workspace()
            try:
                number = workspace.persons.find(identifier)
                if number is None:
                    raise Unavailable(
                        REASON_NOT_FOUND, "No such person is known here.", remedy="Check the identifier."
                    )
                yield workspace, number
            finally:
                workspace.close()
        finally:
            self._turn.release()
