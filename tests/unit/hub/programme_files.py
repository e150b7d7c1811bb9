"""Programmes as files, for commands that read them."""

from __future__ import annotations

from pathlib import Path

PROGRAMME = """\
id = "city"
version = 1
first_epoch = 202012
names = { en = "City", zh = "城市" }
cited = { source = "made for tests", illustrative = true }
unit = { code = "COIN", names = { en = "coin", zh = "币" } }

[earn.travel]
names = { en = "Travel", zh = "出行" }
ratio = [1, 2]
match = { domains = ["travel"] }

[caps]
epoch_points = 200

[funds.city]
names = { en = "City", zh = "城市" }
sources = ["government"]
epoch_fen_max = 1000

[rewards.bus]
names = { en = "Bus", zh = "公交" }
kind = "policy"
cost_points = 20
funds = ["city"]
unit_cost_fen = 500
partner = "transit"
"""


def write(folder: Path, before: str = "", after: str = "") -> Path:
    """Write the programme with a change."""
    assert before in PROGRAMME
    path = folder / "programme.toml"
    path.write_text(PROGRAMME.replace(before, after, 1) if before else PROGRAMME, encoding="utf-8")
    return path
