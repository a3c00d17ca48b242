"""Addresses that no domain may send us to."""

import ipaddress

import pytest

from dispatcher.core.refused_hosts import RefusedHosts

ALLOWED = RefusedHosts(frozenset(), allowed=(ipaddress.ip_network("10.20.0.0/16"),))


@pytest.mark.parametrize(
    "address",
    ["192.0.2.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:db8::1", "64:ff9b::808:808"],
)
def test_what_is_public_may_be_connected_to(address: str) -> None:
    """Also through a translator, if that leads to a public address."""
    assert (address,) == RefusedHosts(frozenset()).without_refused((address,))


@pytest.mark.parametrize("address", ["10.20.3.4", "::ffff:10.20.3.4"])
def test_the_operator_may_allow_a_private_network(address: str) -> None:
    """Only that one."""
    found = ALLOWED.without_refused((address, "10.21.0.1", "127.0.0.1", "192.168.0.1"))
    assert (address,) == found
