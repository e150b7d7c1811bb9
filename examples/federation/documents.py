"""What people take away: certificates, a planting, a partner's statement; a stranger checks each offline."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from examples.federation.founding import Founding, hub_addresses
from examples.federation.incentives import FOREST, TEA_HOUSE, TREE, Incentives
from examples.federation.layout import Layout
from examples.federation.processes import StepFailed, Supervisor, program
from runtime.https import HttpsClient, client_context
from runtime.identity import AUTHORITY_FILE

PLANTINGS_BYTES_MAX = 1 << 20
# A planting can be proved once a witnessed checkpoint covers its segment.
WITNESS_SECONDS_MAX = 180.0
_POLL_SECONDS = 0.2
_STATEMENT = "statement-of-the-tea-house"


class Documents:
    """Hands documents out, and lets somebody check them who asks nobody."""

    def __init__(
        self, layout: Layout, founding: Founding, supervisor: Supervisor, incentives: Incentives
    ) -> None:
        self._layout = layout
        self._founding = founding
        self._supervisor = supervisor
        self._incentives = incentives

    def hand_out(self, redemptions: Sequence[dict[str, Any]]) -> list[Path]:
        """Write each document to a file; gives the files."""
        if not redemptions:
            return []
        handed = [
            self._write(name, found) for name, found in self._incentives.certificates(redemptions).items()
        ]
        if any(one["kind"] == "charity" for one in redemptions):
            handed.append(self._write("planted-tree", self._planting()))
            folder = self._layout.handed_over / _STATEMENT
            self._founding.hub_at_home("programme", "settlement", TEA_HOUSE, "--out", str(folder))
            handed.append(folder)
        return handed

    def check(self, handed: Sequence[Path]) -> list[dict[str, Any]]:
        """Check each against the trust root alone; gives what it says."""
        return [{"file": one.name, **self._checked(one)} for one in handed]

    def _checked(self, document: Path) -> dict[str, Any]:
        root = ("--trust-root", str(self._layout.trust_root), "--json")
        command = [program("cgsp-audit"), "check-document", str(document), *root]
        return self._supervisor.call("bank", command)

    def _planting(self) -> dict[str, Any]:
        """Wait until the planting is proved."""
        until = time.monotonic() + WITNESS_SECONDS_MAX
        context = client_context((self._layout.auditor / AUTHORITY_FILE).read_bytes())
        client = HttpsClient(hub_addresses(self._layout)[1], context)
        try:
            while time.monotonic() < until:
                path = f"/v1/programmes/{FOREST}/plantings/{TREE.reward}"
                if found := json.loads(client.get(path, PLANTINGS_BYTES_MAX)):
                    return dict(found[0])
                time.sleep(_POLL_SECONDS)
        finally:
            client.close()
        raise StepFailed("No witnessed checkpoint covers the planting yet.")

    def _write(self, name: str, found: dict[str, Any]) -> Path:
        path = self._layout.handed_over / f"{name}.json"
        path.write_text(json.dumps(found), encoding="utf-8")
        return path
