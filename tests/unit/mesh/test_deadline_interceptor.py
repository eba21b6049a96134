"""A call whose time is over is not served."""

from types import SimpleNamespace
from typing import Any

import pytest

from services.mesh.errors import DeadlineExceeded
from services.mesh.interceptors.deadline import deadline


@pytest.mark.parametrize("own", [1.0, None])
async def test_a_call_that_comes_too_late_is_not_begun(own: float | None):
    """What waited for its turn until its time was over fails, and its handler never runs."""
    served: list[Any] = []

    async def handler(request: Any, _context: Any) -> None:
        served.append(request)

    method: Any = SimpleNamespace(deadline=own)
    context: Any = SimpleNamespace(time_remaining=lambda: -0.01)
    with pytest.raises(DeadlineExceeded):
        await deadline(method, handler)("request", context)
    assert served == []
