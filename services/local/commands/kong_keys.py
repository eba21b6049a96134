"""`souk kong-keys`: publishes the keys of access tokens to Kong; see `services.local.kong_keys`."""

import argparse
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from services.local import kong_keys
from services.local.console import Console
from services.local.kong_keys import KeysUnusable

_CONFIG = Path(__file__).parents[3] / "kong" / "kong.yaml"
_TIMEOUT_SECONDS = 10


def run(options: argparse.Namespace, console: Console) -> int:
    """Prints or pushes Kong's configuration with the keys; returns 1 when that cannot be done."""
    try:
        keys = kong_keys.credentials(json.loads(_read(options.jwks)))
        if options.kubernetes:
            console.line(kong_keys.manifests(keys).rstrip())
            return 0
        config = kong_keys.declarative((options.config or _CONFIG).read_text("utf-8"), keys)
        if options.push is None:
            console.line(config.rstrip())
        else:
            _push(options.push, config)
            console.line(f"Kong knows {', '.join(key.kid for key in keys)}.")
    except urllib.error.HTTPError as error:
        console.fail(f"{error.url}: {error} {error.read().decode(errors='replace')[:1000]}")
        return 1
    except (KeysUnusable, OSError, ValueError) as error:
        console.fail(str(error))
        return 1
    return 0


def _read(source: str) -> bytes:
    if source.startswith(("https://", "http://")):
        return _ask(urllib.request.Request(source))  # noqa: S310 - one of these two schemes
    return Path(source).read_bytes()


def _push(admin_url: str, config: str) -> None:
    """Gives the configuration to a Kong without a database, whole, as it takes it."""
    if not admin_url.startswith(("https://", "http://")):
        raise ValueError(f"{admin_url} is no URL of Kong's Admin API")
    body: dict[str, Any] = {"config": config}
    request = urllib.request.Request(  # noqa: S310 - one of these two schemes
        f"{admin_url.rstrip('/')}/config?check_hash=1",
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
        method="POST",
    )
    _ask(request)


def _ask(request: urllib.request.Request) -> bytes:
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - likewise
            content: bytes = answer.read()
    except urllib.error.HTTPError:
        raise
    except urllib.error.URLError as error:
        raise OSError(f"{request.full_url} cannot be reached: {error.reason}") from None
    return content
