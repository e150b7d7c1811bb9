"""Figures for Prometheus and health over HTTP."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from protos.problems import InvariantBroken, Unavailable
from runtime.metrics import HealthServer, Metrics


def fetched(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_health_and_figures_are_served() -> None:
    metrics = Metrics("cgsp-node")
    metrics.counter("releases", "Releases.", ("outcome",)).labels(outcome="accepted").inc()
    metrics.gauge("enrolled", "Persons enrolled.").set(3)
    metrics.histogram("draw_seconds", "Draws.", ("stage",)).labels(stage="draw").observe(0.2)
    waits = ["the hub"]
    with HealthServer("127.0.0.1:0", metrics, lambda: waits[0]) as server:
        assert fetched(server.address, "/livez") == (200, "ok\n")
        assert fetched(server.address, "/readyz") == (503, "waiting for the hub\n")
        waits[0] = ""
        assert fetched(server.address, "/readyz") == (200, "ok\n")
        status, text = fetched(server.address, "/metrics")
        assert status == 200
        assert 'cgsp_node_releases_total{outcome="accepted"} 1.0' in text
        assert "cgsp_node_enrolled 3.0" in text
        assert 'cgsp_node_draw_seconds_bucket{le="0.3",stage="draw"} 1.0' in text
        assert fetched(server.address, "/other")[0] == 404


@pytest.mark.parametrize("label", ["person", "enterprise_id", "pseudonym", "slot"])
def test_label_outside_the_list_is_a_broken_invariant(label: str) -> None:
    with pytest.raises(InvariantBroken, match="allow-list"):
        Metrics("hub").counter("calls", "Calls.", (label,))


def test_port_in_use_is_told() -> None:
    with (
        HealthServer("127.0.0.1:0", Metrics("a"), lambda: "") as server,
        pytest.raises(Unavailable, match="Cannot listen"),
    ):
        HealthServer(server.address, Metrics("b"), lambda: "")
