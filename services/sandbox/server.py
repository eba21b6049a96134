"""The HTTP API of the stand-in. A command carries a key, and is done once however often it comes.

| request                                            | answer                                    |
|----------------------------------------------------|-------------------------------------------|
| `POST /v1/authorizations captures voids refunds`   | an operation; bodies as in `commands`     |
| `GET /v1/operations/{key}`                         | an operation, or 404 if it never came     |
| `GET /v1/operations?since=TIME&page=PAGE`          | a page of operations, the first first     |
| `GET /v1/ledger`                                   | all of them: `{"operations": [...]}`      |
| `GET /healthz`                                     | 200, without an API key                   |

    Idempotency-Key: KEY
    Authorization: Bearer API-KEY

    {"key": "...", "type": "capture", "outcome": "succeeded", "reference": "capture_1f...", ...}

A page is `{"operations": [...], "next_page": "..."}`; `next_page` is what to ask for next, empty at
the end. TIME is ISO 8601. `outcome` is `succeeded` or `declined`; `reason` says why it was
declined. 400 answers a request that cannot be read, 401 a wrong API key, 409 a key that stands for
something else.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from json import JSONDecodeError
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Middleware

from services.mesh import watched_files
from services.mesh.settings import Secret, secrets_of
from services.sandbox import commands, ledger_thread, tokens
from services.sandbox.ledger import Command, KeyReused, Operation
from services.sandbox.ledger_thread import LedgerThread
from services.sandbox.settings import Settings
from services.sandbox.webhook import Webhook

_Parse = Callable[[str, Mapping[str, Any]], Command]
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PAGE_SIZE = 200
_WEBHOOK_TIMEOUT = aiohttp.ClientTimeout(total=5)


class Server:
    """The requests' handlers."""

    def __init__(
        self, *, ledger: LedgerThread, webhook: Webhook | None, silence: timedelta
    ) -> None:
        self._ledger = ledger
        self._webhook = webhook
        self._silence = silence

    def routes(self) -> list[web.RouteDef]:
        """Returns the routes with their handlers."""
        return [
            web.post("/v1/authorizations", self._authorize),
            web.post("/v1/captures", self._performing(commands.capture)),
            web.post("/v1/voids", self._performing(commands.void)),
            web.post("/v1/refunds", self._refund),
            web.get("/v1/operations", self._page),
            web.get("/v1/operations/{key}", self._look_up),
            web.get("/v1/ledger", self._list),
            web.get("/healthz", _healthz),
        ]

    async def _authorize(self, request: web.Request) -> web.StreamResponse:
        command = await _command(request, commands.authorization)
        behaviour = tokens.behaviour(command.token or "")
        if not behaviour.done:
            await self._stay_silent()
        operation, first = await self._ledger.perform(command, accepted=behaviour.accepted)
        if first and not behaviour.answered:
            await self._stay_silent()
        if first and behaviour.events and self._webhook and command.payment:
            self._webhook.tell(command.payment, times=behaviour.events)
        return _answer(operation)

    async def _refund(self, request: web.Request) -> web.StreamResponse:
        command = await _command(request, commands.refund)
        token = await self._token_behind(command.follows)
        accepted = tokens.behaviour(token or "").refundable
        operation, _ = await self._ledger.perform(command, accepted=accepted)
        return _answer(operation)

    async def _token_behind(self, capture: str | None) -> str | None:
        """Returns the token that was authorized for a capture; None if there is no such capture."""
        taken = await self._ledger.find(capture or "")
        authorization = await self._ledger.find((taken and taken.command.follows) or "")
        return authorization.command.token if authorization else None

    def _performing(self, parse: _Parse) -> _Handler:
        async def perform(request: web.Request) -> web.StreamResponse:
            operation, _ = await self._ledger.perform(await _command(request, parse))
            return _answer(operation)

        return perform

    async def _look_up(self, request: web.Request) -> web.StreamResponse:
        operation = await self._ledger.find(request.match_info["key"])
        if operation is None:
            raise web.HTTPNotFound
        return _answer(operation)

    async def _page(self, request: web.Request) -> web.StreamResponse:
        since, after = commands.page(request.query)
        found = await self._ledger.page(since=since, after=after, size=_PAGE_SIZE)
        next_page = str(found[-1][0]) if len(found) == _PAGE_SIZE else ""
        operations = [_json(operation) for _, operation in found]
        return web.json_response({"operations": operations, "next_page": next_page})

    async def _list(self, _: web.Request) -> web.StreamResponse:
        operations = await self._ledger.operations()
        return web.json_response({"operations": [_json(operation) for operation in operations]})

    async def _stay_silent(self) -> None:
        """Waits until the client goes, which ends the handler, or longer than any client waits."""
        await asyncio.sleep(self._silence.total_seconds())
        raise web.HTTPGatewayTimeout


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[str]:
    """Serves as `settings` say; yields the base URL."""
    async with (
        watched_files.following(secrets_of(settings), settings.sandbox_reload_period),
        ledger_thread.opened(settings.sandbox_ledger) as ledger,
        _posting_events(settings) as webhook,
    ):
        server = Server(ledger=ledger, webhook=webhook, silence=settings.sandbox_silence)
        application = web.Application(middlewares=[_guard(settings.sandbox_api_key)])
        application.add_routes(server.routes())
        runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=0.5
        )
        await runner.setup()
        try:
            host, _, port = settings.sandbox_listen.rpartition(":")
            await web.TCPSite(runner, host, int(port)).start()
            yield f"http://{host}:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


