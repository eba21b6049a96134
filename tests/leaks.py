"""Looks for what must not get out: in the logs of processes, and in errors that left them.

    leaks.check([folder / "gateway.log"])       when the processes have ended

What tests plant has `CANARY` in it, so that it is found whatever it looks like otherwise.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

CANARY = "canary"
"""Stands in every secret that is planted: a password, a name, an address, a payment token."""

KINDS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "a planted secret": re.compile(CANARY, re.IGNORECASE),
        "an access token": re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}"),
        "a hash of a password": re.compile(r"\$argon2"),
        "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
        "a password in a URL": re.compile(r"://[^\s:/@]*:[^\s:/@]+@"),
        "an e-mail address": re.compile(r"\w@(?!souk\.example)[\w-]+\.(?:com|org|example)\b"),
        "SQL": re.compile(
            r"\b(?:SELECT\s.{1,400}?\sFROM\s|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s)",
            re.DOTALL,
        ),
    }
)
"""What is looked for. The demo accounts' addresses (souk.example) are printed on purpose."""


def found_in(text: str) -> list[str]:
    """Returns the kind of each thing in `text` that must not be there, with its line."""
    return [
        f"line {text.count(chr(10), 0, match.start()) + 1}: {kind}"
        for kind, pattern in KINDS.items()
        for match in pattern.finditer(text)
    ]


def check(logs: Iterable[Path]) -> None:
    """Passes if none of the files holds anything that must not get out.

    Raises AssertionError with the places, not with what was found there, and if all are empty.
    """
    texts = {
        log.name: log.read_text(encoding="utf-8", errors="replace") for log in logs if log.exists()
    }
    assert any(texts.values()), "nothing was logged"
    _search(texts)


def check_all(folder: Path) -> None:
    """Passes if no log anywhere in the folder holds what must not get out.

    Raises AssertionError as `check` does; that there are no logs is well.
    """
    _search(
        {
            str(log.relative_to(folder)): log.read_text(encoding="utf-8", errors="replace")
            for log in sorted(folder.rglob("*.log"))
        }
    )


def _search(texts: Mapping[str, str]) -> None:
    found = [f"{name}, {place}" for name, text in texts.items() for place in found_in(text)]
    assert not found, "leaked: " + "; ".join(found[:20])
