"""A drain breaks no call that ends in time, and leaves nothing running."""

import asyncio
import contextlib
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.mesh import status
from services.mesh.server import Listening
from tests import echo_server
from tests.conftest import Eventually
from tests.echo import EchoRequest, EchoStub
from tests.echo_server import calling, echoing

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make everybody's certificates."""
    made = tmp_path_factory.mktemp("certs")
    echo_server.make_certificates(made)
    return made


class Server:
    """An echo server that is drained in the middle of a call."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.entered = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.ended: list[str] = []
        self._server = echoing(folder, self._behave, **changes)

    async def _behave(self, request: Any, _context: Any) -> None:
        if not request.text:
            return
        self.entered.set()
        try:
            await self.may_go_on.wait()
            self.ended.append("answered")
        finally:
            # What a handler must still do when it is cancelled, for example to roll back.
            await asyncio.sleep(0.1)
            self.ended.append("cleaned up")

    async def __aenter__(self) -> Listening:
        """Serve."""
        return await self._server.__aenter__()

    async def drain(self) -> None:
        """Drain and stop."""
        await self._server.__aexit__(None, None, None)


async def is_refused(stub: EchoStub) -> bool:
    """Say whether a new call is refused."""
    try:
        await stub.WriteOnce(EchoRequest(), timeout=1)
    except grpc.aio.AioRpcError as error:
        return error.code() is grpc.StatusCode.UNAVAILABLE
    return False


async def test_a_running_call_is_answered(folder: Path, eventually: Eventually) -> None:
    """A call that is being served is answered, while new ones are refused."""
    server = Server(folder)
    listening = await server.__aenter__()
    async with calling(folder, listening) as stub:
        call = asyncio.create_task(stub.Public(EchoRequest(text="slow")))
        await server.entered.wait()
        drain = asyncio.create_task(server.drain())
        await eventually(lambda: is_refused(stub))
        server.may_go_on.set()
        answer = await call
        await drain
    assert ("slow", ["answered", "cleaned up"]) == (answer.text, server.ended)


async def test_a_call_that_takes_too_long_is_cancelled_and_awaited(folder: Path) -> None:
    """After the grace a handler is cancelled, and the drain waits until it has cleaned up."""
    server = Server(folder, drain_grace=timedelta(milliseconds=200))
    listening = await server.__aenter__()
    async with calling(folder, listening) as stub:
        call = asyncio.create_task(stub.Public(EchoRequest(text="slow")))
        await server.entered.wait()
        await server.drain()
        assert server.ended == ["cleaned up"]
        with pytest.raises(grpc.aio.AioRpcError):
            await call


async def test_a_busy_loop_at_the_end_of_the_grace_breaks_nothing(tmp_path: Path) -> None:
    """Whatever of the drain comes late and at once, the process outlives it."""
    arguments = (sys.executable, "-m", "tests.busy_drains", str(tmp_path))
    process = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(200):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_an_open_stream_is_ended_by_the_drain(folder: Path) -> None:
    """A stream that could go on for ever is told to come back elsewhere, before the grace ends."""
    server = Server(folder, drain_grace=timedelta(seconds=30))
    listening = await server.__aenter__()
    async with calling(folder, listening) as stub:
        call = stub.Watch(EchoRequest(text="stay"))
        server.may_go_on.set()
        await call.read()
        await call.read()
        await asyncio.wait_for(server.drain(), 25)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    error = status.error_from_call(caught.value)
    assert ("UNAVAILABLE", "DRAINING") == (error.code, error.reason)


async def test_the_drain_begins_by_not_being_ready(folder: Path, eventually: Eventually) -> None:
    """While it waits for others to notice, a draining server is not ready but still serves."""
    server = Server(folder, drain_wait=timedelta(seconds=4))
    listening = await server.__aenter__()
    async with (
        calling(folder, listening) as stub,
        grpc.aio.insecure_channel(listening.probe_address) as probe,
    ):
        health: Any = health_pb2_grpc.HealthStub(probe)
        await health.Check(health_pb2.HealthCheckRequest(), timeout=60)
        await stub.Public(EchoRequest())
        drain = asyncio.create_task(server.drain())

        async def is_not_ready() -> bool:
            answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=60)
            return bool(answer.status == NOT_SERVING)

        await eventually(is_not_ready)
        answer = await stub.Public(EchoRequest())
        await drain
    assert answer.service == "gateway"


async def test_who_watches_the_health_does_not_hold_up_the_drain(folder: Path) -> None:
    """A watcher of the health is told, and not waited for."""
    # The wait is what it is told in.
    server = Server(folder, drain_wait=timedelta(seconds=2), drain_grace=timedelta(seconds=60))
    listening = await server.__aenter__()
    async with echo_server.mesh_of(folder, "gateway", listening) as mesh:
        health: Any = health_pb2_grpc.HealthStub(mesh.channel("echo"))
        watch = health.Watch(health_pb2.HealthCheckRequest())
        await watch.read()
        drain = asyncio.create_task(server.drain())
        assert (await watch.read()).status == NOT_SERVING
        await asyncio.wait_for(drain, 40)
        watch.cancel()


async def test_nothing_is_left_running(folder: Path) -> None:
    """After the drain no task of the server is left."""
    before = asyncio.all_tasks()
    server = Server(folder)
    listening = await server.__aenter__()
    async with calling(folder, listening) as stub:
        await stub.Public(EchoRequest())
        await server.drain()
    left: Callable[[], set[asyncio.Task[Any]]] = lambda: {  # noqa: E731  # asked again and again
        task for task in asyncio.all_tasks() - before if "grpc" not in repr(task.get_coro())
    }
    # What ends may begin something that ends too.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(60):
            while running := left():
                await asyncio.wait(running)
    assert left() == set()
