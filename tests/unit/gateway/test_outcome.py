"""Outcomes: what is to come, and what is made of it."""

import asyncio

import pytest

from gateway.transcoding.outcome import Outcome, outcome


def _plus_one(result: int | None, error: BaseException | None) -> int:
    if error is not None or result is None:
        raise error or TypeError
    return result + 1


def _or_zero(result: int | None, error: BaseException | None) -> int:
    return 0 if error is not None or result is None else result


async def test_a_result_is_made_of_the_result() -> None:
    """Who waits gets what the steps make of the result, one after the other."""
    source: Outcome[int] = Outcome()
    waiting = asyncio.ensure_future(source.then(_plus_one).then(_plus_one))
    await asyncio.sleep(0)
    source.settle(1)
    assert 3 == await waiting


def test_steps_are_taken_at_once() -> None:
    """A step is taken when the result comes, not in a later turn of the loop."""
    seen: list[int] = []
    source: Outcome[int] = Outcome()
    source.then(_plus_one).tell(lambda result, _: seen.append(result))
    source.settle(1)
    assert [2] == seen


def test_a_step_upon_what_has_come_is_taken_at_once() -> None:
    """It makes no difference whether the step or the result is there first."""
    seen: list[int] = []
    source: Outcome[int] = Outcome()
    source.settle(1)
    source.then(_plus_one).tell(lambda result, _: seen.append(result))
    assert [2] == seen


async def test_a_failure_goes_on() -> None:
    """What the source failed by is raised, unless it is made something of."""
    source: Outcome[int] = Outcome()
    made = source.then(_plus_one)
    source.settle(None, KeyError("k"))
    with pytest.raises(KeyError):
        await made


async def test_a_step_makes_something_of_a_failure() -> None:
    """A step gets what the one before it raised, and may end it."""
    source: Outcome[int] = Outcome()
    made = source.then(lambda result, _: 1 // result).then(_or_zero)
    source.settle(0)
    assert 0 == await made


async def test_what_comes_first_counts() -> None:
    """A result that comes after another one, or after the end of all interest, is not taken."""
    source: Outcome[int] = Outcome()
    source.settle(1)
    source.settle(2)
    source.cancel()
    assert 1 == await source


async def test_steps_hear_of_the_end_of_interest() -> None:
    """A cancelled outcome is CancelledError for its steps and for who waits."""
    seen: list[BaseException | None] = []
    source: Outcome[int] = Outcome()
    source.tell(lambda _, error: seen.append(error))
    source.cancel()
    source.settle(1)
    assert [asyncio.CancelledError] == [type(error) for error in seen]


async def test_who_waits_and_is_cancelled_cancels() -> None:
    """A task that is cancelled while it waits wants the outcome no more."""
    source: Outcome[int] = Outcome()

    async def wait() -> int:
        return await source

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(asyncio.CancelledError):
        await source


async def test_several_may_wait() -> None:
    """Everybody who waits gets the same."""
    source: Outcome[int] = Outcome()
    waiting = asyncio.gather(source, source)
    await asyncio.sleep(0)
    source.settle(1)
    assert [1, 1] == list(await waiting)


@pytest.mark.parametrize("error", [None, KeyError("k")])
async def test_the_outcome_of_a_future_is_the_futures(error: Exception | None) -> None:
    """A future's result or failure becomes its outcome's."""
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    followed = outcome(future).then(_or_zero if error else _plus_one)
    if error is None:
        future.set_result(1)
    else:
        future.set_exception(error)
    assert (0 if error else 2) == await followed


async def test_a_future_is_cancelled_with_its_outcome_and_cancels_it() -> None:
    """Cancelling goes both ways."""
    loop = asyncio.get_running_loop()
    first: asyncio.Future[int] = loop.create_future()
    second: asyncio.Future[int] = loop.create_future()
    followed = outcome(second)
    outcome(first).cancel()
    second.cancel()
    assert first.cancelled()
    with pytest.raises(asyncio.CancelledError):
        await followed


def test_an_outcome_is_its_own() -> None:
    """What is an outcome already is given back."""
    source: Outcome[int] = Outcome()
    assert source is outcome(source)
