"""The rule that makes persons appear at several enterprises, as its own words and the README say it."""

from __future__ import annotations

from examples.federation import identifiers
from examples.federation.prepare import FULL
from privacy.identifiers import canonical


def persons() -> tuple[set[int], set[int], set[int]]:
    meters = FULL.half_hourly_meters + FULL.daily_meters
    return (
        {identifiers.household_person(rank) for rank in range(FULL.households)},
        {identifiers.rider_person(rank) for rank in range(FULL.riders)},
        {identifiers.meter_person(rank) for rank in range(meters)},
    )


def test_nobody_is_twice_at_one_enterprise() -> None:
    assert tuple(map(len, persons())) == (2_469, 831, 1_000)


def test_overlaps_are_those_the_rule_names() -> None:
    shop, ride, home = persons()
    assert (len(shop & ride), len(shop & home), len(ride & home)) == (416, 600, 350)
    assert len(shop & ride & home) == 250
    assert len(shop | ride | home) == 3_184
    assert len((shop & ride) | (shop & home) | (ride & home)) == 866


def test_each_person_has_a_mobile_of_its_own() -> None:
    everybody = set.union(*persons())
    mobiles = {identifiers.mobile(person) for person in everybody}
    assert len(mobiles) == len(everybody)
    assert all(canonical("cn_mobile", mobile).endswith(mobile.encode()) for mobile in mobiles)


def test_districts_are_the_same_everywhere_and_all_used() -> None:
    assert {identifiers.district(person) for person in range(8)} == set(identifiers.DISTRICTS)
