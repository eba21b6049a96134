"""Addresses to listen on."""

import pytest

from services.mesh.address import host_and_port, is_loopback, reaches


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:50051", ("127.0.0.1", 50051)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:1", ("localhost", 1)),
    ],
)
def test_an_address_has_a_host_and_a_port(address: str, parts: tuple[str, int]) -> None:
    """Both parts are read."""
    assert parts == host_and_port(address)


@pytest.mark.parametrize("address", ["", "50051", ":50051", "host:", "host:x", "host:65536"])
def test_anything_else_is_refused(address: str) -> None:
    """What is no address is not guessed at."""
    with pytest.raises(ValueError, match="no host:port"):
        host_and_port(address)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:1", True),
        ("127.1.2.3:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("localhost.evil.test:1", False),
    ],
)
def test_loopback_is_known(address: str, *, expected: bool) -> None:
    """Only what no other machine can reach is loopback."""
    assert expected == is_loopback(address)


@pytest.mark.parametrize(
    ("address", "listen", "expected"),
    [
        ("localhost:50050", "0.0.0.0:50050", True),
        ("127.0.0.1:50050", "[::]:50050", True),
        ("127.0.0.1:50050", "127.0.0.1:50050", True),
        ("storefront:50050", "0.0.0.0:50050", False),
        ("localhost:50051", "0.0.0.0:50050", False),
        ("localhost:50050", "10.0.0.1:50050", False),
        ("localhost:50050", "gateway:50050", False),
        ("", "0.0.0.0:50050", False),
    ],
)
def test_who_listens_everywhere_is_reached_by_loopback(address, listen, expected):
    """An upstream can be this very process without being written like what it listens on."""
    assert expected == reaches(address, listen)
