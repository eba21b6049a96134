"""A gateway that is asked for too much, and one whose upstream does not answer."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests import reserved_port
from tests.conftest import Eventually
from tests.integration.gateway.echo import Echo
from tests.integration.gateway.process import running

Get = Callable[[str], Coroutine[Any, Any, tuple[int, Any, Any]]]


@pytest.fixture
def getting(session: aiohttp.ClientSession) -> Callable[[str], Get]:
    """Makes what gets paths of a gateway: status, headers and JSON of each."""

    def of(url: str) -> Get:
        async def get(path: str) -> tuple[int, Any, Any]:
            async with session.get(f"{url}{path}") as answer:
                return answer.status, answer.headers, await answer.json()

        return get

    return of


def reason(body: Any) -> str:
    """Gives the reason of an error."""
    return next((each["reason"] for each in body["details"] if "reason" in each), "")


async def test_what_there_is_no_room_for_is_refused_and_told_when_to_come_back(
    echo: Echo,
    descriptor_file: Path,
    getting: Callable[[str], Get],
    eventually: Eventually,
) -> None:
    """Beyond the limit a call is answered 429 with Retry-After, and is not made."""
    arguments = ("--descriptors", str(descriptor_file), "--upstream", f"*={echo.address}")
    async with running(*arguments, "--access", "open", SOUK_MAX_CONCURRENCY="2") as gateway:
        get = getting(gateway.url)
        held = [asyncio.create_task(get("/v1/texts/slow")) for _ in range(2)]

        async def are_held() -> bool:
            return len(echo.calls) == len(held)

        await eventually(are_held)
        status, headers, body = await get("/v1/texts/a")
        assert (429, "OVERLOADED") == (status, reason(body))
        assert int(headers["retry-after"]) >= 1
        assert len(held) == len(echo.calls)
        for each in held:
            each.cancel()
        await asyncio.wait(held)

        async def is_served() -> bool:
            return (await get("/v1/texts/a"))[0] == 200

        await eventually(is_served)


async def test_an_upstream_that_does_not_answer_is_left_alone_for_a_while(
    descriptor_file: Path, getting: Callable[[str], Get]
) -> None:
    """After ten calls that nobody answered the next one fails without being made."""
    seen: list[tuple[int, str]] = []
    with reserved_port.held() as port:
        upstream = ("--descriptors", str(descriptor_file), "--upstream", f"*=127.0.0.1:{port}")
        async with running(*upstream, "--access", "open") as gateway, asyncio.timeout(30):
            get = getting(gateway.url)
            while not seen or seen[-1] != (503, "CIRCUIT_OPEN"):
                status, _, body = await get("/v1/texts/a")
                seen.append((status, reason(body)))
    assert [503] * len(seen) == [status for status, _ in seen]
    assert len(seen) > 10
