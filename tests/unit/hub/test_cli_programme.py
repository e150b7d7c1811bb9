"""An operator checks, tries, publishes and withdraws a programme; two persons sign."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from hub.cli import hub
from privacy import envelope, keys
from privacy.envelope import Kind
from privacy.releases import parse_statement_chunk
from protos.v1 import problem_pb2 as reasons
from runtime.configuration import write_private
from tests.simulator import EPOCH, key
from tests.unit.hub.programme_files import write
from tests.unit.hub.test_cli import fails, run
from tests.unit.hub.world import World


@pytest.fixture(scope="module")
def released(shared: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path]:
    """A hub with a closed epoch, and the two signers' keys."""
    folder = tmp_path_factory.mktemp("signers")
    for name in ("operator", "regulator", "auditor"):
        write_private(folder / name, keys.encode_private(key(name)))
    for one in shared.enterprises:
        shared.release(one.id)
    with shared.operator() as client:
        client.close(EPOCH, allow_missing=False)
    shared.follow()
    return shared, folder


def test_check_tells_what_the_policy_lacks(released: tuple[World, Path], tmp_path: Path) -> None:
    home = released[0].opened.home.folder
    found = run("programme", "check", write(tmp_path), "--home", home)
    assert (found["id"], found["warnings"]) == ("city", [])
    twice = write(tmp_path, "[caps]", '[earn.all]\nnames = { en = "a", zh = "b" }\nratio = [1, 9]\n\n[caps]')
    assert "only all gives points" in run("programme", "check", twice, "--home", home)["warnings"][0]
    unknown = write(tmp_path, 'domains = ["travel"]', 'packs = ["boat"]')
    assert "no 'boat'" in fails("programme", "check", unknown, "--home", home).message
    assert "line 10" in fails("programme", "check", write(tmp_path, "[1, 2]", "[1, 0.5]")).message
    asked = write(tmp_path, 'partner = "transit"', 'partner = "transit"\neligible = "point > 5"')
    assert "line 28, key rewards.bus.eligible: The condition" in fails("programme", "check", asked).message


def test_a_new_programme_is_lawful_and_writes_over_nothing(tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    made = run("programme", "new", "my-city", "--first-epoch", "2026-01", "--out", file)
    assert (made["id"], made["first_epoch"], made["rewards"]) == ("my-city", 202601, 6)
    assert run("programme", "check", file)["sha256"] == made["sha256"]
    again = CliRunner().invoke(hub, ["programme", "new", "b", "--first-epoch", "2026-01", "--out", str(file)])
    assert again.exit_code == 2
    assert fails("programme", "new", "My City", "--first-epoch", "2026-01", "--out", tmp_path / "x").message
    assert not (tmp_path / "x").exists()


def test_simulate_shows_what_a_past_epoch_would_have_given(
    released: tuple[World, Path], tmp_path: Path
) -> None:
    world, _ = released
    found = run(
        "programme", "simulate", write(tmp_path), "--home", world.opened.home.folder, "--epoch", "2020-12"
    )
    points = [grams // 2 for grams in released_grams(world)]
    assert found["trial"]["points_minted"] == sum(max(min(one, 200), 0) for one in points)
    assert found["trial"]["points_owed"] == sum(max(-one, 0) for one in points)
    assert found["trial"]["accounts_capped"] == sum(one > 200 for one in points)
    assert {one["measure"] for one in found["waits"]} == {"bike-share/main"}
    assert all(one["warned"] == (one["never_share"] > 0.2) for one in found["waits"])


def released_grams(world: World) -> list[int]:
    """Give the first enterprise's statements, which are its release's first body."""
    release = next(one for one in world.entries if envelope.open_envelope(one.data).kind is Kind.RELEASE)
    return [int(one) for one in np.frombuffer(parse_statement_chunk(release.bodies[0]).raw, dtype="<i8")]


def test_two_persons_publish_and_withdraw(released: tuple[World, Path], tmp_path: Path) -> None:
    world, signers = released
    home, file, proposal = (
        world.opened.home.folder,
        write(tmp_path, "202012", "202101"),
        tmp_path / "proposal",
    )
    one = ("--key", signers / "operator", "--proposal", proposal)
    assert run("programme", "publish", file, "--home", home, *one)["signatures"] == 1
    assert run("programme", "publish", file, "--home", home, *one)["signatures"] == 1
    other = write(tmp_path, "[1, 2]", "[1, 1]")
    two = ("--key", signers / "regulator", "--proposal", proposal)
    assert fails("programme", "publish", other, "--home", home, *two).reason == reasons.REASON_BODY_MISMATCH
    file = write(tmp_path, "202012", "202101")
    stranger = ("--key", signers / "auditor", "--key", signers / "operator")
    assert fails("programme", "publish", file, "--home", home, *stranger).reason in (
        reasons.REASON_KEY_UNKNOWN,
        reasons.REASON_SIGNATURE_INVALID,
    )
    published = run("programme", "publish", file, "--home", home, *two)
    assert published["index"] == len(world.entries)
    listed = run("programme", "show", "--home", home)["programmes"]
    assert [(each["id"], each["sha256"]) for each in listed] == [("city", published["sha256"])]
    keys_of_both = ("--key", signers / "operator", "--key", signers / "regulator")
    ended = run("programme", "withdraw", "city", "--home", home, "--from", "2021-02", *keys_of_both)
    assert ended["withdrawn_from"] == 202102
    again = ("programme", "withdraw", "city", "--home", home, "--from", "2021-02", *keys_of_both)
    assert run(*again)["index"] == ended["index"]
    second = write(tmp_path, "version = 1\nfirst_epoch = 202012", "version = 2\nfirst_epoch = 202103")
    refused = fails("programme", "publish", second, "--home", home, *keys_of_both)
    assert refused.reason == reasons.REASON_ALREADY_EXISTS
