"""The `souk` command's line: what is refused before anything is done."""

import pytest

from services.local import __main__ as command_line


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", ""])
def test_what_is_no_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The option and what a port is are named, and the exit code is 2."""
    with pytest.raises(SystemExit, match="2"):
        command_line.main(["up", f"--gateway-port={port}"])
    expected = f"--gateway-port: {port!r} is no port: a number from 1 to 65535"
    assert expected in capsys.readouterr().err


def test_a_port_of_the_environment_is_read_as_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the variable says is checked like the option."""
    monkeypatch.setenv("SOUK_GATEWAY_PORT", "http")
    with pytest.raises(SystemExit, match="2"):
        command_line.main(["up"])
    assert "--gateway-port: 'http' is no port" in capsys.readouterr().err
