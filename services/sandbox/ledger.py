"""The ledger: what was asked under each key and what came of it. Nothing in it ever changes.

| operation     | is declined when                                                            |
|---------------|-----------------------------------------------------------------------------|
| authorization | its token says so, or its key was voided before it came                     |
| capture       | its authorization does not stand, is captured already, or is smaller        |
| void          | its authorization is captured                                               |
| refund        | its capture does not stand, or more would be given back than was taken      |

An operation names the one it follows by that one's key. Each is on disk before it is answered.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS operations (
        position    INTEGER PRIMARY KEY,
        key         TEXT NOT NULL UNIQUE,
        type        TEXT NOT NULL,
        follows     TEXT,              -- the key of the authorization or capture
        payment     TEXT,              -- the merchant's name for the payment
        token       TEXT,
        currency    TEXT,
        minor       INTEGER,           -- in minor units of the currency
        declined    TEXT,              -- why; NULL when it was done
        reference   TEXT NOT NULL,
        create_time TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS operations_follows ON operations (follows);
"""

_COLUMNS = "key, type, follows, payment, token, currency, minor, declined, reference, create_time"


class KeyReused(Exception):
    """The key was used before, for something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What is asked for under one key: an `authorization`, `capture`, `void` or `refund`.

    `follows` is the key of the authorization that is captured or voided, or of the capture that is
    refunded. `minor` counts minor units of `currency`; a void has no amount.
    """

    key: str
    type: str
    follows: str | None = None
    payment: str | None = None
    token: str | None = None
    currency: str | None = None
    minor: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A command and what came of it; `declined` says why, None that it was done."""

    command: Command
    declined: str | None
    reference: str
    create_time: str


class Ledger:
    """The SQLite file at `path`. Blocks; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        # Autocommit: transactions are begun by hand. Any thread may use it, one at a time.
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def find(self, key: str) -> Operation | None:
        """Returns what came of the command with this key; None if it never came."""
        return self._one("key = ?", key)

    def operations(self) -> list[Operation]:
        """Returns everything, the first first."""
        return self._all("TRUE")

    def page(self, *, since: str, after: int, size: int) -> list[tuple[int, Operation]]:
        """Returns up to `size` operations from `since` (ISO 8601, UTC) on, with their positions.

        They come after the position `after`, the first first.
        """
        query = f"SELECT position, {_COLUMNS} FROM operations"  # noqa: S608 - constants
        query += " WHERE create_time >= ? AND position > ? ORDER BY position LIMIT ?"
        with closing(self._connection.execute(query, (since, after, size))) as rows:
            return [(row["position"], _operation(row)) for row in rows]

    def perform(self, command: Command, *, accepted: bool = True) -> tuple[Operation, bool]:
        """Returns what came of the command, and whether it came for the first time.

        Not `accepted` declines it. Raises KeyReused when the key stands for another command.
        """
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            performed = self._perform(command, accepted=accepted)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        return performed

    def _perform(self, command: Command, *, accepted: bool) -> tuple[Operation, bool]:
        known = self.find(command.key)
        if known is not None:
            if known.command != command:
                raise KeyReused(command.key)
            return known, False
        declined = self._objections[command.type](self, command) if accepted else "refused"
        operation = Operation(
            command=command,
            declined=declined,
            reference=f"{command.type}_{uuid4().hex}",
            create_time=datetime.now(UTC).isoformat(),
        )
        values = (*asdict(command).values(), declined, operation.reference, operation.create_time)
        marks = ", ".join("?" * len(values))
        self._connection.execute(f"INSERT INTO operations ({_COLUMNS}) VALUES ({marks})", values)  # noqa: S608 - constants
        return operation, True

    def _object_to_authorization(self, command: Command) -> str | None:
        return "voided" if self._done("void", command.key) else None

    def _object_to_capture(self, command: Command) -> str | None:
        authorization = self._standing("authorization", command)
        if authorization is None or self._done("void", authorization.key):
            return "not_authorized"
        if self._done("capture", authorization.key):
            return "already_captured"
        return None if _covers(authorization, command) else "amount_too_large"

    def _object_to_void(self, command: Command) -> str | None:
        return "already_captured" if self._done("capture", command.follows) else None

    def _object_to_refund(self, command: Command) -> str | None:
        capture = self._standing("capture", command)
        if capture is None:
            return "not_captured"
        refunded = sum(each.minor or 0 for each in self._done("refund", capture.key))
        return None if _covers(capture, command, used=refunded) else "amount_too_large"

    _objections: dict[str, Callable[["Ledger", Command], str | None]] = {  # noqa: RUF012 - never changed
        "authorization": _object_to_authorization,
        "capture": _object_to_capture,
        "void": _object_to_void,
        "refund": _object_to_refund,
    }

    def _standing(self, kind: str, command: Command) -> Command | None:
        """Returns the operation that `command` follows, if it is of this type and was done."""
        found = self._one("key = ?", command.follows)
        stands = found is not None and found.command.type == kind and found.declined is None
        return found.command if found is not None and stands else None

    def _done(self, kind: str, follows: str | None) -> list[Command]:
        found = self._all("type = ? AND follows = ? AND declined IS NULL", kind, follows)
        return [operation.command for operation in found]

    def _one(self, condition: str, *values: str | None) -> Operation | None:
        return next(iter(self._all(condition, *values)), None)

    def _all(self, condition: str, *values: str | None) -> list[Operation]:
        query = f"SELECT {_COLUMNS} FROM operations WHERE {condition} ORDER BY position"  # noqa: S608 - constants
        with closing(self._connection.execute(query, values)) as rows:
            return [_operation(row) for row in rows]


def _operation(row: sqlite3.Row) -> Operation:
    fields = {name: row[name] for name in _COLUMNS.split(", ")}
    after = {name: fields.pop(name) for name in ("declined", "reference", "create_time")}
    return Operation(command=Command(**fields), **after)


def _covers(taken: Command, asked: Command, *, used: int = 0) -> bool:
    same_currency = taken.currency == asked.currency
    return same_currency and used + (asked.minor or 0) <= (taken.minor or 0)
