"""Calls to other services: deadlines and traces are handed on, and only what may be is repeated."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from prometheus_client import REGISTRY

from services.mesh import served_call, status
from services.mesh.errors import DeadlineExceeded, NotFound, Unavailable
from tests import echo_server
from tests.echo import EchoRequest, EchoStub
from tests.echo_server import calling, echoing, mesh_of

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make everybody's certificates."""
    made = tmp_path_factory.mktemp("certs")
    echo_server.make_certificates(made)
    return made


class Backend:
    """What a server behind another does, and what it saw of its calls."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.remaining: list[float | None] = []
        self.metadata: list[dict[str, str]] = []
        self.was_cancelled = asyncio.Event()

    async def __call__(self, request: Any, _context: Any) -> None:
        """Remember the call; fail as often as told, hang if the text says so."""
        self.remaining.append(served_call.remaining())
        self.metadata.append(dict(served_call.current().metadata))
        if self.failures:
            raise self.failures.pop(0)
        if request.text == "hang":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.was_cancelled.set()
                raise


async def code_of(call: Any) -> str:
    """Return the code with which a call ends."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


@pytest.fixture
async def chain(folder: Path) -> AsyncIterator[tuple[EchoStub, Backend]]:
    """Serve a backend and, before it, a front that calls it; gives a stub of the front."""
    backend = Backend()
    async with (
        echoing(folder, backend) as behind,
        mesh_of(folder, "gateway", behind) as mesh,
    ):
        inner = EchoStub(mesh.channel("echo"))

        async def forward(request: Any, _context: Any) -> None:
            await inner.Public(EchoRequest(text=request.text), timeout=60)

        async with echoing(folder, forward) as front, calling(folder, front) as stub:
            yield stub, backend


async def test_a_contracts_deadline_is_kept_by_the_client(folder: Path) -> None:
    """A call without a timeout gets the contract's; the handler knows what is left of it."""
    backend = Backend()
    async with echoing(folder, backend) as at, calling(folder, at) as stub:
        await stub.WriteOnce(EchoRequest())
    left = backend.remaining[0]
    assert left is not None
    assert 0 < left <= 2


async def test_a_call_that_takes_too_long_ends(folder: Path) -> None:
    """At the contract's deadline the caller is told, and the handler is cancelled."""
    backend = Backend()
    async with echoing(folder, backend) as at, calling(folder, at) as stub:
        begin = time.monotonic()
        code = await code_of(stub.WriteOnce(EchoRequest(text="hang")))
        seconds = time.monotonic() - begin
        await asyncio.wait_for(backend.was_cancelled.wait(), 60)
    assert code == "DEADLINE_EXCEEDED"
    assert 1.9 < seconds


@pytest.mark.parametrize("given", [None, 60])
async def test_the_server_keeps_the_deadline_itself(folder: Path, given: float | None) -> None:
    """A client that gives no deadline, or a longer one, gets no more time than the contract's."""
    backend = Backend()
    credentials = grpc.ssl_channel_credentials(
        *((folder / name).read_bytes() for name in ("ca.pem", "gateway-key.pem", "gateway.pem"))
    )
    async with (
        echoing(folder, backend) as at,
        grpc.aio.secure_channel(at.address, credentials) as channel,
    ):
        begin = time.monotonic()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await EchoStub(channel).WriteOnce(EchoRequest(text="hang"), timeout=given)
        seconds = time.monotonic() - begin
    error = status.error_from_call(caught.value)
    assert ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED") == (error.code, error.reason)
    # Of the two the contract's came first.
    assert 1.9 < seconds < 50
    assert backend.was_cancelled.is_set()


async def test_many_calls_keep_their_own_deadlines(folder: Path) -> None:
    """Calls that begin at different times end at different times; those that finish are let be."""
    async with echoing(folder, Backend()) as at, calling(folder, at) as stub:

        async def call(delay: float, text: str) -> tuple[str, float]:
            await asyncio.sleep(delay)
            begin = time.monotonic()
            return await code_of(stub.WriteOnce(EchoRequest(text=text), timeout=60)), (
                time.monotonic() - begin
            )

        texts = ("hang", "quick", "hang", "quick", "hang")
        ends = await asyncio.gather(*(call(n * 0.05, text) for n, text in enumerate(texts)))
    assert ["DEADLINE_EXCEEDED", "OK", "DEADLINE_EXCEEDED", "OK", "DEADLINE_EXCEEDED"] == [
        code for code, _ in ends
    ]
    assert all(1.9 < seconds < 50 for code, seconds in ends if code != "OK")


async def test_a_child_call_has_no_more_time_than_its_parent(
    chain: tuple[EchoStub, Backend],
) -> None:
    """What is left of the served call bounds the calls that it makes, whatever they ask for."""
    stub, backend = chain
    await stub.WriteOnce(EchoRequest())
    left = backend.remaining[0]
    assert left is not None
    assert left <= 2


async def test_a_cancelled_parent_cancels_its_child(chain: tuple[EchoStub, Backend]) -> None:
    """When the served call's time is over, so is that of the call it waits for."""
    stub, backend = chain
    assert await code_of(stub.WriteOnce(EchoRequest(text="hang"))) == "DEADLINE_EXCEEDED"
    await asyncio.wait_for(backend.was_cancelled.wait(), 60)


