"""An empirical audit at an enterprise: canaries through its installed node program, bound beside claim.

A temporary home is filled with invented riders, half of them, by coin, with trips far beyond the day's clamp.
`cgsp-node rehearse` reads, clamps and draws as it would for a release; the audit sees its output alone.
"""

from __future__ import annotations

import csv
import importlib.resources
import secrets
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.findings import Verdict
from privacy import codec, one_run
from privacy.one_run import Outcome, View
from protos.problems import Malformed, Unavailable
from protos.v1 import policy_pb2
from protos.v1.problem_pb2 import REASON_NOT_FOUND, REASON_WRONG_SHAPE
from runtime.pack_files import load_pack

ENTERPRISE = "selftest"
EPOCH = "2020-12"
SERIES = "statement/rides"
DAY_CLAMP_GRAMS = 500
CLAIMED_EPSILON = policy_pb2.Ratio(numerator=1, denominator=2)
CANARIES_MIN, CANARIES_MAX = 1_000, 100_000
FALSE_ALARM = 1e-4
NODE_SECONDS_MAX = 600
PACK = "trv.shared_bike"

_NODE_TOML = """
enterprise_id = "selftest"
name = "Selftest"
name_zh = "自检"
region = "east"
packs = ["{packs}"]
data = "synthetic"

[persons]
path = "riders.csv"
columns = {{ mobile = {{ type = "text", private = true }} }}
person = "mobile"

[[source]]
id = "trips"
path = "trips.csv"
record = ["trip"]
person = "mobile"
activity = "trip.bicycle"

[source.columns]
trip = "text"
mobile = {{ type = "text", private = true }}
start = "text"
metres = "integer"

[source.time]
column = "start"

[source.inputs]
distance = {{ column = "metres", unit = "m" }}
"""


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What an audit at an enterprise found; `detectable` is what it would have found with 99 %."""

    program: str
    claim: float
    outcome: Outcome
    detectable: float

    @property
    def verdict(self) -> Verdict:
        """Say whether the bound is under the claim."""
        return Verdict.PASS if self.outcome.epsilon_lower <= self.claim else Verdict.FINDINGS

    def to_json(self) -> dict[str, Any]:
        """Give the result as JSON."""
        return {
            "verdict": self.verdict.value,
            "program": self.program,
            "canaries": self.outcome.canaries,
            "guesses": self.outcome.guesses,
            "correct": self.outcome.correct,
            "epsilon_claimed": self.claim,
            "epsilon_lower_bound": round(self.outcome.epsilon_lower, 4),
            "false_alarm": FALSE_ALARM,
            "epsilon_detectable": round(self.detectable, 3),
        }

    def lines(self) -> Iterator[str]:
        """Give the result as text."""
        outcome, held = self.outcome, self.verdict is Verdict.PASS
        shown = f"epsilon ≥ {outcome.epsilon_lower:.3f} shown 实测下界"
        yield f"{self.verdict.value}  {shown}, {self.claim:g} claimed 声明值"
        yield (
            f"{outcome.correct} of {outcome.guesses} guesses right over {outcome.canaries} canaries; "
            f"an honest node is accused with a probability of at most {FALSE_ALARM:g}"
        )
        yield f"a true epsilon of {self.detectable:.2f} would have been found with 99 % 检出能力"
        yield (
            "pseudonyms, signatures and sending are not part of this test 本测试不含假名、签名与发送"
            if held
            else "the node says more about a person-day than it claims 节点泄露超过声明"
        )


def selftest(program: str, canaries: int) -> SelfTest:
    """Run the audit with an installed cgsp-node; raises Unavailable if it cannot be run."""
    if not CANARIES_MIN <= canaries <= CANARIES_MAX:
        raise Malformed(
            REASON_WRONG_SHAPE,
            f"Canaries: {CANARIES_MIN} to {CANARIES_MAX}, not {canaries}; 5,000 take a minute.",
        )
    coins = np.frombuffer(secrets.token_bytes(canaries), dtype=np.uint8) % 2 == 1
    with tempfile.TemporaryDirectory(prefix="cgsp-selftest-") as folder:
        home = Path(folder)
        write_home(home, coins)
        _run(
            program,
            [
                "rehearse",
                EPOCH,
                "--policy",
                f"{home}/policy",
                "--out",
                f"{home}/released.csv",
                "--home",
                folder,
            ],
        )
        released = read_released(home / "released.csv", canaries)
    claim = CLAIMED_EPSILON.numerator / CLAIMED_EPSILON.denominator
    view = View(released, DAY_CLAMP_GRAMS, round(DAY_CLAMP_GRAMS / claim))
    outcome = one_run.audit([view], coins, false_alarm=FALSE_ALARM)
    return SelfTest(
        program, claim, outcome, one_run.detectable(outcome.guesses, claim, false_alarm=FALSE_ALARM)
    )


def write_home(home: Path, coins: NDArray[np.bool_]) -> None:
    """Write node.toml, riders, the trips of those put in, and the policy."""
    packs = Path(str(importlib.resources.files("packs"))) / PACK / "1"
    home.chmod(0o700)
    (home / "node.toml").write_text(_NODE_TOML.format(packs=packs), encoding="utf-8")
    riders = [mobile(one) for one in range(coins.size)]
    (home / "riders.csv").write_text("\n".join(["mobile", *riders, ""]), encoding="utf-8")
    trips = [
        f"{one}-{ride},{mobile(one)},{EPOCH}-05 0{ride}:00:00,30000"
        for one in np.flatnonzero(coins).tolist()
        for ride in (7, 8, 9)
    ]
    (home / "trips.csv").write_text("\n".join(["trip,mobile,start,metres", *trips, ""]), encoding="utf-8")
    (home / "policy").write_bytes(codec.encode(policy(packs)))


def policy(pack_folder: Path) -> policy_pb2.Policy:
    """Give the policy of the test: one statement of rides, a day clamped to 500 g, epsilon 1/2."""
    pack = load_pack(pack_folder)
    measure = policy_pb2.Measure(
        id="rides", pack_ids=[pack.id], day_clamp_grams=DAY_CLAMP_GRAMS, reach_grams=DAY_CLAMP_GRAMS
    )
    return policy_pb2.Policy(
        id="selftest",
        version=1,
        origin="selftest.invalid/log",
        first_epoch=202012,
        statement_epsilon=CLAIMED_EPSILON,
        sum_epsilon=policy_pb2.Ratio(numerator=2, denominator=5),
        count_epsilon=policy_pb2.Ratio(numerator=1, denominator=10),
        person_day_allowance=CLAIMED_EPSILON,
        person_month_allowance=policy_pb2.Ratio(numerator=1, denominator=1),
        regions=["east"],
        domains=[pack.domain],
        packs=[
            policy_pb2.PackReference(
                id=pack.id,
                version=pack.version,
                sha256=pack.sha256,
                domain=pack.domain,
                overlap_class=pack.overlap_class,
            )
        ],
        enterprises=[
            policy_pb2.EnterprisePolicy(
                enterprise_id=ENTERPRISE,
                measures=[measure],
                month_clamp_grams=5_000,
                sum_reach_grams=5_000,
                count_reach=4,
            )
        ],
        roster_batch_min=1,
        issued_at=1,
    )


def read_released(path: Path, canaries: int) -> NDArray[np.int64]:
    """Read what the node released, canaries in their order; raises Malformed unless each has one row."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = {
            row["identifier"]: int(row["grams"]) for row in csv.DictReader(file) if row["series"] == SERIES
        }
    wanted = [f"cn_mobile\x1f{mobile(one)}" for one in range(canaries)]
    if set(wanted) != set(rows):
        raise Malformed(REASON_WRONG_SHAPE, f"The node released {len(rows)} rows for {canaries} canaries.")
    return np.array([rows[one] for one in wanted], dtype=np.int64)


def mobile(canary: int) -> str:
    """Give an invented identifier."""
    return f"199{canary:08d}"


def _run(program: str, arguments: Sequence[str]) -> None:
    """Run the node's program; its own message is the error."""
    try:
        done = subprocess.run(  # noqa: S603 (the program is the one the auditor names)
            [*program.split(), *arguments],
            capture_output=True,
            text=True,
            timeout=NODE_SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(
            REASON_NOT_FOUND,
            f"{program} could not be run: {error}",
            remedy="Name the node's program with --node.",
        ) from None
    if done.returncode != 0:
        raise Unavailable(
            REASON_NOT_FOUND,
            f"{program} {arguments[0]} ended with {done.returncode}: {done.stderr.strip()[-500:]}",
        )
