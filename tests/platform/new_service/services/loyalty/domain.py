"""The rule of points, and what can be wrong with them."""

from services.mesh.errors import FailedPrecondition

MOST_POINTS = 1_000_000


class TooManyPoints(FailedPrecondition):
    """Nobody may have so many."""

    reason = "TOO_MANY_POINTS"


def grant(points: int, more: int) -> int:
    """Returns the points with `more` added. Raises TooManyPoints."""
    if points + more > MOST_POINTS:
        raise TooManyPoints(f"nobody may have more than {MOST_POINTS} points")
    return points + more
