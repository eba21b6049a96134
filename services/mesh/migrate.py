"""Forward-only migrations: SQL files applied in order, each in its own transaction.

    services/order/migrations/0001_create_orders.sql          NNNN_name.sql, from 0001 without gaps
    services/mesh/migrations/outbox/0001_create_outbox.sql     what the mesh keeps in a service's store

    await migrate.run(url, package="services.order", mesh=("outbox", "idempotency"))

Applied files are recorded with their checksum in `schema_migrations`. A file that was applied and
has changed or vanished stops the run before anything is done. Old code keeps running beside the new
schema, so a migration only adds, or drops what nothing has used since the release before.
"""

import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib import resources

import asyncpg
import structlog

_log = structlog.get_logger(__name__)

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


class MigrationError(Exception):
    """The files and what the database records of them do not agree; the message says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file: `source` is who brings it, `version` its number."""

    source: str
    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> bytes:
        return hashlib.sha256(self.sql.encode()).digest()


async def run(
    url: str,
    *,
    package: str,
    mesh: Sequence[str] = (),
    lock_timeout: timedelta = timedelta(seconds=5),
    statement_timeout: timedelta = timedelta(minutes=5),
) -> list[Migration]:
    """Brings the database at `url` to the schema of `package` and returns what was applied.

    `mesh` names the folders of `services/mesh/migrations` that the service uses; they come first.
    Raises MigrationError when history does not agree, and asyncpg's errors when SQL fails: the files
    before the failing one stay applied. Runs at the same time wait for each other.
    """
    raise NotImplementedError
