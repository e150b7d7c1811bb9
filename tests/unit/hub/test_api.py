from __future__ import annotations

import itertools
import json
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from privacy import envelope, tiles
from privacy.checkpoint import open_checkpoint
from privacy.envelope import Kind, open_envelope
from protos.problems import Malformed, Problem, Refused, Unavailable
from protos.v1 import problem_pb2 as reasons
from protos.v1 import release_pb2, roster_pb2
from runtime.https import HttpsClient, client_context
from runtime.identity import Identity, Role
from runtime.log_follower import TrustFollower
from runtime.log_reader import HttpLog
from tests.simulator import EPOCH, Logged
from tests.tiled_log import read_entries
from tests.unit.hub.test_accounts import close, release_all
from tests.unit.hub.world import World, begin, enrol, refused, world


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A hub with one closed epoch."""
    with world(tmp_path_factory.mktemp("api") / "hub") as found:
        close(release_all(enrol(begin(found))))
        found.follow()
        wait_published(found)
        yield found


def wait_published(found: World) -> None:
    """The checkpoint follows the last entry within a moment."""
    import time

    for _ in range(1_200):
        if open_checkpoint(found.get("/checkpoint"), found.log_vkey).size == len(found.entries):
            return
        time.sleep(0.05)
    raise AssertionError("the checkpoint did not follow")


def headers_of(found: World, path: str) -> tuple[int, dict[str, str]]:
    """Fetch a path with the standard library and give status and headers."""
    import http.client

    host, _, port = found.hub.https_address.rpartition(":")
    context = client_context(found.opened.authority.ca_pem)
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}


def json_of(found: World, path: str, identity: Identity | None = None) -> Any:
    return json.loads(found.get(path, identity))


PUBLIC = [
    "/",
    "/?lang=zh",
    "/programmes",
    "/books/government",
    "/v1/programmes",
    "/status.css",
    "/checkpoint",
    "/log.vkey",
    "/tile/0/000.p/16",
    "/tile/entries/000.p/16",
    "/v1/ca",
    "/v1/status",
    "/v1/enterprises",
    "/v1/epochs",
    "/v1/population",
    "/v1/bodies/1/0",
    "/livez",
    "/readyz",
    "/metrics",
    "/openapi.json",
]


@pytest.mark.parametrize("path", [*PUBLIC, "/nothing", "/v1/bodies/4/1"])
def test_every_answer_carries_strict_headers(closed: World, path: str) -> None:
    status, headers = headers_of(closed, path)
    assert status == {"/nothing": 404, "/v1/bodies/4/1": 404}.get(path, 200)
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers
    assert headers["cache-control"]


def test_caching_follows_what_can_change(closed: World) -> None:
    assert "immutable" in headers_of(closed, "/tile/0/000.p/16")[1]["cache-control"]
    assert headers_of(closed, "/checkpoint")[1]["cache-control"] == "no-cache"
    assert headers_of(closed, "/checkpoint")[1]["content-type"].startswith("text/plain")
    assert headers_of(closed, "/tile/entries/000.p/16")[1]["content-type"] == "application/octet-stream"


def test_the_log_is_read_and_verified_by_the_shared_reader(closed: World) -> None:
    with HttpLog(closed.hub.https_address, closed.opened.authority.ca_pem) as reader:
        entries = list(read_entries(reader, closed.log_vkey))
    assert [entry.data for entry in entries] == [entry.data for entry in closed.entries]
    follower = TrustFollower(closed.entries[0].data)
    assert [follower.take(entry) for entry in entries].count(True) <= 1
    assert follower.root is not None


def test_tiles_are_those_of_the_entries(closed: World) -> None:
    size = len(closed.entries)
    bundle = closed.get(f"/tile/entries/000.p/{size}")
    assert tiles.parse_bundle(bundle, size) == [entry.data for entry in closed.entries]


@pytest.mark.parametrize(
    "path",
    [
        "0/../../private/hub.key",
        "8/000",
        "0/000.p/256",
        "0/000.p/0",
        "entries/0",
        "0/x000",
        "",
        "0/%2e%2e/hub.toml",
    ],
)
def test_nothing_but_tiles_is_served_below_tile(closed: World, path: str) -> None:
    problem = refused(lambda: closed.get(f"/tile/{path}"))
    assert problem.reason == reasons.REASON_NOT_FOUND


@pytest.mark.parametrize("path", ["/hub.toml", "/private/hub.key", "/private/hub.sqlite"])
def test_the_home_folder_is_not_served(closed: World, path: str) -> None:
    assert refused(lambda: closed.get(path)).reason == reasons.REASON_NOT_FOUND


def entry_of(found: World, kind: Kind) -> int:
    return next(
        index for index, entry in enumerate(found.entries) if envelope.open_envelope(entry.data).kind is kind
    )


def test_public_bodies_are_for_everybody_and_private_ones_for_roles(closed: World) -> None:
    auditor = closed.identity(Role.AUDITOR, "auditor")
    for kind, position, is_private in (
        (Kind.PACK, 0, False),
        (Kind.ROSTER_BATCH, 0, False),
        (Kind.ROSTER_BATCH, 1, True),
        (Kind.RELEASE, 0, True),
        (Kind.LINK_BATCH, 0, False),
        (Kind.LINK_BATCH, 1, True),
    ):
        index = entry_of(closed, kind)
        path = f"/v1/bodies/{index}/{position}"
        expected = closed.entries[index].bodies[position]
        assert closed.get(path, auditor) == expected
        if not is_private:
            assert closed.get(path) == expected
            continue
        assert isinstance(refused(lambda path=path: closed.get(path)), Refused)  # type: ignore[misc]
        node = closed.identity(Role.NODE, "bike-share")
        problem = refused(lambda path=path, node=node: closed.get(path, node))  # type: ignore[misc]
        assert problem.reason == reasons.REASON_ROLE_NOT_ALLOWED


def test_all_bodies_stream_to_an_auditor_and_to_a_node_its_own_alone(closed: World) -> None:
    def read(role: Role, name: str = "somebody") -> dict[int, list[bytes]]:
        identity = closed.identity(role, name)
        with HttpLog(
            closed.hub.https_address,
            closed.opened.authority.ca_pem,
            identity=identity,
            grpc_address=closed.hub.grpc_address,
        ) as reader:
            return dict(reader.bodies_range(0, len(closed.entries)))

    expected = {index: entry.bodies for index, entry in enumerate(closed.entries) if entry.bodies}
    assert read(Role.AUDITOR) == expected
    assert read(Role.OPERATOR) == expected
    assert read(Role.NODE) == {}
    for enterprise in ("bike-share", "utility"):
        own = {index for index, entry in enumerate(closed.entries) if _signed_by(entry, enterprise)}
        assert (
            read(Role.NODE, enterprise) == {index: expected[index] for index in own & expected.keys()} != {}
        )
    assert refused(lambda: read(Role.CUSTODIAN)).reason == reasons.REASON_ROLE_NOT_ALLOWED


def _signed_by(entry: Logged, enterprise_id: str) -> bool:
    opened = open_envelope(entry.data)
    types: dict[Kind, Any] = {Kind.RELEASE: release_pb2.Release, Kind.ROSTER_BATCH: roster_pb2.RosterBatch}
    return opened.kind in types and opened.parse(types[opened.kind]).header.issuer == enterprise_id


def test_epochs_say_who_released_and_what_the_books_hold(closed: World) -> None:
    [epoch] = json_of(closed, "/v1/epochs")
    books = closed.accounts(EPOCH)
    assert epoch["epoch"] == "2020-12"
    assert epoch["state"] == "closed"
    assert epoch["released"] == ["bike-share", "utility"]
    assert epoch["close"] == {
        "index": len(closed.entries) - 1,
        "accounts": len(books),
        "accounts_in_two_or_more": 6,
        "total_mg": sum(balance for balance, _, _ in books.values()),
    }


def test_population_totals_are_the_sums_of_released_cells(closed: World) -> None:
    [epoch] = json_of(closed, "/v1/population")["epochs"]
    from protos.v1 import release_pb2

    regions, packs = {"east": 0, "west": 0}, {"bike": 0, "power": 0}
    for entry in closed.entries:
        opened = envelope.open_envelope(entry.data)
        if opened.kind is not Kind.RELEASE:
            continue
        release = opened.parse(release_pb2.Release)
        # Each enterprise feeds one of two domains and one of two packs; the rest of its cells is noise.
        fed, pack = {"bike-share": (0, "bike"), "utility": (1, "power")}[release.header.issuer]
        for table in release.tables:
            values = list(table.values)
            if table.kind != release_pb2.TABLE_KIND_SUM:
                continue
            if table.table_id == "region_domain":
                regions["east"] += values[fed]
                regions["west"] += values[2 + fed]
            else:
                packs[pack] += sum(values[2 * fed : 2 * fed + 2])
    total = sum(regions.values())
    assert epoch["total"]["grams"] == total
    assert {one["key"]: one["total"]["grams"] for one in epoch["regions"]} == regions
    assert {one["key"]: one["total"]["grams"] for one in epoch["methodologies"]} == packs
    assert sum(one["total"]["grams"] for one in epoch["cells"]) == total
    assert {(one["region"], one["domain"]) for one in epoch["cells"]} == set(
        itertools.product(("east", "west"), ("travel", "life"))
    )
    levels = [each for name in ("domains", "regions", "methodologies", "cells") for each in epoch[name]]
    for one in (epoch["total"], *(each["total"] for each in levels)):
        assert one["halfwidth_grams"] > one["sigma_grams"] > 0
        assert one["low_grams"] + one["high_grams"] == 2 * one["grams"]


def test_an_account_is_shown_to_operator_and_auditor_only(closed: World) -> None:
    account, (balance, variance, issuers) = next(iter(closed.accounts(EPOCH).items()))
    path = f"/v1/accounts/{account.hex()}"
    found = json_of(closed, path, closed.identity(Role.OPERATOR, "operator"))
    assert (found["balance_mg"], found["enterprises"], found["pseudonyms"]) == (balance, len(issuers), 1)
    assert (found["sigma_mg"] - 1) ** 2 < variance <= found["sigma_mg"] ** 2
    assert found["halfwidth_mg"] > found["sigma_mg"]
    assert [found["low_mg"], found["high_mg"]] == [
        balance - found["halfwidth_mg"],
        balance + found["halfwidth_mg"],
    ]
    assert json_of(closed, path, closed.identity(Role.AUDITOR, "auditor")) == found
    for identity in (None, closed.identity(Role.NODE, "bike-share")):
        problem = refused(lambda identity=identity: closed.get(path, identity))  # type: ignore[misc]
        assert problem.reason == reasons.REASON_ROLE_NOT_ALLOWED


def test_an_unknown_account_is_not_found(closed: World) -> None:
    operator = closed.identity(Role.OPERATOR, "operator")
    problem = refused(lambda: closed.get(f"/v1/accounts/{'00' * 16}", operator))
    assert isinstance(problem, Unavailable)


def test_a_malformed_path_is_refused_without_its_text(closed: World) -> None:
    operator = closed.identity(Role.OPERATOR, "operator")
    problem = refused(lambda: closed.get("/v1/accounts/13800138000", operator))
    assert isinstance(problem, Malformed)
    assert "13800138000" not in problem.message


@pytest.mark.parametrize(("lang", "word"), [("zh", "人群减排量"), ("en", "Population reductions")])
def test_the_status_page_shows_totals_in_both_languages(closed: World, lang: str, word: str) -> None:
    page = closed.get(f"/?lang={lang}").decode()
    assert word in page
    assert "<svg" in page
    assert "style=" not in page
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page


def test_metrics_name_no_party(closed: World) -> None:
    text = closed.get("/metrics").decode()
    assert f"cgsp_hub_log_entries {float(len(closed.entries))}" in text
    for name in ("bike-share", "utility", "regulator"):
        assert name not in text


def test_the_openapi_document_describes_every_public_path(closed: World) -> None:
    paths = set(json_of(closed, "/openapi.json")["paths"])
    assert {"/checkpoint", "/v1/join", "/v1/population", "/v1/accounts/{account}"} <= paths


def test_old_tls_is_not_spoken(closed: World) -> None:
    context = client_context(closed.opened.authority.ca_pem)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((Problem, OSError)):
        HttpsClient(closed.hub.https_address, context).get("/livez", 100)
