"""How users want to be told."""

from uuid import UUID

from services.mesh.database import Connection, Database
from services.notification.domain import Channel, Preferences

_UPSERT = """
    INSERT INTO preferences (user_id, channels, phone_number) VALUES ($1, $2, $3)
    ON CONFLICT (user_id) DO UPDATE
        SET channels = excluded.channels, phone_number = excluded.phone_number
"""


class PreferenceStore:
    """Preferences."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def get(self, user_id: UUID) -> Preferences:
        """Returns what the user has set, or what is so by default."""
        async with self._db.connection() as conn:
            return await self.read(conn, user_id)

    async def read(self, conn: Connection, user_id: UUID) -> Preferences:
        """Returns the same, in the caller's transaction."""
        row = await conn.fetchrow(
            "SELECT channels, phone_number FROM preferences WHERE user_id = $1", user_id
        )
        if row is None:
            return Preferences()
        return Preferences(
            channels=tuple(Channel(each) for each in row["channels"]),
            phone_number=row["phone_number"],
        )

    async def set(self, user_id: UUID, preferences: Preferences) -> None:
        """Replaces the user's preferences."""
        async with self._db.connection() as conn:
            await conn.execute(
                _UPSERT, user_id, list(preferences.channels), preferences.phone_number
            )
