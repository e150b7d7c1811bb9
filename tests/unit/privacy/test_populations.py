"""Totals take every cell an enterprise's measures can feed, and no cell that holds noise alone."""

from __future__ import annotations

from privacy.policy import DOMAIN_METHODOLOGY_POOLED, REGION_DOMAIN, Policy, table_keys
from privacy.populations import pooled, population
from protos.v1.release_pb2 import TABLE_KIND_COUNT, TABLE_KIND_SUM, Release, TableKind
from tests import simulator


def released() -> list[tuple[Policy, Release]]:
    federation = simulator.enrolled()
    messages = [federation.release(enterprise.id).message for enterprise in federation.enterprises]
    return [(federation.state.policy_by_hash(message.policy_hash), message) for message in messages]


def cells(
    policy: Policy, release: Release, table_id: str, kind: TableKind.ValueType
) -> dict[tuple[str, str], int]:
    [table] = [one for one in release.tables if (one.table_id, one.kind) == (table_id, kind)]
    return dict(zip(table_keys(policy, table_id), table.values, strict=True))


def test_totals_are_the_sums_of_the_cells_that_measures_feed() -> None:
    fed = {"bike-share": ("travel", "bike"), "utility": ("life", "power")}
    releases = released()
    for kind in (TABLE_KIND_SUM, TABLE_KIND_COUNT):
        found = population(releases, kind)
        by_domain: dict[str, int] = {}
        for policy, release in releases:
            domain, pack_id = fed[release.header.issuer]
            table = cells(policy, release, REGION_DOMAIN, kind)
            by_domain[domain] = sum(value for key, value in table.items() if key[1] == domain)
            pooled = cells(policy, release, DOMAIN_METHODOLOGY_POOLED, kind)
            assert found.methodologies[pack_id].value == sum(
                v for key, v in pooled.items() if key[0] == pack_id
            )
        assert {domain: total.value for domain, total in found.domains.items()} == by_domain
        assert found.total.value == sum(by_domain.values()) == sum(t.value for t in found.regions.values())


def test_a_pool_takes_the_pooled_cells_of_its_packs_and_enterprises_alone() -> None:
    releases = released()
    [(policy, release), _] = releases
    found = pooled(releases, enterprises=["bike-share"], pack_ids=["bike", "power"])
    cell = cells(policy, release, DOMAIN_METHODOLOGY_POOLED, TABLE_KIND_SUM)["bike", "pooled"]
    assert (found.value, len(found.scales)) == (cell, 1)
    assert pooled(releases, enterprises=["bike-share"], pack_ids=["power"]).scales == []
    assert (
        len(pooled(releases * 3, enterprises=["bike-share", "utility"], pack_ids=["bike", "power"]).scales)
        == 6
    )


def test_noise_of_cells_nobody_can_feed_is_in_no_total() -> None:
    releases = released()
    before = population(releases)
    for policy, release in releases:
        mine = {"bike-share": "travel", "utility": "life"}[release.header.issuer]
        for table in release.tables:
            if table.table_id == REGION_DOMAIN:
                for index, (_, domain) in enumerate(table_keys(policy, REGION_DOMAIN)):
                    table.values[index] += 0 if domain == mine else 1_000_000
    after = population(releases)
    assert after == before
    assert len(after.total.scales) == 2 * len(releases[0][0].regions)
