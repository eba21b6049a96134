"""A process is asked from outside whether it serves."""

import asyncio
from pathlib import Path

import pytest

from services.mesh import probe
from tests import echo_server
from tests.echo_server import echoing


async def test_a_process_that_serves_is_told_from_one_that_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The probe exits with 0 while the process serves, and says who does not answer."""
    echo_server.make_certificates(tmp_path)
    async with echoing(tmp_path) as listening:
        address = listening.probe_address
        assert 0 == await asyncio.to_thread(probe.main, [address])
    assert 1 == await asyncio.to_thread(probe.main, [address])
    assert f"{address} does not answer: UNAVAILABLE\n" == capsys.readouterr().err


async def test_a_process_that_is_not_ready_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process whose store is away does not serve."""

    async def away() -> None:
        await asyncio.sleep(0)
        raise OSError("no store")

    echo_server.make_certificates(tmp_path)
    async with echoing(tmp_path, app={"checks": {"store": away}}) as listening:
        assert 1 == await asyncio.to_thread(probe.main, [listening.probe_address])
    assert f"{listening.probe_address} is NOT_SERVING\n" == capsys.readouterr().err
