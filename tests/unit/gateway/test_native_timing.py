"""Windows, deadlines, keep-alive and retries of the native transport, without any socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from gateway.transcoding.transport import Reply
from gateway.transcoding.transport.native import frames
from gateway.transcoding.transport.native.answer import failure
from gateway.transcoding.transport.native.attempt import Attempt
from gateway.transcoding.transport.native.backoff import Backoff
from gateway.transcoding.transport.native.deadlines import Deadlines
from gateway.transcoding.transport.native.flow_control import Inflow, Outflow
from gateway.transcoding.transport.native.frames import ConnectionFault, FrameReader
from gateway.transcoding.transport.native.keepalive import Keepalive
from gateway.transcoding.transport.native.method_config import MethodConfig, MethodConfigs
from gateway.transcoding.transport.native.retry import Retries, Throttle


def _more(outflow: Outflow) -> bytes:
    """Gives all that may go now."""
    return b"".join(iter(outflow.more, b""))


def _sent(wire: bytes) -> dict[int, bytes]:
    """Gives what each stream has sent."""
    sent: dict[int, bytes] = {}
    for _, _, stream_id, payload in FrameReader().feed(wire):
        sent[stream_id] = sent.get(stream_id, b"") + payload
    return sent


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=5), st.integers(1, 700))
def test_outflow(bodies: list[bytes], step: int) -> None:
    """Messages go out whole by windows of any size, and never more than the windows permit."""
    outflow = Outflow()
    outflow.settle(0)
    wire, granted = b"", 0
    streams = {2 * number + 1: body for number, body in enumerate(bodies)}
    for stream_id, body in streams.items():
        wire += outflow.begin(stream_id, body)
    while _sent(wire) != streams:
        granted += step
        for stream_id in streams:
            outflow.widen(stream_id, step)
        wire += _more(outflow)
        assert all(len(body) <= granted for body in _sent(wire).values())
    assert len(bodies) == sum(
        flags & frames.END_STREAM for _, flags, _, _ in FrameReader().feed(wire)
    )


def test_outflow_of_a_connection() -> None:
    """All streams together send no more than the connection's window."""
    outflow = Outflow()
    wire = b"".join(outflow.begin(number, bytes(40_000)) for number in (1, 3))
    assert 65_535 == sum(map(len, _sent(wire).values()))
    outflow.widen(0, 100_000)
    assert {1: bytes(40_000), 3: bytes(40_000)} == _sent(wire + _more(outflow))


def test_outflow_by_turns() -> None:
    """However little the window opens, each stream that waits gets as much as any other."""
    outflow = Outflow()
    outflow.limit_frames(1_000)
    for number in (1, 3, 5):
        outflow.open(number)
    wire = b"".join(
        outflow.put(number, bytes(60_000), lambda: None, ends=False) for number in (1, 3, 5)
    )
    for _ in range(30):
        outflow.widen(0, 1_000)
        wire += _more(outflow)
    sizes = [len(body) for body in _sent(wire).values()]
    # The first began alone, with all of the window but what was left for the others.
    outflow.widen(0, 100_000)
    rest = _more(outflow)
    assert {1: 0, 3: 0, 5: 0}.keys() == _sent(wire).keys()
    assert 65_535 + 30_000 == sum(sizes)
    assert [15_000, 20_535] == sorted(sizes)[:2]
    assert {60_000} == {len(body) for body in _sent(wire + rest).values()}


def test_outflow_that_is_held() -> None:
    """While the network takes no more nothing goes, and then all that waited."""
    outflow = Outflow()
    outflow.open(1)
    outflow.is_held = True
    sent: list[int] = []
    assert b"" == outflow.put(1, b"later", lambda: sent.append(1), ends=False)
    assert [] == sent
    outflow.is_held = False
    assert {1: b"later"} == _sent(_more(outflow))
    assert [1] == sent


def test_outflow_of_a_stream() -> None:
    """A stream sends message after message, and its end by an empty frame, windows or not."""
    outflow = Outflow()
    outflow.settle(3)
    outflow.open(1)
    sent: list[str] = []
    wire = outflow.put(1, b"abcdef", lambda: sent.append("first"), ends=False)
    assert ({1: b"abc"}, []) == (_sent(wire), sent)
    outflow.widen(1, 3)
    wire += _more(outflow)
    assert ({1: b"abcdef"}, ["first"]) == (_sent(wire), sent)
    [(_, flags, _, payload)] = FrameReader().feed(outflow.put(1, b"", lambda: None, ends=True))
    assert (frames.END_STREAM, b"") == (flags, payload)
    assert not outflow.discard(1)


def test_window_overflow() -> None:
    """A window beyond 2^31-1 is a fault (RFC 9113 section 6.9.1)."""
    with pytest.raises(ConnectionFault):
        Outflow().widen(0, 2**31 - 1)


def test_inflow() -> None:
    """A window opens again when half of it is used, and is not to be exceeded."""
    inflow = Inflow(100)
    assert [0, 51, 0, 60] == [inflow.take(size) for size in (50, 1, 50, 10)]
    with pytest.raises(ConnectionFault):
        inflow.take(101)


class _Caller:
    def answered(self, reply: Reply) -> None:
        raise AssertionError(reply)

    def failed(self, error: Exception) -> None:
        raise AssertionError(error)


class _Waiting:
    def __init__(self) -> None:
        self.expired_at: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def expire(self) -> None:
        self.expired_at.set_result(asyncio.get_running_loop().time())


@pytest.fixture
async def deadlines() -> AsyncIterator[Deadlines]:
    """Makes deadlines that wait for nothing."""
    made = Deadlines()
    yield made
    made.close()


