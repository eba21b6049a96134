"""Connections that come and go, limits of a server, retries: by either transport."""

import asyncio
import time
from typing import Any

import pytest
from google.rpc import code_pb2

from gateway.transcoding.errors import StatusError
from gateway.transcoding.transport import Transport
from tests import reserved_port
from tests.integration.gateway.transports import KINDS, SERVICE, Calls, call, opened

pytestmark = [pytest.mark.timeout(60), pytest.mark.parametrize("kind", KINDS)]


def _retrying(attempts: int = 3, **more: Any) -> dict[str, Any]:
    """Makes a service config with retries."""
    policy = {
        "maxAttempts": attempts,
        "initialBackoff": "0.01s",
        "maxBackoff": "0.1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return {"methodConfig": [{"name": [{"service": SERVICE}], "retryPolicy": policy}], **more}


async def _code(transport: Transport, method: str, seconds: float = 30) -> int:
    try:
        await transport.unary(call(method, timeout=seconds), b"")
    except StatusError as error:
        return error.status.code
    return code_pb2.OK


async def test_nobody_listens(kind: str) -> None:
    """A service that is not there is UNAVAILABLE, long before the deadline, and not ready."""
    with reserved_port.held() as port:
        async with opened(kind, port) as transport:
            assert code_pb2.UNAVAILABLE == await _code(transport, "Echo", seconds=30)
            assert not await transport.is_ready(SERVICE)


async def test_restarts(kind: str) -> None:
    """While a server restarts, calls succeed or are UNAVAILABLE; then all succeed."""
    calls = Calls()
    codes: set[int] = set()
    with reserved_port.held() as port:
        async with opened(kind, port) as transport:
            is_over = asyncio.Event()

            async def load() -> None:
                while not is_over.is_set():
                    codes.add(await _code(transport, "Brief"))

            async with asyncio.TaskGroup() as group:
                for _ in range(8):
                    group.create_task(load())
                for _ in range(3):
                    async with calls.served(port=port):
                        seen = calls.seen["Brief"]
                        async with asyncio.timeout(30):
                            while calls.seen["Brief"] < seen + 20:
                                await asyncio.sleep(0.01)
                is_over.set()
            # What a stopping server answers for calls under way is CANCELLED by itself.
            assert codes <= {code_pb2.OK, code_pb2.UNAVAILABLE, code_pb2.CANCELLED}
            async with calls.served(port=port):
                async with asyncio.timeout(30):
                    while await _code(transport, "Echo") != code_pb2.OK:
                        await asyncio.sleep(0.05)
                assert {code_pb2.OK} == {await _code(transport, "Echo") for _ in range(20)}


async def test_connection_age(kind: str) -> None:
    """A server that ends its connections after a while costs no call."""
    options = (("grpc.max_connection_age_ms", 150), ("grpc.max_connection_age_grace_ms", 5000))
    async with Calls().served(*options) as port, opened(kind, port) as transport:
        end = time.monotonic() + 2
        codes: list[int] = []

        async def load() -> None:
            while time.monotonic() < end:
                codes.append(await _code(transport, "Brief"))

        await asyncio.gather(*(load() for _ in range(8)))
        assert {code_pb2.OK} == set(codes)


async def test_one_at_a_time(kind: str) -> None:
    """A server that takes one call at a time gets one at a time, and all of them."""
    calls = Calls()
    async with (
        calls.served(("grpc.max_concurrent_streams", 1)) as port,
        opened(kind, port) as transport,
    ):
        codes = await asyncio.gather(*(_code(transport, "Brief") for _ in range(30)))
    assert [code_pb2.OK] * 30 == codes
    assert 1 == calls.most_at_once


async def test_deadline_of_a_waiting_call(kind: str) -> None:
    """A call that waits for its turn until its deadline never reaches the server."""
    calls = Calls()
    async with (
        calls.served(("grpc.max_concurrent_streams", 1)) as port,
        opened(kind, port) as transport,
    ):
        first = asyncio.create_task(_code(transport, "Hang"))
        async with asyncio.timeout(30):
            await calls.hanging.wait()
        assert code_pb2.DEADLINE_EXCEEDED == await _code(transport, "Echo", seconds=0.2)
        first.cancel()
        await asyncio.wait([first])
        assert code_pb2.OK == await _code(transport, "Brief")
    assert 0 == calls.seen["Echo"]


async def test_retry(kind: str) -> None:
    """A call is made again while its policy says so, and tells how often it was made before."""
    calls = Calls(failures=2)
    async with calls.served() as port, opened(kind, port, config=_retrying()) as transport:
        assert code_pb2.OK == await _code(transport, "Flaky")
    assert 3 == calls.seen["Flaky"]
    before = [dict(metadata).get("grpc-previous-rpc-attempts") for metadata in calls.metadata]
    assert [None, "1", "2"] == before


async def test_retries_end(kind: str) -> None:
    """A call that goes on failing fails after as many tries as its policy says."""
    calls = Calls(failures=9)
    async with calls.served() as port, opened(kind, port, config=_retrying()) as transport:
        assert code_pb2.UNAVAILABLE == await _code(transport, "Flaky")
    assert 3 == calls.seen["Flaky"]


async def test_no_retry_without_policy(kind: str) -> None:
    """A call without a policy is made once."""
    calls = Calls(failures=9)
    async with calls.served() as port, opened(kind, port) as transport:
        assert code_pb2.UNAVAILABLE == await _code(transport, "Flaky")
    assert 1 == calls.seen["Flaky"]


async def test_no_retry_after_headers(kind: str) -> None:
    """A call whose answer had begun is not made again."""
    calls = Calls()
    async with calls.served() as port, opened(kind, port, config=_retrying()) as transport:
        assert code_pb2.UNAVAILABLE == await _code(transport, "Late")
    assert 1 == calls.seen["Late"]


async def test_pushback(kind: str) -> None:
    """A server says when to come again."""
    calls = Calls(failures=1, pushback="400")
    async with calls.served() as port, opened(kind, port, config=_retrying()) as transport:
        begin = time.monotonic()
        assert code_pb2.OK == await _code(transport, "Flaky")
        assert time.monotonic() - begin >= 0.35
    assert 2 == calls.seen["Flaky"]


async def test_pushback_for_good(kind: str) -> None:
    """A server says not to come again."""
    calls = Calls(failures=1, pushback="-1")
    async with calls.served() as port, opened(kind, port, config=_retrying()) as transport:
        assert code_pb2.UNAVAILABLE == await _code(transport, "Flaky")
    assert 1 == calls.seen["Flaky"]


async def test_throttling(kind: str) -> None:
    """Retries stop while too many calls fail, and only then."""
    calls = Calls(failures=10**6)
    config = _retrying(attempts=2, retryThrottling={"maxTokens": 4, "tokenRatio": 0.1})
    async with calls.served() as port, opened(kind, port, config=config) as transport:
        counts = []
        for _ in range(4):
            before = calls.seen["Flaky"]
            await _code(transport, "Flaky")
            counts.append(calls.seen["Flaky"] - before)
    # Tokens after each failure: 3, 2 | 1 | 0 | 0; more than 2 are needed.
    assert [2, 1, 1, 1] == counts


async def test_deadline_over_retries(kind: str) -> None:
    """The deadline holds for all tries together."""
    calls = Calls(failures=9, pushback="5000")
    async with calls.served() as port, opened(kind, port, config=_retrying()) as transport:
        assert code_pb2.DEADLINE_EXCEEDED == await _code(transport, "Flaky", seconds=0.3)
