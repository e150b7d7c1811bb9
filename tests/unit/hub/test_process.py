"""The hub as a process: drains on SIGTERM, survives kill -9, and refuses a twin."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.operator_client import OperatorClient
from hub.setup import Opened
from protos.problems import Problem
from tests.simulator import key
from tests.unit.hub.world import World, make_home, stored

SERVE = "import sys; from hub.cli import main; sys.argv = ['cgsp-hub', *sys.argv[1:]]; main()"
START_SECONDS_MAX = 300


@contextmanager
def process(opened: Opened) -> Iterator[subprocess.Popen[str]]:
    """Run cgsp-hub serve and wait until it answers."""
    command = [sys.executable, "-c", SERVE, "serve", "--home", str(opened.home.folder)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_ready(opened, running)
        yield running
    finally:
        running.kill()
        running.communicate()


def wait_ready(opened: Opened, running: subprocess.Popen[str]) -> None:
    until = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < until and running.poll() is None:
        try:
            with OperatorClient(opened) as client:
                client.status()
        except Problem:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the hub did not start")


class Address:
    """Stands where a hub in this process would: only its address is asked for."""

    def __init__(self, opened: Opened) -> None:
        self.grpc_address = opened.settings.grpc_address


def test_a_killed_hub_comes_back_with_all_it_promised(tmp_path: Path) -> None:
    opened = make_home(tmp_path / "hub")
    world = World(opened=opened, hub=Address(opened))  # type: ignore[arg-type]
    with process(opened) as first:
        world.publish_trust()
        for pack in world.packs:
            world.publish_pack(pack)
        first.kill()
        first.wait()
        assert len(stored(opened.home)) == 3
    with process(opened):
        world.publish_policy()
        for receipt, entry in zip(world.receipts, world.entries, strict=True):
            assert world.send(entry.data, entry.bodies) == receipt


def test_a_hub_drains_and_ends_well_and_a_twin_is_refused(tmp_path: Path) -> None:
    opened = make_home(tmp_path / "hub")
    with process(opened) as running:
        command = [sys.executable, "-c", SERVE, "serve", "--home", str(opened.home.folder)]
        twin = subprocess.run(command, capture_output=True, text=True, check=False)
        assert twin.returncode == 40
        assert "Another process already writes this hub" in twin.stderr
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=300)
    assert running.returncode == 0, err
    assert f"grpc_address: {opened.settings.grpc_address}" in out
    assert "Traceback" not in err
    assert key("hub").seed.hex() not in err