async def test_deadlines(deadlines: Deadlines) -> None:
    """Each deadline is met after its time, whatever the order in which they were registered."""
    now = asyncio.get_running_loop().time()
    waiting = {now + delay: _Waiting() for delay in (0.2, 0.05, 0.1)}
    for when, each in waiting.items():
        deadlines.add(when, each)
    async with asyncio.timeout(30):
        for when, each in waiting.items():
            assert await each.expired_at >= when


async def test_discarded_deadline(deadlines: Deadlines) -> None:
    """A deadline that was discarded does not come; others do."""
    when = asyncio.get_running_loop().time() + 0.02
    early, late = _Waiting(), _Waiting()
    deadlines.discard(deadlines.add(when, early), early)
    deadlines.add(when + 0.05, late)
    async with asyncio.timeout(30):
        await late.expired_at
    assert not early.expired_at.done()


async def test_a_deadline_that_is_added_when_another_comes(deadlines: Deadlines) -> None:
    """What one that expires begins anew holds up nobody else's deadline."""
    now = asyncio.get_running_loop().time()
    other, later = _Waiting(), _Waiting()

    class Again:
        def expire(self) -> None:
            deadlines.add(now + 60, later)

    deadlines.add(now, Again())
    deadlines.add(now + 0.05, other)
    async with asyncio.timeout(30):
        await other.expired_at
    assert not later.expired_at.done()


async def test_keepalive() -> None:
    """A peer that answers no ping is given up; one that says anything is not."""
    loop = asyncio.get_running_loop()
    lost: asyncio.Future[None] = loop.create_future()
    pings: list[float] = []

    def ping() -> bool:
        pings.append(loop.time())
        if len(pings) < 3:
            loop.call_soon(setattr, keepalive, "has_heard", True)  # noqa: FBT003  # setattr's way
        return True

    keepalive = Keepalive(
        loop,
        ping,
        lambda: lost.set_result(None),
        interval_seconds=0.02,
        timeout_seconds=0.05,
        quiet_seconds=0.02,
    )
    keepalive.start()
    async with asyncio.timeout(30):
        await lost
    assert 3 == len(pings)


class _Clock:
    """What of a loop tells the time; runs what is due when a test says so."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._due: Callable[[], None] = lambda: None

    def call_later(self, seconds: float, due: Callable[[], None]) -> None:
        """Keeps what is due."""
        self.waits.append(seconds)
        self._due = due

    def tick(self) -> None:
        """Runs it."""
        self._due()


def test_keepalive_of_a_silent_stream() -> None:
    """A peer that answers a ping and is silent again is asked seldom; one that speaks, often."""
    clock: Any = _Clock()
    pings: list[float] = []

    def ping() -> bool:
        pings.append(sum(clock.waits))
        return True

    keepalive = Keepalive(clock, ping, pytest.fail)
    keepalive.start()
    for _ in range(3):
        clock.tick()
        keepalive.has_heard = True
        clock.tick()
    assert [30, 30 + 10 + 310, 30 + 10 + 310 + 10 + 310] == pings
    keepalive.has_heard = True
    clock.tick()
    assert 30 == clock.waits[-1]


async def test_keepalive_without_calls() -> None:
    """Without a call nobody is pinged or given up."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    count = 0

    def ping() -> bool:
        nonlocal count
        count += 1
        if count == 3:
            asked.set()
        return False

    keepalive = Keepalive(loop, ping, pytest.fail, interval_seconds=0.01, timeout_seconds=0.01)
    keepalive.start()
    async with asyncio.timeout(30):
        await asked.wait()
    keepalive.stop()


def test_backoff() -> None:
    """Each wait is longer, up to the longest, a fifth more or less."""
    backoff = Backoff(initial_seconds=1, max_seconds=4, multiplier=2)
    for expected in (1, 2, 4, 4):
        assert expected * 0.8 <= backoff.next_seconds() <= expected * 1.2
    backoff.reset()
    assert backoff.next_seconds() <= 1.2


_POLICY: dict[str, Any] = {
    "maxAttempts": 9,
    "initialBackoff": "0.1s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


def test_method_configs() -> None:
    """A method's own config wins over its service's, and that over the default."""
    configs = MethodConfigs(
        {
            "methodConfig": [
                {"name": [{}], "timeout": "1s"},
                {"name": [{"service": "a.B"}], "timeout": "2s"},
                {"name": [{"service": "a.B", "method": "C"}], "retryPolicy": _POLICY},
            ]
        }
    )
    timeouts = [configs.find(path).timeout_seconds for path in ("/x.Y/Z", "/a.B/D", "/a.B/C")]
    assert [1.0, 2.0, None] == timeouts
    retry = configs.find("/a.B/C").retry
    assert retry is not None
    # gRFC A6: no more than five.
    assert 5 == retry.max_attempts
    assert MethodConfig() == MethodConfigs({}).find("/a.B/C")


def test_throttle() -> None:
    """Retries stop at half of the tokens, and go on when calls have succeeded."""
    throttle = Throttle({"retryThrottling": {"maxTokens": 4, "tokenRatio": 0.5}})
    assert [True, False, False] == [throttle.on_failure() for _ in range(3)]
    for _ in range(6):
        throttle.on_success()
    assert throttle.on_failure()


async def test_codes_of_a_policy() -> None:
    """Only the codes of the policy are retried."""
    policy = MethodConfigs({"methodConfig": [{"name": [{}], "retryPolicy": _POLICY}]}).find("/")
    assert policy.retry is not None
    attempt = Attempt("/a.B/C", b"", 0, b"", _Caller(), 100)
    retries = Retries(policy.retry, Throttle({}))
    assert retries.wait_seconds(failure(code_pb2.ABORTED, ""), attempt) is None
    assert retries.wait_seconds(failure(code_pb2.UNAVAILABLE, ""), attempt) is not None
