"""A port is given to one who asks, and to nobody else until that process has ended."""

import os
import secrets
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator

import pytest

from services.local import ports

_SOME = 10

# A process that asks for some ports of a range, tells them, and ends with its input.
_ASK = """
import sys
from services.local import ports

ports._FIRST, ports._LAST = map(int, sys.argv[2:])
print(*ports.free(int(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Leaves so few ports that who asks twice would soon be given one twice; gives the range.

    They are given back, since the range of another test may have some of them.
    """
    held: deque[int] = deque()
    monkeypatch.setattr(ports, "_given", held)
    first = secrets.choice(range(10_000, 19_000))
    monkeypatch.setattr(ports, "_FIRST", first)
    monkeypatch.setattr(ports, "_LAST", first + 4 * _SOME)
    yield [str(first), str(first + 4 * _SOME)]
    for each in held:
        os.close(each)


def test_a_port_is_given_once() -> None:
    """Who asks again is not given the same one, though nothing listens on it yet."""
    asked = [ports.free(_SOME) for _ in range(2)]
    assert 2 * _SOME == len({port for some in asked for port in some})


def test_what_another_process_was_given_is_not_free(few: list[str]) -> None:
    """Until that process has ended: two that start servers at the same time choose other ports."""
    with subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-c", _ASK, str(_SOME), *few],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdin
        assert other.stdout
        given = {int(port) for port in other.stdout.readline().split()}
        ours = set(ports.free(_SOME))
        other.stdin.close()
    assert (_SOME, set()) == (len(given), given & ours)
    # Its ports are among these, now that it has ended: there are no others.
    assert given & set(ports.free(2 * _SOME + _SOME // 2))


def test_a_held_port_is_for_a_server_alone() -> None:
    """Nothing else binds it while it is held; a server listens on it, and may do so again."""
    (port,) = ports.free()
    with ports.held([port]), socket.socket() as other:
        with pytest.raises(OSError, match="in use"):
            other.bind((ports.LOOPBACK, port))
        for _ in range(2):
            with (
                socket.create_server((ports.LOOPBACK, port)) as server,
                socket.create_connection((ports.LOOPBACK, port)),
            ):
                server.accept()[0].close()


def test_no_more_are_held_than_a_mesh_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks again and again does not run out of files."""
    monkeypatch.setattr(ports, "_MOST_GIVEN", _SOME)
    for _ in range(10):
        ports.free(_SOME)
    assert _SOME == len(ports._given)  # noqa: SLF001
