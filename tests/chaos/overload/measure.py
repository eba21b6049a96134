"""What a stretch of time looked like to the visitors who left in it."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.overload.visitors import CHECKOUT, LOOK, Visit

_BUCKET_SECONDS = 1.0
_WELL = 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """`checkouts`: how many came to buy a second. `orders`: were confirmed, a second.

    `looks`: how many looks were answered a second. `shed`: the share of each kind for which there
    was no room. `median`, `most`: the seconds of a confirmed purchase, 50th and 99th percentile.
    """

    name: str
    checkouts: float
    orders: float
    looks: float
    shed: dict[str, float]
    median: float
    most: float


def stretch(
    name: str, visits: Sequence[Visit], *, checkouts: float, began: float, ended: float
) -> Stretch:
    """Returns the figures of the visits that ended between two times."""
    seen = [each for each in visits if began <= each.ended < ended]
    bought = sorted(each.seconds for each in seen if each.kind == CHECKOUT and each.ok)
    looked = [each for each in seen if each.kind == LOOK and each.ok]
    return Stretch(
        name=name,
        checkouts=checkouts,
        orders=len(bought) / (ended - began),
        looks=len(looked) / (ended - began),
        shed={kind: _shed(seen, kind) for kind in (CHECKOUT, LOOK)},
        median=_percentile(bought, 0.5),
        most=_percentile(bought, 0.99),
    )


def well_after(visits: Sequence[Visit], *, began: float, ended: float) -> float | None:
    """Returns after how many seconds all who came were served; None if not before the end.

    From then on, of those who came in each second, 98 of 100 were.
    """
    well: float | None = None
    moment = began
    while moment + _BUCKET_SECONDS <= ended:
        came = [each for each in visits if moment <= each.began < moment + _BUCKET_SECONDS]
        if sum(each.ok for each in came) < _WELL * len(came):
            well = None
        elif well is None:
            well = moment - began
        moment += _BUCKET_SECONDS
    return well


def _shed(visits: Sequence[Visit], kind: str) -> float:
    of_kind = [each.was_shed for each in visits if each.kind == kind]
    return sum(of_kind) / len(of_kind) if of_kind else 0.0


def _percentile(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0
