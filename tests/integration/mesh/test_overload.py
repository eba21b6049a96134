"""A process that is asked for too much, and a service that does not answer."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from services.local import ports
from services.mesh import concurrency_limit, room, served_call, status
from services.mesh.errors import RemoteError
from services.mesh.interceptors import admission
from tests import echo_server
from tests.echo import EchoRequest
from tests.echo_server import bearer, calling, echoing

ROOM = 10
NORMAL_ROOM = 9  # 85 percent, to the next whole call
LOW_ROOM = 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make everybody's certificates."""
    made = tmp_path_factory.mktemp("certs")
    echo_server.make_certificates(made)
    return made


class Gate:
    """Holds every call whose text is "hold" until it is opened; one that says "wait" only waits."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._changed = asyncio.Condition()
        self.held = 0
        self.attempts: list[str] = []

    async def __call__(self, request: Any, _context: Any) -> None:
        """Let a call pass, or hold it."""
        metadata = served_call.current().metadata
        self.attempts.append(metadata.get("grpc-previous-rpc-attempts", "0"))
        if request.text in ("hold", "wait"):
            async with self._changed:
                self.held += 1
                self._changed.notify_all()
            with room.waiting() if request.text == "wait" else contextlib.nullcontext():
                await self._opened.wait()

    def open(self) -> None:
        """Let all go."""
        self._opened.set()

    async def holds(self, count: int) -> None:
        """Wait until so many calls are held."""
        async with asyncio.timeout(60), self._changed:
            await self._changed.wait_for(lambda: self.held == count)


async def refusal(call: Awaitable[Any]) -> RemoteError | None:
    """Return the error with which a call ends, None if it does well."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return status.error_from_call(error)
    return None


async def test_what_matters_least_is_refused_first(folder: Path) -> None:
    """Calls beyond the limit are refused by priority, before anything is done; room comes back."""
    gate = Gate()
    async with (
        echoing(folder, gate, max_concurrency=ROOM) as at,
        calling(folder, at) as stub,
        asyncio.TaskGroup() as held,
    ):
        hold = EchoRequest(text="hold")
        for _ in range(LOW_ROOM):
            held.create_task(stub.Own(hold, metadata=bearer()))
        await gate.holds(LOW_ROOM)
        low = await refusal(stub.Admin(EchoRequest(), metadata=bearer(roles=["admin"])))
        assert low is not None
        assert ("RESOURCE_EXHAUSTED", "OVERLOADED") == (low.code, low.reason)
        assert low.retry_after is not None
        for _ in range(NORMAL_ROOM - LOW_ROOM):
            held.create_task(stub.Own(hold, metadata=bearer()))
        await gate.holds(NORMAL_ROOM)
        normal = await refusal(stub.WriteOnce(EchoRequest()))
        assert "OVERLOADED" == getattr(normal, "reason", None)
        assert NORMAL_ROOM == len(gate.attempts)
        assert await refusal(stub.SignedIn(EchoRequest(), metadata=bearer())) is None
        gate.open()
        while await refusal(stub.WriteOnce(EchoRequest())) is not None:
            await asyncio.sleep(0)


async def test_what_may_be_repeated_is_when_there_is_room(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused call that does no harm when repeated is repeated by gRPC after the time told."""
    gate = Gate()
    refused: list[float] = []
    come_back_seconds = concurrency_limit.come_back_seconds

    def refuse() -> float:
        # The second one is refused for the first time: when it comes back there is room.
        if refused:
            gate.open()
        refused.append(come_back_seconds())
        return refused[-1]

    monkeypatch.setattr(admission, "come_back_seconds", refuse)
    async with (
        echoing(folder, gate, max_concurrency=1) as at,
        calling(folder, at) as stub,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(stub.Own(EchoRequest(text="hold"), metadata=bearer()))
        await gate.holds(1)
        assert "OVERLOADED" == getattr(await refusal(stub.WriteOnce(EchoRequest())), "reason", None)
        assert await refusal(stub.Public(EchoRequest())) is None
    assert gate.attempts[-1] != "0"


async def test_streams_that_wait_take_no_room(folder: Path) -> None:
    """Open streams leave the room to calls."""
    async with echoing(folder, max_concurrency=2) as at, calling(folder, at) as stub:
        streams = [stub.Watch(EchoRequest(text="stay")) for _ in range(5)]
        for stream in streams:
            assert await stream.read() is not grpc.aio.EOF
        assert await refusal(stub.WriteOnce(EchoRequest())) is None
        for stream in streams:
            stream.cancel()


async def test_calls_that_wait_for_others_take_no_room(folder: Path) -> None:
    """Calls that wait for somebody else's work leave the room to others, and are then answered."""
    gate = Gate()
    async with (
        echoing(folder, gate, max_concurrency=ROOM) as at,
        calling(folder, at) as stub,
        asyncio.TaskGroup() as tasks,
    ):
        wait = EchoRequest(text="wait")
        waiting = [tasks.create_task(stub.Public(wait)) for _ in range(NORMAL_ROOM)]
        await gate.holds(NORMAL_ROOM)
        assert await refusal(stub.WriteOnce(EchoRequest())) is None
        gate.open()
    assert ["wait"] * NORMAL_ROOM == [task.result().text for task in waiting]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_a_service_that_does_not_answer_is_left_alone_until_it_does(folder: Path) -> None:
    """Calls to it soon fail at once; when it is back, one call finds out and the others follow."""
    address = ports.address(ports.free()[0])
    async with echoing(folder, listen=address) as at:
        pass
    async with calling(folder, at) as stub:
        seen: list[str] = []

        async def is_held_back() -> bool:
            error = await refusal(stub.WriteOnce(EchoRequest()))
            assert error is not None
            assert error.code == "UNAVAILABLE"
            seen.append(error.reason)
            return error.reason == "CIRCUIT_OPEN"

        await until(is_held_back)
        assert len(seen) > 10

        async def is_answered() -> bool:
            return await refusal(stub.WriteOnce(EchoRequest())) is None

        async with echoing(folder, listen=address):
            await until(is_answered)
            assert [None] * 20 == [await refusal(stub.WriteOnce(EchoRequest())) for _ in range(20)]


async def test_a_time_too_short_says_nothing_of_the_service(folder: Path) -> None:
    """Who gives a call no time gets no answer in time, and holds nobody else's calls back."""
    async with echoing(folder, Gate()) as at, calling(folder, at) as stub:
        for _ in range(30):
            late = await refusal(stub.Public(EchoRequest(text="hold"), timeout=0.001))
            assert "DEADLINE_EXCEEDED" == getattr(late, "code", None)
        assert await refusal(stub.WriteOnce(EchoRequest())) is None
