"""How the limit of calls at once follows what the process can do."""

import pytest

from services.mesh.concurrency_limit import ConcurrencyLimit, UsualTime
from souk.mesh.v1.policy_pb2 import Priority

QUICK = 0.005
SLOW = 0.5


class Process:
    """A process whose clock is moved by hand."""

    def __init__(self, highest: int = 1000) -> None:
        self.now = 0.0
        self.limit = ConcurrencyLimit(highest=highest, clock=lambda: self.now)
        self.usual = UsualTime()

    def serve(self, at_once: int, seconds: float, usual: UsualTime | None = None) -> None:
        """Serve so many calls at once, each of which takes so long."""
        for _ in range(at_once):
            self.limit.begin()
        self.now += max(seconds, 0.1)
        for _ in range(at_once):
            self.limit.end(usual or self.usual, seconds)


@pytest.fixture
def process() -> Process:
    """A process that knows how long its RPC usually takes."""
    process = Process()
    process.serve(1, QUICK)
    return process


def test_it_grows_while_calls_stay_quick(process: Process):
    """A limit that is reached grows up to the highest as long as nobody waits."""
    for _ in range(100):
        process.serve(process.limit.limit, QUICK)
    assert 1000 == process.limit.limit


def test_it_stays_where_it_is_not_needed(process: Process):
    """Calls that come nowhere near the limit leave it as it is."""
    for _ in range(100):
        process.serve(30, QUICK)
    assert 100 == process.limit.limit


def test_it_falls_while_most_calls_wait(process: Process):
    """Once most calls are several times slower than usual the limit falls, down to the lowest."""
    process.serve(100, SLOW)
    assert 75 == process.limit.limit
    for _ in range(20):
        process.serve(process.limit.limit, SLOW)
    assert 20 == process.limit.limit


def test_it_recovers(process: Process):
    """After an overload the limit grows again."""
    for _ in range(20):
        process.serve(process.limit.limit, SLOW)
    for _ in range(100):
        process.serve(process.limit.limit, QUICK)
    assert 1000 == process.limit.limit


def test_a_few_slow_calls_are_no_overload(process: Process):
    """One call in three that takes long, perhaps for what it asks, does not bring it down."""
    for _ in range(20):
        for _ in range(60):
            process.limit.begin()
        process.now += 0.1
        for number in range(60):
            process.limit.end(process.usual, SLOW if number % 3 == 0 else QUICK)
    assert 100 == process.limit.limit


def test_an_rpc_that_is_slow_by_nature_is_no_overload(process: Process):
    """Each RPC is measured by what is usual for it."""
    slow_by_nature = UsualTime()
    process.serve(1, SLOW, slow_by_nature)
    for _ in range(20):
        process.serve(60, SLOW, slow_by_nature)
    assert 100 == process.limit.limit


def test_an_rpc_that_may_take_long_is_slow_only_later(process: Process):
    """A call is not slow before a quarter of its RPC's deadline is over, on top of the usual."""
    patient = UsualTime(deadline=4 * SLOW)
    process.serve(1, QUICK, patient)
    for _ in range(20):
        process.serve(60, SLOW, patient)
    assert 100 == process.limit.limit


def test_an_rpc_may_become_slower_for_good(process: Process):
    """A time that has become usual is learnt while the process has little to do."""
    for _ in range(3000):
        process.serve(1, SLOW)
    process.serve(60, SLOW)
    assert 100 == process.limit.limit


def test_little_traffic_changes_nothing(process: Process):
    """A handful of slow calls says nothing yet."""
    for _ in range(60):
        process.limit.begin()
    process.now += 1
    for _ in range(18):
        process.limit.end(process.usual, SLOW)
    assert 100 == process.limit.limit


def test_a_call_that_waits_for_others_leaves_its_room():
    """Its place is another's as long as it waits, but no more wait than may be served at most."""
    limit = Process(highest=3).limit
    for _ in range(2):
        limit.begin()
        limit.leave()
    limit.begin()
    assert not limit.admits(Priority.PRIORITY_HIGH)
    limit.leave()
    limit.come_back()
    limit.come_back()
    assert 2 == limit.under_way


@pytest.mark.parametrize(
    ("priority", "room"),
    [
        (Priority.PRIORITY_LOW, 70),
        (Priority.PRIORITY_UNSPECIFIED, 85),
        (Priority.PRIORITY_NORMAL, 85),
        (Priority.PRIORITY_HIGH, 100),
    ],
)
def test_what_matters_least_is_refused_first(priority: Priority.ValueType, room: int):
    """Calls of a priority may fill their part of the limit, the rest is for those above."""
    limit = Process().limit
    begun = 0
    while limit.admits(priority):
        limit.begin()
        begun += 1
    assert room == begun


def test_the_highest_bounds_the_lowest():
    """A process told to serve a few calls serves no more, from the start."""
    assert 3 == Process(highest=3).limit.limit
