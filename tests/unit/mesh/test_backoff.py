"""What fails is tried again, ever more rarely, and nothing else is swallowed."""

from datetime import timedelta
from itertools import islice

import pytest

from services.mesh import backoff


def test_delays() -> None:
    """Each wait is between half and whole of a ceiling that doubles up to a bound."""
    waits = list(islice(backoff.delays(first=timedelta(seconds=1), most=timedelta(seconds=5)), 5))
    for wait, ceiling in zip(waits, [1, 2, 4, 5, 5], strict=True):
        assert ceiling / 2 <= wait <= ceiling


async def test_repeat() -> None:
    """Work is repeated despite the failures named, and any other failure goes through."""
    endings: list[Exception | None] = [ValueError("named"), None, KeyError("other")]
    seen: list[Exception | None] = []

    async def work() -> None:
        ending = endings[len(seen)]
        seen.append(ending)
        if ending:
            raise ending

    with pytest.raises(KeyError):
        await backoff.repeat(work, despite=(ValueError,), name="test")
    assert seen == endings
