"""Contracts that change while the gateway serves: by file, by reflection, at SIGHUP."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.gateway.changing_server import (
    OTHER_SERVICE,
    SERVICE,
    ChangingServer,
    contracts,
    replace,
)
from tests.integration.gateway.process import Gateway, running

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def server() -> AsyncIterator[ChangingServer]:
    """Makes an upstream."""
    made = ChangingServer()
    yield made
    made.resumed.set()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Writes a set with the method A."""
    path = tmp_path / "contracts.binpb"
    replace(path, contracts("A"))
    return path


async def _status(session: aiohttp.ClientSession, gateway: Gateway, path: str) -> int:
    async with session.get(gateway.url + path) as response:
        await response.read()
        return response.status


async def _until_served(session: aiohttp.ClientSession, gateway: Gateway, path: str) -> None:
    async with asyncio.timeout(30):
        while await _status(session, gateway, path) != 200:
            await asyncio.sleep(0.05)


async def _logged(gateway: Gateway, matches: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            for event in gateway.events:
                if matches(event):
                    return event
            await asyncio.sleep(0.05)


def _is(name: str) -> Callable[[dict[str, Any]], bool]:
    return lambda event: bool(event["event"].startswith(name))


async def _reloads(session: aiohttp.ClientSession, gateway: Gateway) -> dict[str, float]:
    """Gives how many reloads the metrics have, by result."""
    async with session.get(gateway.metrics_url) as response:
        lines = (await response.text()).splitlines()
    found = [line for line in lines if line.startswith("gateway_reloads_total{")]
    return {line.split('"')[1]: float(line.rpartition(" ")[2]) for line in found}


def _arguments(file: Path, address: str, service: str = "*") -> tuple[str, ...]:
    return (
        *("--access", "open", "--descriptors", str(file)),
        *("--upstream", f"{service}={address}"),
    )


async def test_no_request_is_lost(server: ChangingServer, file: Path):
    """While files are replaced again and again every request is answered, over one connection."""
    async with (
        server.served() as address,
        running(*_arguments(file, address)) as gateway,
        aiohttp.ClientSession() as session,
    ):
        statuses: list[int] = []
        is_over = asyncio.Event()

        async def load() -> None:
            while not is_over.is_set():
                statuses.append(await _status(session, gateway, "/v1/a/x"))

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(load())
            for name in ("B", "C"):
                replace(file, contracts("A", name))
                await _until_served(session, gateway, f"/v1/{name.lower()}/x")
            is_over.set()
        assert 404 == await _status(session, gateway, "/v1/b/x")
        assert {200} == set(statuses)
        assert {"applied": 2} == await _reloads(session, gateway)
    assert 1 == len(server.peers)


async def test_requests_under_way_end(server: ChangingServer, file: Path):
    """Calls and streams that began before a change end as they began, removed or not."""
    async with (
        server.served() as address,
        running(*_arguments(file, address)) as gateway,
        aiohttp.ClientSession() as session,
        session.get(f"{gateway.url}/v1/watch") as stream,
    ):
        assert b'{"text":"first"}\n' == await stream.content.readline()
        slow = asyncio.create_task(_status(session, gateway, "/v1/a/slow"))
        async with asyncio.timeout(30):
            await server.waiting.wait()
        replace(file, contracts("B"))
        await _until_served(session, gateway, "/v1/b/x")
        assert 404 == await _status(session, gateway, "/v1/a/x")
        server.resumed.set()
        assert 200 == await slow
        assert b'{"text":"last"}\n' == await stream.content.readline()


async def test_what_changed_is_told(server: ChangingServer, file: Path):
    """The log tells which routes came and went; the document has them, too."""
    async with (
        server.served() as address,
        running(*_arguments(file, address)) as gateway,
        aiohttp.ClientSession() as session,
    ):
        replace(file, contracts("B"))
        event = await _logged(gateway, _is("contracts reloaded"))
        assert ([f"{SERVICE}.B: GET /v1/b/{{text}}"], [f"{SERVICE}.A: GET /v1/a/{{text}}"]) == (
            event["added"],
            event["removed"],
        )
        async with session.get(f"{gateway.url}/openapi.json") as response:
            paths = (await response.json())["paths"]
        assert {"/v1/b/{text}", "/v1/watch"} == paths.keys()


async def test_faulty_contracts_are_refused(server: ChangingServer, file: Path):
    """What cannot be served is told with every fault, and what was served is served on."""
    async with (
        server.served() as address,
        running(*_arguments(file, address)) as gateway,
        aiohttp.ClientSession() as session,
    ):
        replace(file, contracts("A", "B", broken=True))
        event = await _logged(gateway, _is("contracts refused"))
        assert 2 == len(event["faults"])
        assert all(f"{SERVICE}.{name}" in json.dumps(event) for name in ("Bad", "Worse"))
        assert (200, 404) == (
            await _status(session, gateway, "/v1/a/x"),
            await _status(session, gateway, "/v1/b/x"),
        )
        assert {"refused": 1} == await _reloads(session, gateway)
        replace(file, contracts("A", "B"))
        await _until_served(session, gateway, "/v1/b/x")
        assert {"refused": 1, "applied": 1} == await _reloads(session, gateway)


@pytest.mark.parametrize("change", ["gone", "cut off"])
async def test_a_file_that_is_none(server: ChangingServer, file: Path, change: str):
    """A file that is gone, or half there, changes nothing until it is whole again."""
    async with (
        server.served() as address,
        running(*_arguments(file, address)) as gateway,
        aiohttp.ClientSession() as session,
    ):
        whole = contracts("B").SerializeToString()
        if change == "gone":
            file.unlink()
        else:
            file.write_bytes(whole[: len(whole) // 2])
        await _logged(gateway, _is("contracts refused"))
        assert 200 == await _status(session, gateway, "/v1/a/x")
        file.write_bytes(whole)
        await _until_served(session, gateway, "/v1/b/x")


async def test_a_service_without_upstream_is_refused(server: ChangingServer, file: Path):
    """A new service that no --upstream serves keeps the contracts from being served."""
    async with (
        server.served() as address,
        running(*_arguments(file, address, SERVICE)) as gateway,
        aiohttp.ClientSession() as session,
    ):
        replace(file, contracts("A", others=("B",)))
        event = await _logged(gateway, _is("contracts refused"))
        assert [f"{OTHER_SERVICE}: no --upstream serves it"] == event["faults"]
        assert 200 == await _status(session, gateway, "/v1/a/x")


async def test_a_new_service_is_reached(server: ChangingServer, file: Path):
    """A new service that has an upstream of its own is called there, and /readyz tells of it."""
    other = ChangingServer()
    async with (
        server.served() as address,
        other.served() as other_address,
        running(
            *_arguments(file, address, SERVICE), "--upstream", f"{OTHER_SERVICE}={other_address}"
        ) as gateway,
        aiohttp.ClientSession() as session,
    ):
        replace(file, contracts("A", others=("B",)))
        await _until_served(session, gateway, "/v1/b/x")
        async with session.get(f"{gateway.url}/readyz") as response:
            upstreams = (await response.json())["upstreams"]
        assert {SERVICE: "ready", OTHER_SERVICE: "ready"} == upstreams
        assert 1 == len(other.peers)
        replace(file, contracts("A"))
        await _logged(gateway, lambda event: event.get("removed") not in (None, []))
        assert 404 == await _status(session, gateway, "/v1/b/x")


async def test_hangup_reads_anew(server: ChangingServer, file: Path):
    """SIGHUP reads everything again, changed or not, and ends nothing."""
    async with (
        server.served() as address,
        running(*_arguments(file, address)) as gateway,
        aiohttp.ClientSession() as session,
    ):
        gateway.process.send_signal(signal.SIGHUP)
        event = await _logged(gateway, _is("contracts reloaded"))
        assert ([], []) == (event["added"], event["removed"])
        assert 200 == await _status(session, gateway, "/v1/a/x")


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
@pytest.mark.parametrize("transport", ["native", "grpc-aio"])
async def test_a_server_that_reflects_other_services(
    server: ChangingServer, version: str, transport: str
):
    """A server is asked again now and then, and what it says by then is served."""
    async with (
        server.served(version) as address,
        running(
            *("--access", "open", "--reflect", address, "--upstream", f"*={address}"),
            *("--reflect-seconds", "0.5", "--transport", transport),
        ) as gateway,
        aiohttp.ClientSession() as session,
    ):
        assert 200 == await _status(session, gateway, "/v1/a/x")
        server.reflect(contracts("A", "B"))
        await _until_served(session, gateway, "/v1/b/x")
        server.reflect(contracts("A", broken=True))
        await _logged(gateway, _is("contracts refused"))
        assert (200, 200) == (
            await _status(session, gateway, "/v1/a/x"),
            await _status(session, gateway, "/v1/b/x"),
        )


async def test_a_server_that_is_gone(server: ChangingServer):
    """While the server cannot be asked, what it said last is served."""
    other = ChangingServer()
    async with server.served() as address:
        async with other.served() as asked:
            context = running(
                *("--access", "open", "--reflect", asked, "--upstream", f"*={address}"),
                *("--reflect-seconds", "0.5"),
            )
            gateway = await context.__aenter__()
        try:
            event = await _logged(gateway, _is("contracts refused"))
            (fault,) = event["faults"]
            assert fault.endswith(": the server cannot be reached")
            async with aiohttp.ClientSession() as session:
                assert 200 == await _status(session, gateway, "/v1/a/x")
        finally:
            await context.__aexit__(None, None, None)
