"""A small client of the shop's REST surface, as any web page would use it."""

from dataclasses import dataclass
from typing import Any

import aiohttp

_CALL_SECONDS = 15


class CallFailed(Exception):
    """A call was refused or not answered; the message says which one and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """Calls the gateway at `base_url`, signed in when there is a `token`."""

    session: aiohttp.ClientSession
    base_url: str
    token: str = ""

    async def get(self, path: str, **query: str) -> Any:
        """Returns the JSON answer to a GET."""
        return await self._call("GET", path, params=query)

    async def post(self, path: str, body: object, **headers: str) -> Any:
        """Returns the JSON answer to a POST; headers are named with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._call("POST", path, json=body, headers=named)

    async def _call(self, method: str, path: str, **arguments: Any) -> Any:
        headers = dict(arguments.pop("headers", {}))
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        timeout = aiohttp.ClientTimeout(total=_CALL_SECONDS)
        try:
            async with self.session.request(
                method, self.base_url + path, headers=headers, timeout=timeout, **arguments
            ) as answer:
                text = await answer.text()
                if answer.status != 200:  # noqa: PLR2004 - OK, the only success of this surface
                    raise CallFailed(f"{method} {path} answered {answer.status}: {text[:500]}")
                return await answer.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise CallFailed(f"{method} {path} was not answered: {error!r}") from error
