"""Futures made of the outcomes of others."""

import asyncio

import pytest

from gateway.transcoding.derived import Derived


def _plus_one(source: "asyncio.Future[int]") -> int:
    return source.result() + 1


def _source() -> "asyncio.Future[int]":
    return asyncio.get_running_loop().create_future()


async def test_a_result_is_made_of_the_result() -> None:
    """The derived future has what is made of the source's result."""
    source = _source()
    derived = Derived(source, _plus_one)
    source.set_result(1)
    assert 2 == await derived


async def test_a_failure_goes_on() -> None:
    """What the source failed by is raised, unless it is made something of."""
    source = _source()
    derived = Derived(source, _plus_one)
    source.set_exception(KeyError("k"))
    with pytest.raises(KeyError):
        await derived


async def test_cancelling_goes_back() -> None:
    """Cancelling the derived future cancels the source."""
    source = _source()
    derived = Derived(source, _plus_one)
    derived.cancel()
    with pytest.raises(asyncio.CancelledError):
        await derived
    assert source.cancelled()


async def test_cancelling_goes_on() -> None:
    """A source that is cancelled leaves nothing to wait for."""
    source = _source()
    derived = Derived(source, _plus_one)
    source.cancel()
    with pytest.raises(asyncio.CancelledError):
        await derived
