"""Whose address a request comes from."""

import pytest

from gateway.client_address import ClientAddresses, ForwardedField, Origin
from gateway.http1 import request_body
from gateway.transcoding.http import HttpRequest

PROXIES = ("10.0.0.0/8", "2001:db8:9::/48")


def request(peer: str, **headers: str) -> HttpRequest:
    """Make a request from `peer`, with headers whose names have underscores for hyphens."""
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return HttpRequest(
        method="GET",
        path="/",
        query="",
        headers=fields,
        names=dict(fields),
        body=b"",
        chunks=request_body.nothing,
        peer=peer,
    )


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        # A stranger may write what it likes.
        ("192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1", "203.0.113.7", "192.0.2.1"),
        # A proxy of ours says who called it, and who stands before that is not believed.
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.7, 10.0.0.2,10.0.0.3", "203.0.113.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        # Ports, brackets, and IPv4 written as IPv6 are the same address.
        ("10.0.0.1", "203.0.113.7:4711", "203.0.113.7"),
        ("::ffff:10.0.0.1", "::ffff:203.0.113.7", "203.0.113.7"),
        # All of a site's addresses of IPv6 are one.
        ("2001:db8:1:2:3:4:5:6", None, "2001:db8:1:2::/64"),
        ("2001:db8:9::1", "[2001:db8:1:2::7]:443", "2001:db8:1:2::/64"),
        # What is no address says nothing; the proxy that passed it on is the last one known.
        ("10.0.0.1", "203.0.113.7, unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7, 10.0.0.2, ' OR 1=1", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7, x, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "1" * 10_000, "10.0.0.1"),
        ("", "203.0.113.7", ""),
    ],
)
def test_the_first_from_the_right_that_is_no_proxy_is_the_client(peer, forwarded, client):
    """The client is who called the first of our proxies, whatever it says of others."""
    headers = {} if forwarded is None else {"x_forwarded_for": forwarded}

    assert client == ClientAddresses(PROXIES).of(request(peer, **headers))


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("for=203.0.113.7", "203.0.113.7"),
        ('for="[2001:db8:1:2::7]:443";proto=https', "2001:db8:1:2::/64"),
        ("for=6.6.6.6, proto=https;For=203.0.113.7;by=10.0.0.2, for=10.0.0.2", "203.0.113.7"),
        ("for=203.0.113.7, for=_hidden", "10.0.0.1"),
        ("proto=https", "10.0.0.1"),
        ('for="', "10.0.0.1"),
    ],
)
def test_the_standard_field_says_the_same(forwarded, client):
    """RFC 7239 has the same hops in a form of its own."""
    addresses = ClientAddresses(PROXIES, "forwarded")

    assert client == addresses.of(request("10.0.0.1", forwarded=forwarded))


@pytest.mark.parametrize(
    ("field", "client"), [("x-forwarded-for", "203.0.113.7"), ("forwarded", "198.51.100.9")]
)
def test_one_field_is_read_and_the_other_is_the_clients_own(field: ForwardedField, client: str):
    """A proxy overwrites the field that it knows, and passes the other one on."""
    both = request("10.0.0.1", x_forwarded_for="203.0.113.7", forwarded="for=198.51.100.9")

    assert client == ClientAddresses(PROXIES, field).of(both)


def test_what_is_no_network_is_refused():
    """A proxy is not trusted by mistake."""
    with pytest.raises(ValueError, match="host bits"):
        ClientAddresses(("10.0.0.1/8",))


@pytest.mark.parametrize(
    ("peer", "said", "partner"),
    [
        ("10.0.0.1", "acme", "acme"),
        ("10.0.0.1", None, ""),
        ("10.0.0.1", "", ""),
        ("10.0.0.1", "a" * 129, ""),
        ("192.0.2.1", "acme", ""),
    ],
)
def test_a_partner_is_who_a_proxy_of_ours_says(peer, said, partner):
    """A client that calls itself a partner is an address as before."""
    headers = {} if said is None else {"x_souk_partner": said}
    asked = request(peer, x_forwarded_for="203.0.113.7", **headers)

    address = "203.0.113.7" if peer.startswith("10.") else peer
    assert Origin(address, partner) == ClientAddresses(PROXIES).origin(asked)
    assert Origin(peer) == ClientAddresses().origin(asked)
