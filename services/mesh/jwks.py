"""The public keys of access tokens, kept up to date (RFC 7517)."""

import asyncio
import base64
import binascii
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf.message import DecodeError

from services.mesh.app import KeySource
from services.mesh.errors import Unavailable
from souk.mesh.v1.keys_pb2 import JsonWebKey, JsonWebKeySet

_MAX_AGE_SECONDS = 300.0
MIN_PAUSE_SECONDS = 10.0
"""How soon it is asked again: a key that is to sign must have been published for longer."""

_MIN_PAUSE_WITHOUT_KEYS_SECONDS = 0.5
_FETCH_SECONDS = 2.0

_log = structlog.get_logger(__name__)


Ask = Callable[[], Awaitable[bytes]]
"""Asks the RPC that has the keys, and gives its response. Raises NotAnswered."""


class NotAnswered(Exception):
    """The service that has the keys cannot be asked, or fails."""


class KeysUnavailable(Unavailable):
    """The keys of access tokens cannot be had now."""

    reason = "KEYS_UNAVAILABLE"


class KeySet:
    """The keys by id.

    Fetched when one is unknown or after five minutes, but never twice in ten seconds. As long as
    the `source` cannot be reached, the keys that are known stay good. A fetch is nobody's own: it
    goes on when the call that needed it first is cut off, and has no part of that call's deadline.
    Else whoever hangs up at once would keep the keys from everybody.
    """

    def __init__(self, source: KeySource) -> None:
        self._source = source
        self._withdrawn: Callable[[], None] = lambda: None
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    def on_withdrawal(self, call: Callable[[], None]) -> None:
        """Call `call` whenever a key is gone."""
        self._withdrawn = call

    async def key(self, key_id: str) -> Ed25519PublicKey | None:
        """Return the key, None if there is no such key. Raises KeysUnavailable."""
        if key_id not in self._keys or time.monotonic() - self._fetched_at > _MAX_AGE_SECONDS:
            await self._fetch_if_due()
        if not self._keys:
            raise KeysUnavailable("access tokens cannot be verified now")
        return self._keys.get(key_id)

    async def _fetch_if_due(self) -> None:
        pause = MIN_PAUSE_SECONDS if self._keys else _MIN_PAUSE_WITHOUT_KEYS_SECONDS
        if self._fetching is None or self._fetching.done():
            if time.monotonic() - self._tried_at < pause:
                return
            self._tried_at = time.monotonic()
            self._fetching = asyncio.create_task(self._fetch(), name="keys", context=Context())
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                keys = await self._source()
        except (TimeoutError, NotAnswered) as error:
            _log.warning("keys of access tokens not fetched", error=repr(error))
            return
        self._replace({name: Ed25519PublicKey.from_public_bytes(keys[name]) for name in keys})

    def _replace(self, keys: dict[str, Ed25519PublicKey]) -> None:
        withdrawn = self._keys.keys() - keys.keys()
        self._keys = keys
        self._fetched_at = time.monotonic()
        if withdrawn:
            self._withdrawn()


def remote_keys(ask: Ask) -> KeySource:
    """Return a source that asks an RPC; its response reads as JsonWebKeySet."""

    async def fetch() -> Mapping[str, bytes]:
        try:
            key_set = JsonWebKeySet.FromString(await ask())
        except DecodeError as error:
            raise NotAnswered("what was answered holds no keys") from error
        raw = {key.kid: _public_bytes(key) for key in key_set.keys}
        return {key_id: key for key_id, key in raw.items() if key is not None}

    return fetch


def _public_bytes(key: JsonWebKey) -> bytes | None:
    """Return the 32 bytes of an Ed25519 signature key, None for one of any other kind."""
    if (key.kty, key.crv, key.use) != ("OKP", "Ed25519", "sig"):
        return None
    try:
        raw = base64.urlsafe_b64decode(key.x + "=" * (-len(key.x) % 4))
    except binascii.Error:
        return None
    return raw if len(raw) == 32 else None  # noqa: PLR2004  # RFC 8032, 5.1.5
