"""A whole custodian over mutual TLS: answers orders, refuses the rest, counts, survives SIGKILL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from custodian.app import Custodian
from custodian.rpc import SERVICE
from custodian.store import Store
from privacy import pseudonyms, ristretto
from privacy.pseudonyms import BlindedBatch
from protos.problems import Conflict, Malformed, Problem, Refused, Unavailable, Unverified
from protos.v1 import custodian_pb2, custodian_pb2_grpc
from protos.v1.problem_pb2 import (
    REASON_KEY_UNKNOWN,
    REASON_MALFORMED_MESSAGE,
    REASON_NOT_REGISTERED,
    REASON_QUORUM_UNAVAILABLE,
    REASON_QUOTA_EXCEEDED,
    REASON_ROLE_NOT_ALLOWED,
)
from runtime.channels import open_channel
from runtime.identity import Role
from runtime.retries import unary
from tests.unit.custodian.simulators import ENTERPRISE, Federation, blind, enterprise


@contextmanager
def serving(federation: Federation, name: str = "regulator", hub: str = "127.0.0.1:1") -> Iterator[Custodian]:
    with Custodian(federation.home(name, hub_grpc=hub), reader=federation.hub.reader) as running:
        yield running


def wait(is_so: Callable[[], bool], seconds: float = 120) -> bool:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_two_custodians_give_pseudonyms_and_the_log_counts_them(federation: Federation) -> None:
    batches = [blind("ann", "bob", "cai"), blind("ann", "bob", "cai")]
    quorum = {1: "regulator", 3: "operator"}
    with ExitStack() as stack:
        hub = stack.enter_context(federation.serving_hub())
        addresses = {
            name: stack.enter_context(serving(federation, name, hub)).address for name in quorum.values()
        }
        found = []
        for batch in batches:
            answers = [
                federation.evaluate(addresses[name], name, batch, list(quorum)) for name in quorum.values()
            ]
            found.append(pseudonyms.combine_batch(batch, answers, federation.ceremony.key, list(quorum)))
        assert found[0] == found[1]
        assert wait(lambda: all(_counted(federation, name) == 6 for name in quorum.values()))
    for name in quorum.values():
        reports = federation.hub.reports(name)
        counted = [item.batch_hash for report in reports for item in report.batches]
        assert counted == [batch.batch_hash for batch in batches]
        assert reports[-1].evaluations_total == 6


def _counted(federation: Federation, name: str) -> int:
    return sum(batch.elements for report in federation.hub.reports(name) for batch in report.batches)


def test_same_batch_again_is_free_and_counted_once(federation: Federation) -> None:
    batch = blind("ann")
    with federation.serving_hub() as hub, serving(federation, hub=hub) as running:
        first = federation.evaluate(running.address, "regulator", batch, (1, 2))
        other_quorum = federation.evaluate(running.address, "regulator", batch, (1, 3))
        assert first.evaluated != other_quorum.evaluated
        assert wait(lambda: _counted(federation, "regulator") == 1)
    store = Store(federation.home("regulator").home.database)
    assert store.totals() == (1, 0)
    store.close()


def test_quota_is_the_enterprises_share_and_ends(federation: Federation) -> None:
    federation.publish_root(enterprise(quota=4))
    with serving(federation) as running:
        federation.evaluate(running.address, "regulator", blind("a", "b"), (1, 2))
        with pytest.raises(Refused) as caught:
            federation.evaluate(running.address, "regulator", blind("c", "d"), (1, 2))
        assert caught.value.reason == REASON_QUOTA_EXCEEDED
        assert "1 left of 3" in caught.value.message
        federation.evaluate(running.address, "regulator", blind("c"), (1, 2))


def test_new_enterprise_is_found_in_the_log(federation: Federation) -> None:
    with serving(federation) as running:
        federation.publish_root(enterprise(), enterprise("metro"))

        def is_served() -> bool:
            try:
                federation.evaluate(running.address, "regulator", blind("a"), (1, 2), caller="metro")
            except Refused as refusal:
                assert refusal.reason == REASON_NOT_REGISTERED
                return False
            return True

        assert wait(is_served)


@pytest.mark.parametrize("bad", [ristretto.IDENTITY, b"\x01" + bytes(31), b"\xff" * 32])
def test_bad_elements_are_refused_over_the_wire(federation: Federation, bad: bytes) -> None:
    batch = BlindedBatch(blind("a").blinded + bad, (b"a", b"b"), b"")
    with serving(federation) as running, pytest.raises(Malformed) as caught:
        federation.evaluate(running.address, "regulator", batch, (1, 2))
    assert caught.value.reason == REASON_MALFORMED_MESSAGE


def test_strangers_and_other_roles_are_refused(federation: Federation) -> None:
    batch = blind("a")
    with serving(federation) as running:
        with pytest.raises(Refused) as refused:
            federation.evaluate(running.address, "regulator", batch, (1, 2), caller="stranger")
        assert refused.value.reason == REASON_NOT_REGISTERED
        stolen = federation.order("regulator", batch.blinded)
        federation.publish_root(enterprise(), enterprise("metro"))

        def reason() -> int:
            with pytest.raises((Refused, Unverified)) as caught:
                federation.evaluate(running.address, "regulator", batch, (1, 2), caller="metro", order=stolen)
            return caught.value.reason

        assert wait(lambda: reason() == REASON_KEY_UNKNOWN)
        identity = federation.identity(Role.AUDITOR, "public-auditor")
        with open_channel(running.address, identity) as channel:
            stub = custodian_pb2_grpc.EvaluationServiceStub(channel)
            with pytest.raises(Refused) as role:
                unary(lambda: stub.Evaluate(custodian_pb2.EvaluateRequest()))
            assert role.value.reason == REASON_ROLE_NOT_ALLOWED
            status = stub.GetStatus(custodian_pb2.EvaluationServiceGetStatusRequest())
    assert (status.custodian_id, status.evaluations_total) == ("regulator", 0)
    assert status.key_id == federation.ceremony.key.key_id


def test_caller_without_certificate_does_not_get_through(federation: Federation) -> None:
    with serving(federation) as running:
        credentials = grpc.ssl_channel_credentials(federation.authority.ca_pem)
        with grpc.secure_channel(running.address, credentials) as channel:
            stub = custodian_pb2_grpc.EvaluationServiceStub(channel)
            with pytest.raises(Problem):
                unary(
                    lambda: stub.GetStatus(
                        custodian_pb2.EvaluationServiceGetStatusRequest(), timeout=5, wait_for_ready=False
                    )
                )


def test_server_says_its_health_and_what_it_waits_for(federation: Federation) -> None:
    with serving(federation) as running:
        assert running.waiting_for() == ""
        with open_channel(running.address, federation.identity(Role.NODE, ENTERPRISE)) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            answer = stub.Check(health_pb2.HealthCheckRequest(service=SERVICE))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_trust_root_without_the_key_is_waited_for(federation: Federation) -> None:
    federation.publish_root(enterprise(), with_key=False)
    with serving(federation) as running:
        assert wait(lambda: running.waiting_for() != "")
        with pytest.raises(Unavailable) as caught:
            federation.evaluate(running.address, "regulator", blind("a"), (1, 2))
        assert caught.value.reason == REASON_QUORUM_UNAVAILABLE
        federation.publish_root(enterprise())
        assert wait(lambda: running.waiting_for() == "")
        federation.evaluate(running.address, "regulator", blind("a"), (1, 2))


def test_hub_that_is_away_stops_no_evaluation(federation: Federation) -> None:
    batch = blind("a", "b")
    with serving(federation) as running:
        federation.evaluate(running.address, "regulator", batch, (1, 2))
        federation.evaluate(running.address, "regulator", blind("c"), (1, 2))
    with federation.serving_hub() as hub, serving(federation, hub=hub):
        assert wait(lambda: _counted(federation, "regulator") == 3)


def test_second_process_on_one_home_is_refused(federation: Federation) -> None:
    with serving(federation), pytest.raises(Conflict), serving(federation):
        pass


SERVE = """
import sys, time
from pathlib import Path
from custodian.app import Custodian
from custodian.setup import Opened
from runtime.log_reader import FolderLog
with Custodian(Opened.load(Path(sys.argv[1])), reader=FolderLog(Path(sys.argv[2]))) as running:
    print(running.address, flush=True)
    time.sleep(600)
