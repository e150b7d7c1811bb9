"""Network addresses as configuration and messages write them: host:port, [IPv6]:port."""

from __future__ import annotations

import ipaddress
import re
import socket
from contextlib import ExitStack
from typing import NamedTuple

from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID

_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}\.?)*")


class Address(NamedTuple):
    """A host name or IP address, and a port (0: any free one)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read host:port, with or without https:// before it; raises Malformed CONFIGURATION_INVALID."""
    bare = text.removeprefix("https://").rstrip("/")
    host, separator, port = bare.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    good = separator and port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65_536
    if not good or bracketed != (":" in host) or not (_is_ip(host) or _HOST.fullmatch(host)):
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            "An address is written host:port.",
            remedy="For example 127.0.0.1:8443, hub.example:8443 or [::1]:8443.",
        )
    return Address(host, int(port))


def chosen_addresses(*texts: str) -> list[str]:
    """Give the addresses with a free port in place of 0, none of them twice."""
    with ExitStack() as held:
        return [_chosen(parse_address(text), held) for text in texts]


def server_names(address: str) -> list[str]:
    """Give the names a server at this address must be certified for; loopback goes by all its names."""
    host = parse_address(address).host
    is_local = host == "localhost" or (_is_ip(host) and _is_loopback_or_any(host))
    return ["localhost", "127.0.0.1", "::1"] if is_local else [host]


def _chosen(address: Address, held: ExitStack) -> str:
    if address.port:
        return str(address)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # Bound until all are chosen: a port that is let go may be the next one given.
    probe = held.enter_context(socket.socket(family, socket.SOCK_STREAM))
    probe.bind(address)
    return str(Address(address.host, probe.getsockname()[1]))


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback_or_any(host: str) -> bool:
    address = ipaddress.ip_address(host)
    return address.is_loopback or address.is_unspecified
