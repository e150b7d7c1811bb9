"""A whole federation in memory: documents, rosters, releases and closes, as (entry, bodies) in log order.

Every entry goes through privacy.acceptance.LogState, so what a story holds is what a hub would have logged.
"""

from tests.simulator.federation import Federation, begun, closed, enrolled
from tests.simulator.parties import (
    CUSTODIANS,
    EPOCH,
    ISSUED_AT,
    KEY_ID,
    ORIGIN,
    Logged,
    SimulatedEnterprise,
    SimulatedPack,
    account,
    beacon_dealing,
    key,
    pseudonym,
)

__all__ = [
    "CUSTODIANS",
    "EPOCH",
    "ISSUED_AT",
    "KEY_ID",
    "ORIGIN",
    "Federation",
    "Logged",
    "SimulatedEnterprise",
    "SimulatedPack",
    "account",
    "beacon_dealing",
    "begun",
    "closed",
    "enrolled",
    "key",
    "pseudonym",
]
