"""An auditor samples one enterprise's raw records on its premises, as the custodians' beacon decides."""

from __future__ import annotations

from typing import Any

from examples.federation.founding import Founding
from examples.federation.layout import ENTERPRISES, EPOCHS, Layout
from examples.federation.processes import Supervisor, program

# Small, so that the demo stays short: 59 draws. Auditors ask for 1% (299 draws).
DETECT, CONFIDENCE = "5%", "95%"
# Exit codes of cgsp-audit check-sample that are an answer: all holds, findings, something not checked.
_VERDICTS = (0, 1, 3)


def draw_beacons(founding: Founding) -> None:
    """Have two of three custodians draw each closed epoch's beacon."""
    for epoch in EPOCHS:
        founding.hub_at_home("beacon", epoch)


def sample_enterprise(layout: Layout, supervisor: Supervisor, founding: Founding) -> dict[str, Any]:
    """Make the challenge, let the bike share open it, check what it opened; give the outcome."""
    party = next(one for one in ENTERPRISES if one.id == "bikeshare")
    premises = layout.node(party) / "premises"
    premises.mkdir(mode=0o700)
    challenge, log = str(layout.handed_over / "challenge.json"), str(layout.bundle)
    trust_root = ("--trust-root", str(layout.trust_root))
    asked = ("--enterprise", party.id, "--epoch", EPOCHS[0], "--detect", DETECT, "--confidence", CONFIDENCE)
    audit = program("cgsp-audit")
    supervisor.call("auditor", [audit, "sample", log, *trust_root, *asked, "--out", challenge, "--json"])
    # The node reads the log up to the beacon; what follows needs no network.
    founding.node(party, "submit")
    exact = str(premises / "exact.json")
    founding.node(party, "exact", EPOCHS[0], "--out", exact)
    founding.node(party, "open", challenge, "--out", str(premises / "opened"))
    check = [audit, "check-sample", str(premises / "opened"), log, *trust_root, "--exact", exact, "--json"]
    return supervisor.call("auditor", check, accept=_VERDICTS)