"""


@contextmanager
def process(home: Path, log: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(home), str(log)], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        try:
            yield running.stdout.readline().strip(), running
        finally:
            os.kill(running.pid, signal.SIGKILL)


def test_killed_custodian_loses_no_charge_and_counts_none_twice(federation: Federation) -> None:
    answered: list[BlindedBatch] = []
    with federation.serving_hub() as hub:
        home = federation.home("regulator", hub_grpc=hub).home
        for round_number in range(3):
            with process(home.folder, federation.hub.folder) as (address, running):
                for number in range(4):
                    batch = blind(f"{round_number}-{number}", "x")
                    federation.evaluate(address, "regulator", batch, (1, 2))
                    answered.append(batch)
                federation.hub.loses_answers = round_number
                os.kill(running.pid, signal.SIGKILL)
        federation.hub.loses_answers = 0
        with process(home.folder, federation.hub.folder) as (address, _):
            federation.evaluate(address, "regulator", answered[0], (1, 2))
            assert wait(lambda: _counted(federation, "regulator") == 24)
    counted = [item.batch_hash for report in federation.hub.reports("regulator") for item in report.batches]
    assert sorted(counted) == sorted(batch.batch_hash for batch in answered)
    store = Store(home.database)
    assert store.used(ENTERPRISE) == 24
    store.close()


def test_unreachable_hub_is_a_problem_of_its_kind(federation: Federation) -> None:
    with pytest.raises(Unavailable):
        federation.evaluate("127.0.0.1:1", "regulator", blind("a"), (1, 2))
