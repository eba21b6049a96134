"""The queries over points."""

from uuid import UUID

from services.loyalty import domain
from services.mesh.database import Database


class PointStore:
    """Points."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def get(self, user_id: UUID) -> int:
        """Returns the user's points."""
        async with self._db.connection() as conn:
            return int(
                await conn.fetchval("SELECT points FROM balances WHERE user_id = $1", user_id) or 0
            )

    async def grant(self, user_id: UUID, more: int) -> int:
        """Adds points and returns how many there are now. Raises TooManyPoints."""
        async with self._db.transaction() as conn:
            await conn.execute(
                "INSERT INTO balances (user_id) VALUES ($1) ON CONFLICT DO NOTHING", user_id
            )
            points = await conn.fetchval(
                "SELECT points FROM balances WHERE user_id = $1 FOR UPDATE", user_id
            )
            points = domain.grant(points, more)
            await conn.execute(
                "UPDATE balances SET points = $2 WHERE user_id = $1", user_id, points
            )
        return points
