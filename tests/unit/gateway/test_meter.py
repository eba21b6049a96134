"""How calls are counted by one process."""

import pytest

from gateway.rates.meter import Meter


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    """Gives a clock."""
    return Clock()


def taken(meter: Meter, who: str, calls: int) -> int:
    """Make calls at once; return how many of them were taken."""
    return sum(meter.take(who) == 0 for _ in range(calls))


def test_a_minutes_calls_may_come_at_once(clock: Clock):
    """A full bucket holds a minute's calls, for each caller its own."""
    meter = Meter("read", 30, clock)

    assert [30, 30] == [taken(meter, who, 40) for who in ("ada", "bob")]


def test_a_bucket_is_refilled_evenly(clock: Clock):
    """After a second of thirty a minute there is half a call, after ten there are five."""
    meter = Meter("read", 30, clock)
    taken(meter, "ada", 30)
    clock.seconds += 1
    assert 0 == taken(meter, "ada", 5)
    clock.seconds += 9.001
    assert 5 == taken(meter, "ada", 10)


def test_in_the_long_run_the_rate_holds(clock: Clock):
    """Who asks all the time gets the rate, and the bucket that was full at the start."""
    meter = Meter("read", 30, clock)
    total = 0
    for _ in range(600):
        total += taken(meter, "ada", 1)
        clock.seconds += 1

    assert 30 + 300 == pytest.approx(total, abs=1)


def test_the_wait_is_as_long_as_it_takes(clock: Clock):
    """Who waits as long as told is served, who comes earlier is not; refusals cost nothing."""
    meter = Meter("read", 30, clock)
    taken(meter, "ada", 30)
    wait = meter.take("ada")
    assert 2 == pytest.approx(wait)
    clock.seconds += wait - 0.01
    assert 0.01 == pytest.approx(meter.take("ada"))
    clock.seconds += 0.011
    assert 0 == meter.take("ada")


def test_what_others_took_counts(clock: Clock):
    """A debt to all processes is a debt here, together with what they have not been told yet."""
    meter = Meter("read", 30, clock)
    meter.changed = lambda: None
    taken(meter, "ada", 2)
    assert [("ada", 2)] == meter.untold()
    taken(meter, "ada", 3)
    meter.learn("ada", 2.0 * 20)
    assert 30 - 20 - 3 == taken(meter, "ada", 30)
    meter.learn("ada", 0)
    assert 0 == taken(meter, "ada", 1)


def test_there_is_something_to_tell_once(clock: Clock):
    """Whoever tells is woken by the first call, not by each."""
    meter = Meter("read", 30, clock)
    woken: list[str] = []
    meter.changed = lambda: woken.append("changed")
    taken(meter, "ada", 40)
    taken(meter, "bob", 1)
    assert (["changed"], [("ada", 30), ("bob", 1)]) == (woken, meter.untold())
    taken(meter, "bob", 1)
    assert (2, [("bob", 1)], []) == (len(woken), meter.untold(), meter.untold())


def test_who_calls_no_more_is_forgotten(clock: Clock):
    """Of addresses that came once, only those of the last minute are kept, and not without end."""
    meter = Meter("read", 30, clock)
    for number in range(5_000):
        meter.take(f"a{number}")
        clock.seconds += 1
    assert len(meter) < 2_100
    for number in range(101_000):
        assert 0 == meter.take(f"b{number}")
    assert 100_000 == len(meter)
    assert 0 < meter.take("b0") + sum(meter.take("b0") for _ in range(30))
