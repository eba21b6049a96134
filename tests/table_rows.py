"""How many rows of a table the statements of a test read, and how many each may delete."""

from services.mesh.database import Connection, Database

_READ = """
    SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables
    WHERE relname = $1
"""

_REFUSE_LARGE_DELETES = """
    CREATE OR REPLACE FUNCTION refuse_large_deletes() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF (SELECT count(*) FROM gone) > TG_ARGV[0]::integer THEN
            RAISE EXCEPTION 'too many for one statement' USING ERRCODE = 'query_canceled';
        END IF;
        RETURN NULL;
    END
    $$;
    CREATE TRIGGER refuse_large_deletes AFTER DELETE ON {table} REFERENCING OLD TABLE AS gone
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_large_deletes({most});
"""


async def read(db: Database, table: str) -> int:
    """Returns how many rows of a table were read until now; `db` has one connection alone."""
    async with db.connection() as conn:
        # What other connections have read is counted a little later.
        await conn.execute("SELECT pg_stat_force_next_flush()")
        return int(await conn.fetchval(_READ, table))


async def refuse_large_deletes(conn: Connection, table: str, *, most: int) -> None:
    """Has a statement that deletes more fail like one that takes too long, whatever the machine."""
    await conn.execute(_REFUSE_LARGE_DELETES.format(table=table, most=most))
