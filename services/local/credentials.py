"""Secrets of the local mesh, made at random once per data folder and kept in one private file."""

import secrets
from collections.abc import Mapping

from services.local.data_folder import DataFolder

_FILE = "credentials.json"
_BYTES = 18


def ensure(folder: DataFolder, name: str) -> str:
    """Returns the secret called `name`, such as "account/admin"; makes it the first time."""
    kept: dict[str, str] = folder.read(_FILE) or {}
    if name not in kept:
        kept[name] = fresh()
        folder.write(_FILE, kept)
    return kept[name]


def find(folder: DataFolder, name: str) -> str | None:
    """Returns what is kept under `name`, None if nothing is."""
    kept: dict[str, str] = folder.read(_FILE) or {}
    return kept.get(name)


def replace(folder: DataFolder, changes: Mapping[str, str]) -> None:
    """Keeps other secrets under these names, all of them at once."""
    kept: dict[str, str] = folder.read(_FILE) or {}
    folder.write(_FILE, {**kept, **changes})


def fresh() -> str:
    """Returns a new secret."""
    return secrets.token_urlsafe(_BYTES)
