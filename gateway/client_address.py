"""Tells whom a request comes from: the connection's address, or what trusted proxies say.

    client 192.0.2.7 -> 10.0.0.9 -> 10.0.0.8 -> gateway, which trusts 10.0.0.0/8

    X-Forwarded-For: 203.0.113.1, 192.0.2.7, 10.0.0.9       192.0.2.7

Read from the right: each address was added by whom the one after it names, so the first that is no
proxy of ours is the client; what stands before it, anybody can have written. One setting says which
of the two fields the proxies write, since the other one would be the client's own.

A proxy that knows the caller by a key says which partner it is in `x-souk-partner`.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from gateway.transcoding.http import Answer, Handler, HttpRequest, header
from services.mesh import client_address

ForwardedField = Literal["x-forwarded-for", "forwarded"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_IPV6_SITE_BITS: Final = 64
_REMEMBERED: Final = 4096
# RFC 7239 section 4: the parameter `for`, a token or a quoted string.
_for = re.compile(r'(?:^|;)\s*for=(?:"([^"]*)"|([^;"\s]*))\s*(?:;|$)', re.IGNORECASE).search
_with_port = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d+)?|([\d.]+)(?::\d+)?").fullmatch


_FIELD: Final = client_address.KEY
_NAME: Final = _FIELD.encode()
_PARTNER_FIELD: Final = b"x-souk-partner"
_MOST_NAME: Final = 128


class Origin(NamedTuple):
    """Whom calls are counted of: a partner, if `partner` is not empty, else an address."""

    address: str
    partner: str = ""


def located(handler: Handler, address_of: Callable[[HttpRequest], str] | None) -> Handler:
    """Has each request say whose it is in place of what it says of that itself.

    With None it says nothing: services that know no policy ask for no address.
    """

    def handle(request: HttpRequest) -> Answer:
        if _NAME in request.names:
            request.replace([each for each in request.headers if each[0] != _NAME])
        if address_of is not None and (address := address_of(request)):
            request.added.append((_FIELD, address))
        return handler(request)

    return handle


class ClientAddresses:
    """Tells clients apart by their addresses."""

    def __init__(
        self, trusted_proxies: Sequence[str] = (), field: ForwardedField = "x-forwarded-for"
    ) -> None:
        """`trusted_proxies` are networks like 10.0.0.0/8. Raises ValueError for what is none."""
        self._trusted = tuple(ipaddress.ip_network(text) for text in trusted_proxies)
        self._field = field.encode()
        self._split = _elements if field == "forwarded" else _listed
        self._read: Callable[[str], tuple[str, bool]] = lru_cache(_REMEMBERED)(self._known)

    def of(self, request: HttpRequest) -> str:
        """Gives the client's address, of IPv6 the /64 that a site has; empty if there is none."""
        client, is_trusted = self._read(request.peer)
        if not is_trusted:
            return client
        hops = header(request.headers, self._field)
        if hops is None:
            return client
        for hop in self._split(hops):
            address, is_trusted = self._read(hop)
            if not address:
                # Who added it is ours, and hides whom it serves, or is misled.
                break
            client = address
            if not is_trusted:
                break
        return client

    def origin(self, request: HttpRequest) -> Origin:
        """Gives whom the call is counted of."""
        return Origin(self.of(request), self._partner(request) if self._trusted else "")

    def _partner(self, request: HttpRequest) -> str:
        _, is_trusted = self._read(request.peer)
        name = header(request.headers, _PARTNER_FIELD) if is_trusted else None
        return name if name is not None and len(name) <= _MOST_NAME else ""

    def of_peer(self, peer: str) -> str:
        """Gives whose connection an address has; empty for a trusted proxy, who has many's."""
        client, is_trusted = self._read(peer)
        return "" if is_trusted else client

    def _known(self, text: str) -> tuple[str, bool]:
        address = _address(text)
        if address is None:
            return "", False
        is_trusted = any(address in network for network in self._trusted)
        return _site(address), is_trusted


def _address(text: str) -> Address | None:
    found = _with_port(text)
    try:
        address = ipaddress.ip_address((found[1] or found[2]) if found else text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _site(address: Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((int(address), _IPV6_SITE_BITS), strict=False))


def _listed(value: str) -> Iterator[str]:
    """Gives the addresses of X-Forwarded-For, the last one first."""
    for element in reversed(value.split(",")):
        yield element.strip()


def _elements(value: str) -> Iterator[str]:
    """Gives the addresses of Forwarded, the last one first; empty for what says none."""
    for element in reversed(value.split(",")):
        found = _for(element)
        yield (found[1] or found[2] or "") if found else ""
