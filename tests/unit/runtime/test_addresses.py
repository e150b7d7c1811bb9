"""Addresses are read strictly and written back."""

from __future__ import annotations

import pytest

from protos.problems import Malformed
from runtime.addresses import Address, parse_address, server_names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8443", Address("127.0.0.1", 8443)),
        ("hub.example:1", Address("hub.example", 1)),
        ("https://hub.example:8443/", Address("hub.example", 8443)),
        ("[::1]:0", Address("::1", 0)),
    ],
)
def test_address_is_host_and_port(text: str, expected: Address) -> None:
    assert parse_address(text) == expected
    assert parse_address(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    ["", "hub", "hub:", ":1", "hub:65536", "hub:-1", "::1:80", "[hub]:80", "a b:1", "hub/x:1", "hub:١"],
)
def test_anything_else_is_malformed(text: str) -> None:
    with pytest.raises(Malformed, match="host:port"):
        parse_address(text)


def test_loopback_goes_by_all_its_names() -> None:
    assert server_names("127.0.0.1:0") == ["localhost", "127.0.0.1", "::1"]
    assert server_names("0.0.0.0:1")[0] == "localhost"
    assert server_names("custodian.example:7000") == ["custodian.example"]
    assert server_names("10.0.0.7:7000") == ["10.0.0.7"]
