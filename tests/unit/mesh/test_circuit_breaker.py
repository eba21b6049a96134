"""When calls to a service are held back, and when they go again."""

import pytest

from services.mesh.circuit_breaker import CircuitBreaker


class Service:
    """A service behind a breaker, with a clock moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.breaker = CircuitBreaker(lambda: self.now)

    def fails(self, times: int = 1) -> None:
        """Answer no call."""
        for _ in range(times):
            self.breaker.failed()

    def answers(self, times: int = 1) -> None:
        """Answer each call."""
        for _ in range(times):
            self.breaker.succeeded()


@pytest.fixture
def service() -> Service:
    """A service nobody has called yet."""
    return Service()


def test_ten_failures_in_a_row_open_it(service: Service):
    """The tenth call without an answer is the last one for a while."""
    service.fails(9)
    assert service.breaker.allows()
    service.fails()
    assert not service.breaker.allows()
    assert 0.5 == service.breaker.seconds_left()


def test_failures_among_answers_do_not_open_it(service: Service):
    """As long as more than half of the calls are answered they go on."""
    for _ in range(50):
        service.answers(2)
        service.fails()
    assert service.breaker.allows()


def test_failures_of_long_ago_do_not_count(service: Service):
    """Failures count within five seconds."""
    service.fails(9)
    service.now = 6
    service.fails(9)
    assert service.breaker.allows()


def test_one_call_tries_and_an_answer_closes_it(service: Service):
    """When its time is over a single call is let through; its answer lets all others follow."""
    service.fails(10)
    service.now = 0.5
    assert [True, False] == [service.breaker.allows(), service.breaker.allows()]
    service.answers()
    assert [True, True] == [service.breaker.allows(), service.breaker.allows()]
    assert not service.breaker.is_open


def test_it_opens_for_longer_and_longer(service: Service):
    """Each try that fails doubles the time, up to two seconds."""
    service.fails(10)
    seen = []
    for _ in range(4):
        service.now += service.breaker.seconds_left()
        assert service.breaker.allows()
        service.fails()
        seen.append(service.breaker.seconds_left())
    assert [1.0, 2.0, 2.0, 2.0] == seen


def test_calls_that_were_under_way_do_not_prolong_it(service: Service):
    """What fails after it opened, but began before, changes nothing."""
    service.fails(10)
    service.now = 0.4
    service.fails(50)
    assert 0.1 == pytest.approx(service.breaker.seconds_left())


def test_a_try_that_never_ends_does_not_hold_it_open(service: Service):
    """The next call may try when the span is over once more."""
    service.fails(10)
    service.now = 0.5
    assert service.breaker.allows()
    service.now = 1.0
    assert service.breaker.allows()
