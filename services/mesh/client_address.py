"""Where the client is that a call was made for, as whoever faces it says.

    x-souk-client-address: 203.0.113.7        read only in calls of the gateway

The gateway drops what a client says of this itself. No other service is asked: it would repeat what
it was told.
"""

import ipaddress

from services.mesh import identity, served_call

KEY = "x-souk-client-address"

_TOLD_BY = "gateway"


def client_address() -> str:
    """Return the address of the client, of IPv6 its /64; empty if the gateway did not send it."""
    if identity.caller().service != _TOLD_BY:
        return ""
    address = served_call.current().metadata.get(KEY, "")
    try:
        ipaddress.ip_network(address)
    except ValueError:
        return ""
    return address
