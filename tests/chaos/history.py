"""What the clients did and what they were told: one JSON line each, in the order of the answers.

    {"call": "CreateOrder", "user": "...", "key": "...", "via": "rest", "at": 12.301,
     "seconds": 0.041, "status": 200, "reason": "", "order": "...", "digest": "...", ...}

It is only ever added to, and flushed with every line: what a client was told is known even if the
run itself is killed.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

OK = range(200, 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request and its answer.

    `call`: the RPC's name. `user`: who asked. `key`: the idempotency key, empty if there is none.
    `via`: "rest" or "grpc". `role`: what the client was after, such as "buyer" or "same key".
    `at`: when it was sent, in seconds since the run began. `status`: as HTTP, 0 if no answer came.
    `reason`: of the error. `order`: the order that the answer is about. `request`, `digest`: the
    beginning of SHA-256 of both bodies, as they were sent. `asked`, `told`: what of the request and
    of the answer a checker must know.
    """

    call: str
    user: str
    key: str = ""
    via: str = "rest"
    role: str = ""
    at: float = 0.0
    seconds: float = 0.0
    status: int = 0
    reason: str = ""
    order: str = ""
    request: str = ""
    digest: str = ""
    asked: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def acknowledged(self) -> bool:
        """Whether the client was told that it was done."""
        return self.status in OK


class History:
    """The file that takes the attempts, and notes of the harness: faults and what they made up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.attempts = 0
        self._file = path.open("a", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, attempt: Attempt) -> None:
        """Adds an attempt whose answer has come, or will not come any more."""
        self.attempts += 1
        self._write(asdict(attempt))

    def note(self, what: str, **details: Any) -> None:
        """Adds what the harness did, such as `note("flushed")`."""
        self._write({"note": what, **details})

    def _write(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry, separators=(",", ":")) + "\n")
        self._file.flush()


def read(path: Path) -> Iterator[Attempt]:
    """Yields the attempts of a history."""
    for entry in _entries(path):
        if "call" in entry:
            yield Attempt(**entry)


def notes(path: Path, what: str) -> list[dict[str, Any]]:
    """Returns the notes of one kind."""
    return [entry for entry in _entries(path) if entry.get("note") == what]


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
