"""The shop survives every fault, once each, while people buy."""

import pytest

from tests.chaos import report
from tests.chaos.conftest import Short
from tests.chaos.faults import FAULTS

pytestmark = pytest.mark.timeout(420)


def test_every_invariant_holds(short: Short):
    """After each fault was injected once, every invariant holds and nothing is left to do."""
    assert short.outcome.holds, "\n" + "\n".join(report.lines(short.plan, short.outcome))


def test_every_fault_took_effect(short: Short):
    """Each fault was really injected: a point was reached, a process killed, a call refused."""
    missed = [name for name in FAULTS if not short.outcome.injected[name]]
    assert missed == [], "\n" + "\n".join(report.lines(short.plan, short.outcome))


def test_people_could_buy(short: Short):
    """All the while orders were placed, and patient clients got their answers."""
    assert short.outcome.orders > 100
    assert short.outcome.unanswered == 0