@asynccontextmanager
async def _posting_events(settings: Settings) -> AsyncIterator[Webhook | None]:
    """Yields the webhook that `settings` name, and posts its events meanwhile."""
    url, secret = settings.sandbox_webhook_url, settings.sandbox_webhook_secret
    if not url or not secret:
        yield None
        return
    async with aiohttp.ClientSession(timeout=_WEBHOOK_TIMEOUT) as session:
        webhook = Webhook(session, url=url, secret=secret)
        async with asyncio.TaskGroup() as tasks:
            posting = tasks.create_task(webhook.run())
            yield webhook
            posting.cancel()


def _guard(api_key: Secret) -> Middleware:
    """Returns the middleware that asks for the API key and turns failures into answers."""

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        expected = f"Bearer {api_key.reveal()}".encode()
        given = request.headers.get("Authorization", "").encode()
        if request.path != "/healthz" and not hmac.compare_digest(given, expected):
            raise web.HTTPUnauthorized
        try:
            return await handler(request)
        except commands.Malformed as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        except KeyReused as error:
            raise web.HTTPConflict(text="the key stands for something else") from error

    return guard


async def _command(request: web.Request, parse: _Parse) -> Command:
    key = request.headers.get("Idempotency-Key")
    if not key:
        raise commands.Malformed("the header Idempotency-Key is missing")
    try:
        body = await request.json()
    except (JSONDecodeError, UnicodeDecodeError) as error:
        raise commands.Malformed("the body is no JSON") from error
    if not isinstance(body, dict):
        raise commands.Malformed("the body is no JSON object")
    return parse(key, body)


async def _healthz(_: web.Request) -> web.StreamResponse:
    return web.Response(text="ok")


def _answer(operation: Operation) -> web.Response:
    return web.json_response(_json(operation))


def _json(operation: Operation) -> dict[str, Any]:
    command = operation.command
    amount = {"currency": command.currency, "minor": command.minor} if command.currency else None
    return {
        "key": command.key,
        "type": command.type,
        "follows": command.follows,
        "payment": command.payment,
        "amount": amount,
        "outcome": "declined" if operation.declined else "succeeded",
        "reason": operation.declined,
        "reference": operation.reference,
        "create_time": operation.create_time,
    }
