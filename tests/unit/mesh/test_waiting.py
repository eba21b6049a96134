"""Who waits for news is woken by what concerns them, and waits no longer than asked for."""

import asyncio

import pytest

from services.mesh import waiting
from services.mesh.waiting import Watchers


async def test_news_reach_those_whom_they_concern() -> None:
    """Everybody who waits for the key is woken, nobody else."""
    watchers = Watchers()
    with (
        watchers.watching("a") as first,
        watchers.watching("a") as second,
        watchers.watching("b") as other,
    ):
        watchers.wake("a")
        assert [True, True, False] == [event.is_set() for event in (first, second, other)]


async def test_everybody_is_woken_when_news_may_be_missing() -> None:
    """Whatever they wait for."""
    watchers = Watchers()
    with watchers.watching("a") as one, watchers.watching("b") as other:
        watchers.wake_everybody()
        assert [True, True] == [one.is_set(), other.is_set()]


async def test_who_has_left_is_forgotten() -> None:
    """However they left, nothing is kept of them, and news for nobody are no failure."""
    watchers = Watchers()
    with watchers.watching("a"), pytest.raises(RuntimeError):  # noqa: SIM117  # one leaves, one stays
        with watchers.watching("a"):
            assert 2 == len(watchers)
            raise RuntimeError
    watchers.wake("a")
    assert 0 == len(watchers)


async def test_waiting_ends_with_the_event_or_the_time() -> None:
    """It says which of the two it was."""
    event = asyncio.Event()
    late = await waiting.set_within(event, 0.001)
    asyncio.get_running_loop().call_soon(event.set)
    assert (False, True) == (late, await waiting.set_within(event, 60))
