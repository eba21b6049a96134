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
