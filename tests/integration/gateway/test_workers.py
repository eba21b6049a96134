"""Several gateway processes on one port."""

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.integration.gateway.echo import Echo
from tests.integration.gateway.process import Gateway, output, running

pytestmark = pytest.mark.skipif(
    not Path("/proc").is_dir(), reason="the workers are found by Linux's /proc"
)


def arguments(echo: Echo, descriptor_file: Path) -> tuple[str, ...]:
    """Gives the command line of two workers in front of the echo server."""
    upstream = ("--descriptors", str(descriptor_file), "--upstream", f"*={echo.address}")
    return (*upstream, "--access", "open", "--workers", "2")


def children(pid: int) -> list[int]:
    """Finds the child processes of a process."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def is_alive(pid: int) -> bool:
    """Says whether a process runs; one that has ended may still be listed."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def until(condition) -> None:
    """Waits until a condition holds."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


async def all_serve(gateway: Gateway) -> None:
    """Waits until both workers have said that they serve; the first has, on start."""
    await until(lambda: any(event["event"] == "serving" for event in gateway.events))


async def get(gateway: Gateway) -> int:
    """Asks on a connection of its own."""
    async with aiohttp.ClientSession() as session, session.get(f"{gateway.url}/v1/texts/a") as got:
        return got.status


async def served(metrics_port: int) -> int:
    """Reads how many requests a worker has answered."""
    url = f"http://127.0.0.1:{metrics_port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as got:
        lines = (await got.text()).splitlines()
    found = [line for line in lines if line.startswith("http_server_requests_total{")]
    return sum(round(float(line.rpartition(" ")[2])) for line in found)


async def test_workers_share_the_port_and_the_work(echo: Echo, descriptor_file: Path):
    """Connections are spread over the workers; each counts its own, at a port of its own."""
    async with running(*arguments(echo, descriptor_file)) as gateway:
        await all_serve(gateway)
        assert 2 == len(children(gateway.process.pid))
        for _ in range(40):
            assert 200 == await get(gateway)
        first = int(gateway.metrics_url.rpartition(":")[2].partition("/")[0])
        serving = [event for event in gateway.events if event["event"] == "serving"]
        counts = [await served(port) for port in (first, serving[0]["metrics_port"])]
    assert (40, True) == (sum(counts), min(counts) > 0)


async def test_a_worker_that_dies_is_started_again(echo: Echo, descriptor_file: Path):
    """The other one goes on meanwhile, and the address stays taken."""
    async with running(*arguments(echo, descriptor_file)) as gateway:
        await all_serve(gateway)
        first, other = children(gateway.process.pid)
        os.kill(first, signal.SIGKILL)
        await until(lambda: not is_alive(first))
        assert 200 == await get(gateway)
        await until(lambda: len([e for e in gateway.events if e["event"] == "serving"]) == 2)
        assert other in children(gateway.process.pid)
        assert 2 == len(children(gateway.process.pid))
        ended = next(event for event in gateway.events if event["event"] == "worker ended")
        assert (0, 1) == (ended["worker"], ended["exit_code"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_all(echo: Echo, descriptor_file: Path, number: signal.Signals):
    """The parent hands the signal on, and exits with 0 when all workers have."""
    async with running(*arguments(echo, descriptor_file)) as gateway:
        await all_serve(gateway)
        workers = children(gateway.process.pid)
        gateway.process.send_signal(number)
        async with asyncio.timeout(30):
            assert 0 == await gateway.process.wait()
        assert [False, False] == [is_alive(worker) for worker in workers]
    assert 2 == len([event for event in gateway.events if event["event"] == "draining"])


async def test_no_worker_outlives_its_parent(echo: Echo, descriptor_file: Path):
    """Workers whose parent was killed drain and end."""
    async with running(*arguments(echo, descriptor_file)) as gateway:
        await all_serve(gateway)
        workers = children(gateway.process.pid)
        gateway.process.kill()
        await until(lambda: not any(is_alive(worker) for worker in workers))


async def test_what_cannot_be_served_is_told_once(tmp_path: Path):
    """A fault that would stop every worker stops the first one, and the parent with its code."""
    missing = str(tmp_path / "missing.binpb")
    code, _, errors = await output(
        *("serve", "--listen", "127.0.0.1:0", "--descriptors", missing, "--workers", "2")
    )
    assert (2, 1) == (code, errors.count("missing.binpb"))


async def test_a_taken_port_is_told(echo: Echo, descriptor_file: Path):
    """An address that another program has is refused before any worker starts."""
    code, _, errors = await output(
        "serve", "--listen", echo.address, *arguments(echo, descriptor_file)
    )
    expected = f"the gateway cannot listen on {echo.address}: Address already in use\n"
    assert (1, expected) == (code, errors)


async def test_at_least_one_worker_is_wanted(descriptor_file: Path):
    """No worker at all is a fault of the command line."""
    code, _, errors = await output("serve", "--descriptors", str(descriptor_file), "--workers", "0")
    assert (2, True) == (code, "--workers: expected at least 1" in errors)
