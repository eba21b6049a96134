"""Futures made of the outcomes of others."""

import asyncio

import pytest

from gateway.transcoding.derived import Derived, derived


def _plus_one(result: int | None, error: BaseException | None) -> int:
    if error is not None or result is None:
        raise error or TypeError
    return result + 1


def _or_zero(result: int | None, error: BaseException | None) -> int:
    return 0 if error is not None or result is None else result


def _source() -> "asyncio.Future[int]":
    return asyncio.get_running_loop().create_future()


async def test_a_result_is_made_of_the_result() -> None:
    """The derived future has what is made of the source's result."""
    source = _source()
    made = Derived(source, _plus_one)
    source.set_result(1)
    assert 2 == await made


async def test_a_failure_goes_on() -> None:
    """What the source failed by is raised, unless it is made something of."""
    source = _source()
    made = Derived(source, _plus_one)
    source.set_exception(KeyError("k"))
    with pytest.raises(KeyError):
        await made


async def test_cancelling_goes_back() -> None:
    """Cancelling the derived future cancels the source."""
    source = _source()
    made = Derived(source, _plus_one)
    made.cancel()
    with pytest.raises(asyncio.CancelledError):
        await made
    assert source.cancelled()


async def test_cancelling_goes_on() -> None:
    """A source that is cancelled leaves nothing to wait for."""
    source = _source()
    made = Derived(source, _plus_one)
    source.cancel()
    with pytest.raises(asyncio.CancelledError):
        await made


async def test_steps_share_a_future() -> None:
    """A step upon a derived future that is open is one more step of the same future."""
    source = _source()
    first = derived(source, _plus_one)
    assert first is derived(first, _plus_one)
    source.set_result(1)
    assert 3 == await first


async def test_a_step_makes_something_of_a_failure() -> None:
    """A step gets what the one before it raised, and may end it."""
    source = _source()
    made = derived(derived(source, _plus_one), _or_zero)
    source.set_exception(KeyError("k"))
    assert 0 == await made


async def test_a_future_that_is_done_stays_as_it_is() -> None:
    """A step upon a derived future that is done makes another future."""
    source = _source()
    first = derived(source, _plus_one)
    source.set_result(1)
    await first
    assert (2, 3) == (await first, await derived(first, _plus_one))
