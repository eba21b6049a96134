"""What reconciliations have found, and when they ran."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from services.mesh.amount import Amount
from services.mesh.database import Database
from services.mesh.ids import new_id
from services.payment.domain import Discrepancy, DiscrepancyType, Finding, Resolution

_LOCK = "SELECT pg_advisory_lock(hashtext('reconciliation'))"

_IS_DUE = """
    SELECT NOT EXISTS (
        SELECT FROM reconciliations
        WHERE end_time IS NOT NULL AND begin_time > clock_timestamp() - $1::interval
    )
"""

# It begins where the last one began, and not after what is open, with a day more for clocks that
# differ and for what was on its way then.
_BEGIN = """
    INSERT INTO reconciliations (reconciliation_id, begin_time) VALUES ($1, clock_timestamp())
    RETURNING begin_time, least(
        (SELECT max(begin_time) FROM reconciliations WHERE end_time IS NOT NULL),
        (SELECT min(occur_time) FROM discrepancies WHERE resolve_time IS NULL)
    ) - interval '1 day' AS since,
    (SELECT count(*) FROM reconciliations WHERE end_time IS NOT NULL) = 0 AS is_first
"""

_END = "UPDATE reconciliations SET end_time = clock_timestamp() WHERE reconciliation_id = $1"

_INSERT = """
    INSERT INTO discrepancies (discrepancy_id, type, subject, payment_id, order_id, provider_key,
        detail, recorded, other, occur_time)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (type, subject) WHERE resolve_time IS NULL DO NOTHING
"""

_RESOLVE = """
    UPDATE discrepancies SET resolve_time = clock_timestamp(), resolution = $3
    WHERE type = $1 AND subject = $2 AND resolve_time IS NULL
"""

_OPEN = "SELECT type, subject FROM discrepancies WHERE resolve_time IS NULL"

_PAGE = """
    SELECT discrepancy_id, type, payment_id, order_id, provider_key, detail, recorded, other,
        occur_time, create_time, resolve_time, resolution
    FROM discrepancies
    WHERE ($1 OR resolve_time IS NULL) AND ($2::uuid IS NULL OR discrepancy_id < $2)
    ORDER BY discrepancy_id DESC LIMIT $3
"""

_FIGURES = """
    SELECT (SELECT json_object_agg(type, open) FROM (
            SELECT type, count(*) AS open FROM discrepancies
            WHERE resolve_time IS NULL GROUP BY type
        ) AS by_type) AS open,
        (SELECT extract(epoch FROM max(begin_time))::float8 FROM reconciliations
            WHERE end_time IS NOT NULL) AS last_seconds
"""

Subject = tuple[DiscrepancyType, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A reconciliation: it looks at what happened from `since`, None for ever, to `begin_time`."""

    reconciliation_id: UUID
    begin_time: datetime
    since: datetime | None


class DiscrepancyStore:
    """Discrepancies and reconciliations."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Lets one reconciliation run at a time; raises Aborted when another goes on for long."""
        async with self._db.connection() as conn:
            # The pool takes the lock away when it gets the connection back.
            await conn.execute(_LOCK)
            yield

    async def is_due(self, every: timedelta) -> bool:
        """Tells whether no reconciliation that began within this time has come to its end."""
        async with self._db.connection() as conn:
            return bool(await conn.fetchval(_IS_DUE, every))

    async def begin(self) -> Run:
        """Writes down that a reconciliation begins."""
        async with self._db.connection() as conn:
            reconciliation_id = new_id()
            (row,) = await conn.fetch(_BEGIN, reconciliation_id)
        return Run(
            reconciliation_id=reconciliation_id,
            begin_time=row["begin_time"],
            since=None if row["is_first"] else row["since"],
        )

    async def end(self, run: Run) -> None:
        """Writes down that a reconciliation has looked at everything."""
        async with self._db.connection() as conn:
            await conn.execute(_END, run.reconciliation_id)

    async def add(self, finding: Finding) -> None:
        """Writes a finding down, unless the same is open already."""
        async with self._db.connection() as conn:
            await conn.execute(
                _INSERT,
                new_id(),
                finding.type,
                finding.subject,
                finding.payment_id,
                finding.order_id,
                finding.provider_key,
                finding.detail,
                _json(finding.recorded),
                _json(finding.other),
                finding.occur_time,
            )

    async def resolve(self, subject: Subject, resolution: Resolution) -> None:
        """Writes down how a discrepancy was resolved."""
        async with self._db.connection() as conn:
            await conn.execute(_RESOLVE, *subject, resolution)

    async def open(self) -> set[Subject]:
        """Returns the type and the subject of every open discrepancy."""
        async with self._db.connection() as conn:
            rows = await conn.fetch(_OPEN)
        return {(DiscrepancyType(row["type"]), row["subject"]) for row in rows}

    async def page(
        self, *, before: UUID | None, size: int, show_resolved: bool
    ) -> list[Discrepancy]:
        """Returns discrepancies, the newest first: those older than `before`."""
        async with self._db.connection() as conn:
            rows = await conn.fetch(_PAGE, show_resolved, before, size)
        return [_discrepancy(row) for row in rows]

    async def figures(self) -> tuple[dict[str, int], float]:
        """Returns how many are open by type, and when the last run began, in seconds since 1970."""
        async with self._db.connection() as conn:
            (row,) = await conn.fetch(_FIGURES)
        return json.loads(row["open"] or "{}"), row["last_seconds"] or 0.0


def _json(amount: Amount | None) -> str | None:
    return None if amount is None else json.dumps(asdict(amount))


def _amount(text: str | None) -> Amount | None:
    return None if text is None else Amount(**json.loads(text))


def _discrepancy(row: asyncpg.Record) -> Discrepancy:
    return Discrepancy(
        discrepancy_id=row["discrepancy_id"],
        finding=Finding(
            type=DiscrepancyType(row["type"]),
            detail=row["detail"],
            occur_time=row["occur_time"],
            payment_id=row["payment_id"],
            order_id=row["order_id"],
            provider_key=row["provider_key"],
            recorded=_amount(row["recorded"]),
            other=_amount(row["other"]),
        ),
        create_time=row["create_time"],
        resolve_time=row["resolve_time"],
        resolution=row["resolution"] and Resolution(row["resolution"]),
    )
