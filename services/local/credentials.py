"""Secrets of the local mesh, made at random once per data folder and kept in one private file."""

import secrets

from services.local.data_folder import DataFolder

_FILE = "credentials.json"
_BYTES = 18


def ensure(folder: DataFolder, name: str) -> str:
    """Returns the secret called `name`, such as "account/admin"; makes it the first time."""
    kept: dict[str, str] = folder.read(_FILE) or {}
    if name not in kept:
        kept[name] = secrets.token_urlsafe(_BYTES)
        folder.write(_FILE, kept)
    return kept[name]
