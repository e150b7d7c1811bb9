"""Runs the two epochs: nodes release, the hub closes, an auditor verifies from outside and from a bundle."""

from __future__ import annotations

import json
import time
from typing import Any

from examples.federation.founding import Founding, at_once, hub_addresses
from examples.federation.layout import ENTERPRISES, EPOCHS, Layout
from examples.federation.processes import Process, StepFailed, Supervisor, program
from examples.federation.progress import Progress
from runtime.https import HttpsClient, client_context
from runtime.identity import AUTHORITY_FILE

RUN_SECONDS_MAX = 600
POPULATION_BYTES_MAX = 1 << 20
_SAY_EVERY_SECONDS = 5.0
_POLL_SECONDS = 0.2
# How long after the one before it, in seconds, each process is killed with --kill.
_KILL_AFTER_SECONDS = 1.0

# Exit codes of cgsp-audit verify that are an answer: clean, findings, could not check.
_VERDICTS = (0, 1, 3)


class Operation:
    """The founded federation at work."""

    def __init__(
        self, layout: Layout, supervisor: Supervisor, founding: Founding, progress: Progress
    ) -> None:
        self._layout = layout
        self._supervisor = supervisor
        self._founding = founding
        self._progress = progress

    def check_nodes(self) -> None:
        """Let each node check its configuration against its files."""
        at_once(lambda party: self._founding.node(party, "check", shows_raw_data=True), ENTERPRISES)

    def prepare_release(self) -> None:
        """Let each node ingest, enrol and preview, command by command; its run then does the rest."""
        self._each_node("ingest")
        self._each_node("enrol", "--effective", EPOCHS[0])
        self._each_node("preview", EPOCHS[0])

    def _each_node(self, *arguments: str) -> None:
        at_once(lambda party: self._founding.node(party, *arguments), ENTERPRISES)

    def start_nodes(self) -> dict[str, Process]:
        """Start every node's run over both epochs."""
        return {
            party.id: self._supervisor.start(
                party.id,
                [
                    *(program("cgsp-node"), "run", "--home", str(self._layout.node(party))),
                    *("--epochs", ",".join(EPOCHS), "--once"),
                ],
            )
            for party in ENTERPRISES
        }

    def wait_for_nodes(self, nodes: dict[str, Process], others: list[Process]) -> None:
        """Wait until every node has committed both epochs; say every few seconds who is still at work."""
        began = said = time.monotonic()
        while waiting := [name for name, process in nodes.items() if process.exit_code != 0]:
            for name in waiting:
                if nodes[name].exit_code is not None:
                    nodes[name].wait(0)
            for process in others:
                process.check_running()
            now = time.monotonic()
            if now - began > RUN_SECONDS_MAX:
                raise StepFailed(f"Still running after {RUN_SECONDS_MAX} s: {', '.join(waiting)}.")
            if now - said > _SAY_EVERY_SECONDS:
                said = now
                self._progress.say(f"  … at work: {', '.join(waiting)}")
            time.sleep(_POLL_SECONDS)

    def kill_each_once(self, nodes: dict[str, Process], hub: Process, others: list[Process]) -> None:
        """Kill -9 every process while the nodes are at work, and start each again."""
        for process in [*nodes.values(), *others, hub]:
            if process.exit_code is None:
                time.sleep(_KILL_AFTER_SECONDS)
                process.kill()
                self._progress.say(f"  … killed {process.name} (SIGKILL), starting it again")
                process.start()
                if process is hub:
                    self._founding.wait_for_hub(hub)

    def close(self, epoch: str) -> dict[str, Any]:
        """Close an epoch at the hub."""
        return self._founding.hub_at_home("close", epoch, "--wait", "60")

    def verify_hub(self) -> dict[str, Any]:
        """Verify from the hub's address, with the auditor's identity."""
        address = f"https://{hub_addresses(self._layout)[1]}"
        return self._verify(address, "--identity", str(self._layout.auditor))

    def export(self) -> None:
        """Export the log with all bodies into a bundle."""
        self._founding.hub_at_home("export", "--out", str(self._layout.bundle))

    def verify_bundle(self) -> dict[str, Any]:
        """Verify the bundle; needs no network."""
        return self._verify(str(self._layout.bundle))

    def _verify(self, target: str, *arguments: str) -> dict[str, Any]:
        command = [program("cgsp-audit"), "verify", target, "--trust-root", str(self._layout.trust_root)]
        return self._supervisor.call("auditor", [*command, *arguments, "--json"], accept=_VERDICTS)

    def kill_auditor_once(self) -> None:
        """Kill an auditor in the midst of its work; it keeps nothing, so it simply starts anew."""
        address = f"https://{hub_addresses(self._layout)[1]}"
        command = [program("cgsp-audit"), "verify", address, "--trust-root", str(self._layout.trust_root)]
        process = self._supervisor.start("auditor", [*command, "--identity", str(self._layout.auditor)])
        time.sleep(1)
        process.kill()
        self._progress.say("  … killed the auditor (SIGKILL), starting it again")

    def node_figures(self) -> dict[str, dict[str, Any]]:
        """Ask each node for its status."""
        return {party.id: self._founding.node(party, "status") for party in ENTERPRISES}

    def hub_figures(self) -> dict[str, Any]:
        """Ask the hub for its status."""
        return self._founding.hub_at_home("status")

    def population(self) -> dict[str, Any]:
        """Read the population totals as anybody can, over HTTPS."""
        context = client_context((self._layout.auditor / AUTHORITY_FILE).read_bytes())
        client = HttpsClient(hub_addresses(self._layout)[1], context)
        try:
            return dict(json.loads(client.get("/v1/population", POPULATION_BYTES_MAX)))
        finally:
            client.close()

    def serve_until_interrupted(self, hub: Process) -> None:
        """Leave the hub serving until Ctrl-C."""
        while True:
            hub.check_running()
            time.sleep(1)
