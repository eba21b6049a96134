"""Events that could not be handled."""

from uuid import UUID

import asyncpg

from services.mesh.database import Connection, Database
from services.mesh.ids import new_id
from services.notification.domain import DeadLetter, DeadLetterNotFound

_COLUMNS = """
    dead_letter_id, event_id, type, raw, error, attempt_count, create_time, redrive_time
"""

_PAGE = f"""
    SELECT {_COLUMNS} FROM dead_letters
    WHERE $1::uuid IS NULL OR dead_letter_id < $1
    ORDER BY dead_letter_id DESC LIMIT $2
"""  # noqa: S608 - our own text

_GET = f"SELECT {_COLUMNS} FROM dead_letters WHERE dead_letter_id = $1"  # noqa: S608 - our own text

_LOCK = f"{_GET} FOR UPDATE"

_INSERT = """
    INSERT INTO dead_letters (dead_letter_id, event_id, type, raw, error, attempt_count)
    VALUES ($1, $2, $3, $4, $5, $6)
"""

_REDRIVEN = f"""
    UPDATE dead_letters SET redrive_time = clock_timestamp(), attempt_count = attempt_count + 1
    WHERE dead_letter_id = $1 RETURNING {_COLUMNS}
"""  # noqa: S608 - our own text

_OPEN_COUNT = "SELECT count(*) FROM dead_letters WHERE redrive_time IS NULL"

_FAILED = """
    UPDATE dead_letters SET error = $2, attempt_count = attempt_count + 1 WHERE dead_letter_id = $1
"""


class DeadLetterStore:
    """Dead letters."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def add(
        self,
        conn: Connection,
        *,
        event_id: UUID | None,
        type: str,  # noqa: A002 - the envelope's own word
        raw: str,
        error: str,
        attempt_count: int,
    ) -> None:
        """Writes one in the caller's transaction."""
        await conn.execute(_INSERT, new_id(), event_id, type, raw, error, attempt_count)

    async def page(self, *, before: UUID | None, size: int) -> list[DeadLetter]:
        """Returns dead letters, the newest first: those older than `before`."""
        async with self._db.connection() as conn:
            rows = await conn.fetch(_PAGE, before, size)
        return [_dead_letter(row) for row in rows]

    async def open_count(self) -> int:
        """Returns how many were not handled after all."""
        async with self._db.connection() as conn:
            return int(await conn.fetchval(_OPEN_COUNT))

    async def get(self, dead_letter_id: UUID) -> DeadLetter:
        """Returns one. Raises DeadLetterNotFound."""
        async with self._db.connection() as conn:
            row = await conn.fetchrow(_GET, dead_letter_id)
        return _dead_letter(row)

    async def lock(self, conn: Connection, dead_letter_id: UUID) -> DeadLetter:
        """Returns one and keeps others from changing it. Raises DeadLetterNotFound."""
        return _dead_letter(await conn.fetchrow(_LOCK, dead_letter_id))

    async def redriven(self, conn: Connection, dead_letter_id: UUID) -> DeadLetter:
        """Writes down that it was handled after all, and returns it as it is then."""
        return _dead_letter(await conn.fetchrow(_REDRIVEN, dead_letter_id))

    async def failed(self, dead_letter_id: UUID, error: str) -> None:
        """Writes down that it failed once more."""
        async with self._db.connection() as conn:
            await conn.execute(_FAILED, dead_letter_id, error)


def _dead_letter(row: asyncpg.Record | None) -> DeadLetter:
    if row is None:
        raise DeadLetterNotFound("there is no such dead letter")
    return DeadLetter(**row)