async def test_without_time_nothing_is_sent(folder: Path) -> None:
    """A call for which no time is left is refused at once."""
    codes: list[str] = []
    reached = Backend()
    async with echoing(folder, reached) as behind, mesh_of(folder, "gateway", behind) as mesh:
        inner = EchoStub(mesh.channel("echo"))

        async def spend(_request: Any, _context: Any) -> None:
            served_call.current().expiry = time.monotonic() - 0.001
            codes.append(await code_of(inner.Public(EchoRequest())))

        async with echoing(folder, spend) as front, calling(folder, front) as stub:
            await stub.Public(EchoRequest())
    assert (["DEADLINE_EXCEEDED"], []) == (codes, reached.metadata)


async def test_the_request_id_and_the_trace_are_handed_on(
    chain: tuple[EchoStub, Backend],
) -> None:
    """A call made for another has its request id and its trace."""
    stub, backend = chain
    await stub.Public(
        EchoRequest(), metadata=(("x-request-id", "request-1"), ("traceparent", TRACEPARENT))
    )
    seen = backend.metadata[0]
    assert ("request-1", TRACEPARENT) == (seen["x-request-id"], seen["traceparent"])


async def test_both_sides_count_a_call_under_the_same_names(
    chain: tuple[EchoStub, Backend],
) -> None:
    """Who makes a call and who serves it say the same of its type, service and method."""
    stub, _ = chain
    await stub.Public(EchoRequest())
    labels = {
        side: {
            tuple(sample.labels.items())
            for family in REGISTRY.collect()
            if family.name == f"grpc_{side}_handled"
            for sample in family.samples
            if sample.labels["grpc_method"] == "Public" and sample.labels["grpc_code"] == "OK"
        }
        for side in ("client", "server")
    }
    assert labels["client"] == labels["server"] != set()


@pytest.mark.parametrize("given", ["", "x" * 129, "a b"])
async def test_a_strange_request_id_is_replaced(
    chain: tuple[EchoStub, Backend], given: str
) -> None:
    """An id that is no short printable word does not reach the logs."""
    stub, backend = chain
    await stub.Public(EchoRequest(), metadata=(("x-request-id", given),))
    assert backend.metadata[0]["x-request-id"] not in ("", given)


async def test_a_persons_token_is_not_handed_on(chain: tuple[EchoStub, Backend]) -> None:
    """A service calls others as itself, not with what a person gave it."""
    stub, backend = chain
    await stub.SignedIn(EchoRequest(), metadata=echo_server.bearer("ann"))
    assert "authorization" not in backend.metadata[0]


@pytest.mark.parametrize(
    ("rpc", "failure", "tries"),
    [
        ("Public", Unavailable("busy"), 2),
        ("Write", Unavailable("busy"), 2),
        ("WriteOnce", Unavailable("busy"), 1),
        ("Public", NotFound("gone"), 1),
        ("Write", DeadlineExceeded("late"), 1),
    ],
)
async def test_only_what_may_be_is_repeated(
    folder: Path, rpc: str, failure: Exception, tries: int
) -> None:
    """A call is repeated only if that does no harm and may help."""
    backend = Backend(failure)
    async with echoing(folder, backend) as at, calling(folder, at) as stub:
        await code_of(getattr(stub, rpc)(EchoRequest(), timeout=60))
    assert tries == len(backend.metadata)


@pytest.mark.parametrize(("rpc", "tries"), [("Write", 2), ("WriteOnce", 1)])
async def test_what_a_server_has_not_begun_when_it_ends_is_repeated(
    folder: Path, rpc: str, tries: int
) -> None:
    """A server that stops cancels, within gRPC, the calls that it has accepted and not begun."""
    attempts: list[str] = []

    async def behave(request: Any, context: Any) -> None:
        attempts.append(request.text)
        if len(attempts) == 1:
            await context.abort(grpc.StatusCode.CANCELLED)

    async with echoing(folder, behave) as at, calling(folder, at) as stub:
        code = await code_of(getattr(stub, rpc)(EchoRequest(), timeout=60))
    assert (tries, "OK" if tries > 1 else "CANCELLED") == (len(attempts), code)


async def test_repeating_ends(folder: Path) -> None:
    """After three tries the caller is told."""
    backend = Backend(*(Unavailable("busy") for _ in range(9)))
    async with echoing(folder, backend) as at, calling(folder, at) as stub:
        assert await code_of(stub.Public(EchoRequest(), timeout=60)) == "UNAVAILABLE"
    assert len(backend.metadata) == 3


async def test_calls_can_be_tasks(folder: Path) -> None:
    """A unary call is a coroutine, so that a task group can run several side by side."""
    async with (
        echoing(folder) as at,
        calling(folder, at) as stub,
        asyncio.TaskGroup() as group,
    ):
        tasks = [group.create_task(stub.Public(EchoRequest(text=text))) for text in "ab"]
        answers = [(await task).text for task in tasks]
    assert answers == ["a", "b"]
