"""Makes a hub's home folder (keys, authority, operator's identity, database) and opens what it made."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from hub.configuration import Home, HubSettings, StoreSettings
from hub.log import VKEY_FILE
from hub.store.database import create_database
from hub.trust_documents import Genesis
from privacy import keys
from privacy.checkpoint import log_vkey, subtree_vkey
from privacy.keys import SigningKey, VerifyKey
from privacy.standing import HUB_ID
from protos.problems import Conflict, Malformed
from protos.v1.problem_pb2 import REASON_ALREADY_EXISTS, REASON_CONFIGURATION_INVALID
from runtime.addresses import chosen_addresses, server_names
from runtime.authority import CertificateAuthority
from runtime.configuration import format_toml, open_home, parse_settings, write_atomic, write_private
from runtime.files import read_private
from runtime.identity import Identity, Role, SpiffeName, trust_domain

KEY_FILE_BYTES_MAX = 1024
OPERATOR_ID = "operator"


@dataclass(frozen=True, slots=True)
class Plan:
    """What `init` is told."""

    origin: str
    root_keys: Mapping[str, VerifyKey]
    root_threshold: int
    policy_keys: Mapping[str, VerifyKey]
    policy_threshold: int
    listen_grpc: str
    listen_https: str
    store: StoreSettings = field(default_factory=StoreSettings)


@dataclass(frozen=True, slots=True)
class Opened:
    """A home's settings and keys, checked to fit together."""

    home: Home
    settings: HubSettings
    hub_key: SigningKey
    log_key: SigningKey
    authority: CertificateAuthority

    @classmethod
    def load(cls, home: Home) -> Self:
        """Read the home folder; raises Malformed or Unverified naming the file."""
        open_home(home.private)
        return cls(
            home,
            home.settings(),
            read_signing_key(home.hub_key),
            read_signing_key(home.log_key),
            CertificateAuthority.load(home.private),
        )

    @property
    def genesis(self) -> Genesis:
        """Give what the trust root says about this hub."""
        settings = self.settings
        return Genesis(
            origin=settings.origin,
            root_keys=_verify_keys(settings.root_keys),
            root_threshold=settings.root_threshold,
            policy_keys=_verify_keys(settings.policy_keys),
            policy_threshold=settings.policy_threshold,
            log_vkey=self.log_vkey,
            log_subtree_vkey=str(subtree_vkey(settings.origin, self.log_key)),
            hub_key=VerifyKey(self.hub_key.verify_key.public, name=HUB_ID),
            hub_ca=self.authority.ca_der,
        )

    @property
    def log_vkey(self) -> str:
        """Give the log's verifier key as text."""
        return str(log_vkey(self.settings.origin, self.log_key.verify_key))

    def issue_server(self) -> None:
        """Issue the hub's own certificate for the addresses in hub.toml."""
        settings = self.settings
        addresses = (
            settings.grpc_address,
            settings.https_address,
            settings.listen_grpc,
            settings.listen_https,
        )
        names = list(dict.fromkeys(name for address in addresses for name in server_names(address)))
        name = SpiffeName(trust_domain(settings.origin), Role.HUB, HUB_ID)
        days = settings.certificate_days
        self.authority.issue_identity(name, days=days, server_names=names).save(self.home.server)

    def issue_operator(self) -> None:
        """Issue the certificate the operator's commands call with."""
        name = SpiffeName(trust_domain(self.settings.origin), Role.OPERATOR, OPERATOR_ID)
        identity = self.authority.issue_identity(name, days=self.settings.certificate_days)
        identity.save(self.home.operator)

    def renew_certificates(self, now: datetime.datetime) -> bool:
        """Issue anew what is about to run out; says whether the hub's own certificate was among it."""
        if Identity.load(self.home.operator).renewal_note(now):
            self.issue_operator()
        is_due = bool(Identity.load(self.home.server).renewal_note(now))
        if is_due:
            self.issue_server()
        return is_due


def init_home(folder: Path, plan: Plan) -> Opened:
    """Make a new home; raises Conflict if one is there."""
    home = Home(folder.absolute())
    if home.configuration.exists():
        raise Conflict(
            REASON_ALREADY_EXISTS,
            f"There is a hub in {home.folder} already.",
            remedy="Choose another folder; a log's keys and history are never made anew.",
        )
    text, settings = _settings(plan)
    folder.mkdir(parents=True, exist_ok=True)
    for private in (home.private, home.server, home.operator, home.work):
        open_home(private, create=True)
    domain = trust_domain(settings.origin)
    write_private(home.hub_key, keys.encode_private(keys.generate(secrets.token_bytes, HUB_ID)))
    write_private(home.log_key, keys.encode_private(keys.generate(secrets.token_bytes, "log")))
    CertificateAuthority.create(domain).save(home.private)
    create_database(home.locate(settings.store))
    opened = Opened(
        home,
        settings,
        read_signing_key(home.hub_key),
        read_signing_key(home.log_key),
        CertificateAuthority.load(home.private),
    )
    opened.issue_server()
    opened.issue_operator()
    write_atomic(home.folder / VKEY_FILE, f"{opened.log_vkey}\n".encode())
    # Last: a home without hub.toml is one whose making was interrupted, and is made again from the start.
    write_private(home.configuration, text.encode())
    return opened


def make_key(name: str, path: Path) -> VerifyKey:
    """Make a signing key in a private file and its public half beside it; raises Conflict if one is there."""
    keys.checked_id(name, "A key's name")
    if path.exists():
        raise Conflict(REASON_ALREADY_EXISTS, f"{path} exists already.", remedy="Keys are never overwritten.")
    path.parent.mkdir(parents=True, exist_ok=True)
    key = keys.generate(secrets.token_bytes, name)
    write_private(path, keys.encode_private(key))
    write_atomic(path.with_name(f"{path.name}.pub"), keys.encode_public(key.verify_key))
    return key.verify_key


def read_signing_key(path: Path) -> SigningKey:
    """Read a private key file that only its owner can read."""
    return keys.decode_private(read_private(path, KEY_FILE_BYTES_MAX))


def _settings(plan: Plan) -> tuple[str, HubSettings]:
    """Write hub.toml and read it back, so that what is wrong in a plan is told before anything is made."""
    grpc, https = chosen_addresses(plan.listen_grpc, plan.listen_https)
    text = format_toml(
        {
            "origin": plan.origin,
            "listen_grpc": grpc,
            "listen_https": https,
            "root_threshold": _threshold(plan.root_threshold, plan.root_keys, "root"),
            "policy_threshold": _threshold(plan.policy_threshold, plan.policy_keys, "policy"),
            "root_keys": {name: key.public.hex() for name, key in plan.root_keys.items()},
            "policy_keys": {name: key.public.hex() for name, key in plan.policy_keys.items()},
            "store": plan.store.model_dump(exclude_none=True),
        }
    )
    return text, parse_settings(text.encode(), HubSettings, name="hub.toml")


def _threshold(value: int, found: Mapping[str, VerifyKey], what: str) -> int:
    if not 1 <= value <= len(found):
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            f"The {what} threshold is {value}, but {len(found)} {what} keys are given.",
            remedy=f"Give at least as many --{what}-key as the threshold says, and a threshold from 1.",
        )
    return value


def _verify_keys(found: Mapping[str, str]) -> list[VerifyKey]:
    try:
        return [VerifyKey(bytes.fromhex(public), name=name) for name, public in found.items()]
    except ValueError:
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            "hub.toml: a key is not 64 hex digits.",
            remedy="Restore the line from init.",
        ) from None
