"""How many orders are in the saga's hands, and since when."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from services.mesh.database import Database
from services.order.domain import UNPAID, State

# An order that is undone began to be so with its last step.
_BY_STATE = """
    SELECT state, count(*) AS count, extract(epoch FROM clock_timestamp() - min(
        CASE WHEN state = 'CANCELLING' THEN update_time ELSE create_time END
    ))::float8 AS oldest_seconds
    FROM orders WHERE next_attempt_at IS NOT NULL
    GROUP BY state
"""

# An order may take until it is overdue, and from then on only as long as undoing takes.
_STUCK = """
    SELECT order_id FROM orders
    WHERE next_attempt_at IS NOT NULL
        AND CASE WHEN state = ANY($1) THEN pay_by ELSE update_time END
            <= clock_timestamp() - $2::interval
    ORDER BY create_time LIMIT $3
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Orders in one state that the saga has not ended, and the age of the oldest in seconds."""

    count: int = 0
    oldest_seconds: float = 0.0


class FigureStore:
    """Counts orders that the saga has not ended."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def by_state(self) -> dict[State, Figures]:
        """Returns the figures of each state that has such orders."""
        async with self._db.connection() as conn:
            rows = await conn.fetch(_BY_STATE)
        return {
            State(row["state"]): Figures(count=row["count"], oldest_seconds=row["oldest_seconds"])
            for row in rows
        }

    async def stuck(self, *, longer_than: timedelta, most: int) -> list[UUID]:
        """Returns orders, the oldest first, that have been for so long where they should not be.

        Those are the unpaid ones after their time is over, and those that are undone or confirmed.
        """
        async with self._db.connection() as conn:
            rows = await conn.fetch(_STUCK, list(UNPAID), longer_than, most)
        return [row["order_id"] for row in rows]
