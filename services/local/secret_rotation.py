"""Exchanges secrets under a running mesh: the new one is good before it is used, the old one after.

database/<service>   another user logs in ─ the service moves over ─ the former is shut out
signing-key          another key is published ─ everybody can have it ─ it signs

One process rotates at a time: what is kept of all secrets is one file, and two that took turns with
the users of one database would shut out each other's.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Iterator
from datetime import timedelta

from services.local import databases, file_lock, secret_files, topology
from services.local.data_folder import DataFolder
from services.local.endpoints import Endpoints
from services.mesh.jwks import MIN_PAUSE_SECONDS
from services.user import signing_keys

NAMES = (
    *(f"database/{service}" for service in topology.services_with("postgres")),
    "signing-key",
)
"""What can be rotated."""

_PATIENCE = timedelta(seconds=60)
_POLL_SECONDS = 0.2
# As long as an access token lives, and a little more for clocks.
_TOKENS_LIVE = timedelta(minutes=15)
# The user service's look at its folder, and then the pause that others keep between two questions.
_PUBLISHING_SECONDS = 2 + MIN_PAUSE_SECONDS


class NotMoved(Exception):
    """A service still uses its former secret; the message says what to do."""


@contextlib.contextmanager
def locked(folder: DataFolder) -> Iterator[None]:
    """Keeps others from rotating for the length of the block. Raises Busy."""
    with file_lock.held(folder.store("secrets.lock"), "secrets are being rotated"):
        yield


async def rotate(folder: DataFolder, where: Endpoints, name: str) -> None:
    """Exchanges one of `NAMES`. Raises NotMoved or what the database raises."""
    kind, _, service = name.partition("/")
    if kind == "database":
        await database(folder, where, service)
    else:
        await signing_key(folder)


async def database(folder: DataFolder, where: Endpoints, service: str) -> None:
    """Exchanges a service's database user. Raises NotMoved."""
    url = await databases.admit(where.postgres, folder, service)
    secret_files.write(folder, service, {"database_url": url})
    deadline = time.monotonic() + _PATIENCE.total_seconds()
    while not await databases.has_moved(where.postgres, folder, service):
        if time.monotonic() > deadline:
            raise NotMoved(
                f"{service} did not move to its new user within {_PATIENCE.total_seconds():g} s;"
                " both users go on being let in: see its log, then rotate again"
            )
        await asyncio.sleep(_POLL_SECONDS)
    await databases.dismiss(where.postgres, folder, service)


async def signing_key(folder: DataFolder, *, publishing_seconds: float | None = None) -> None:
    """Exchanges the key that signs access tokens; tokens of the former key stay good.

    Keys of which no token can live any more are withdrawn.
    """
    keys = folder.signing_keys
    signing_keys.withdraw(keys, unused_for=_TOKENS_LIVE)
    kid = secrets.token_hex(8)
    signing_keys.publish(keys, kid)
    wait = _PUBLISHING_SECONDS if publishing_seconds is None else publishing_seconds
    await asyncio.sleep(wait)
    signing_keys.sign_with(keys, kid)
