"""A whole federation in memory, and how far its story has come."""

from __future__ import annotations

from typing import Any

from protos.epochs import Epoch
from tests.simulator.beacons import Beacons
from tests.simulator.books import Books
from tests.simulator.bundles import Bundles
from tests.simulator.documents import Documents
from tests.simulator.parties import CUSTODIANS, EPOCH
from tests.simulator.persons import Persons
from tests.simulator.releases import Releases


class Federation(Documents, Persons, Releases, Beacons, Books, Bundles):
    """Writes a whole story: documents, persons, participants, epochs, books."""


def begun(made: Federation | None = None, **changes: Any) -> Federation:
    """Give a federation whose documents are logged: trust root, packs, policy."""
    federation = made or Federation(**changes)
    federation.publish_trust()
    for pack in federation.packs:
        federation.publish_pack(pack)
    federation.publish_policy()
    return federation


def enrolled(made: Federation | None = None, **changes: Any) -> Federation:
    """Give a federation whose persons are counted, enrolled and linked."""
    federation = begun(made, **changes)
    for one in federation.enterprises:
        for custodian_id in CUSTODIANS[:2]:
            federation.count(custodian_id, one.id, len(one.persons))
        federation.enrol(one.id, one.persons, effective=federation.first_epoch)
    everybody = sorted({person for one in federation.enterprises for person in one.persons})
    federation.link(everybody, effective=federation.first_epoch)
    return federation


def closed(*epochs: Epoch, **changes: Any) -> Federation:
    """Give a federation that has released and closed the epochs (the first by default)."""
    federation = enrolled(**changes)
    for epoch in epochs or (EPOCH,):
        for one in federation.enterprises:
            federation.release(one.id, epoch)
        federation.close(epoch)
    return federation
