"""Addresses to listen on: `host:port`, `[::1]:port`."""

import ipaddress


class CannotListen(Exception):
    """An address cannot be had, most often because another process has it."""


def host_and_port(address: str) -> tuple[str, int]:
    """Return both parts. Raises ValueError if the address has another form."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004  # RFC 6335, 6
        raise ValueError(f"{address!r} is no host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_loopback(address: str) -> bool:
    """Say whether only this machine can reach the address."""
    host, _ = host_and_port(address)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def reaches(address: str, listen: str) -> bool:
    """Say whether a call to `address` comes out where this process listens.

    Who listens on every interface is reached by loopback, too. Raises ValueError.
    """
    if not address or address == listen:
        return address == listen
    host, port = host_and_port(listen)
    try:
        is_any = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
    return is_any and is_loopback(address) and host_and_port(address)[1] == port
