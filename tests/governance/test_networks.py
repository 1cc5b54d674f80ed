from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.governance.networks import Networks

HOUSE = Networks(["10.1.0.0/16", "192.0.2.7", "2001:db8::/32", "::ffff:172.16.0.0/108"])


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.1.255.255", True),
        ("10.2.0.0", False),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:a01:203", True),
        ("::10.1.2.3", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("2001:db8::1%eth0", True),
        ("172.16.3.4", True),
        ("172.32.0.1", False),
        ("", False),
        ("unknown", False),
        ("10.1.2.3:80", False),
        ("010.1.2.3", False),
        ("10.1.2.3\0", False),
        ("10.1.2", False),
        ("[2001:db8::1]", False),
    ],
)
def test_an_address_lies_within_or_not(address: str, inside: bool) -> None:
    assert HOUSE.hold(address) is inside


def test_everywhere_and_nowhere() -> None:
    assert Networks(["0.0.0.0/0", "::/0"]).hold("::1") and Networks(["0.0.0.0/0"]).hold("8.8.8.8")
    assert not Networks(["0.0.0.0/0"]).hold("::1")
    assert not Networks([]).hold("127.0.0.1")


@given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 128))
def test_it_is_what_the_library_says(address: object, base: object, prefix: int) -> None:
    first, second = ip_address(str(address)), ip_address(str(base))
    network = ip_network((str(second), min(prefix, second.max_prefixlen)), strict=False)
    if first.version == 4 or first.ipv4_mapped is None:
        assert Networks([str(network)]).hold(str(first)) is (first in network)
