"""A client that writes down every attempt and every answer, over REST and over gRPC.

Access tokens are signed here, by the world's own key, as if each user had signed in: thousands of
users would otherwise spend the run on hashing passwords.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import grpc.aio
import jwt
from google.protobuf import json_format

from services.user import signing_keys
from souk.order.v1 import order_service_pb2, order_service_pb2_grpc
from tests.chaos import answers
from tests.chaos.history import Attempt, History
from tests.chaos.world import World

_TOKEN_SECONDS = 7200


class Client:
    """Calls the shop as whoever it is told to be. Made by `opened`."""

    def __init__(
        self,
        world: World,
        history: History,
        session: aiohttp.ClientSession,
        orders: "order_service_pb2_grpc.OrderServiceAsyncStub",
        began: float,
    ) -> None:
        self._session = session
        self._history = history
        self._orders = orders
        self._base = world.endpoints.gateway
        self._keys = signing_keys.read(world.folder.signing_keys)
        self._began = began
        self._tokens: dict[str, str] = {}

    async def create_order(
        self,
        *,
        user: str,
        key: str,
        items: Mapping[str, int],
        token: str,
        via: str = "rest",
        role: str = "buyer",
        seconds: float = 15,
    ) -> Attempt:
        """Places an order; `seconds` is how long the client waits for the answer."""
        body = {
            "items": [{"productId": each, "quantity": items[each]} for each in items],
            "paymentToken": token,
        }
        attempt = Attempt(
            call="CreateOrder", user=user, key=key, via=via, role=role, asked={"items": dict(items)}
        )
        if via == "grpc":
            return await self._create_by_grpc(attempt, body, seconds)
        headers = {"Idempotency-Key": key}
        return await self._rest(attempt, "POST", "/v1/orders", body, headers, seconds)

    async def cancel_order(self, order: str, *, user: str) -> Attempt:
        """Cancels an order."""
        attempt = Attempt(call="CancelOrder", user=user, order=order, role="canceller")
        return await self._rest(attempt, "POST", f"/v1/orders/{order}:cancel", {})

    async def get_order(self, order: str, *, user: str, role: str = "reader") -> Attempt:
        """Reads an order."""
        attempt = Attempt(call="GetOrder", user=user, order=order, role=role)
        return await self._rest(attempt, "GET", f"/v1/orders/{order}")

    async def list_orders(self, *, user: str) -> Attempt:
        """Reads a page of the user's orders."""
        attempt = Attempt(call="ListOrders", user=user, role="reader")
        return await self._rest(attempt, "GET", "/v1/orders?pageSize=20")

    async def list_notifications(self, *, user: str) -> Attempt:
        """Reads a page of the user's notifications."""
        attempt = Attempt(call="ListNotifications", user=user, role="reader")
        return await self._rest(attempt, "GET", "/v1/notifications?pageSize=20")

    async def staff(self, call: str, path: str, body: object, **asked: Any) -> Attempt:
        """Posts something as an administrator."""
        attempt = Attempt(call=call, user="staff", role="staff", asked=asked)
        return await self._rest(attempt, "POST", path, body)

    async def find_product(self, sku: str) -> Attempt:
        """Lists the products with this sku, of which there is one at most."""
        attempt = Attempt(call="ListProducts", user="staff", role="staff")
        return await self._rest(attempt, "GET", f"/v1/products?filter=sku={sku}")

    def token(self, user: str) -> str:
        """Returns an access token of the user; "staff" is an administrator."""
        if user not in self._tokens:
            now = int(time.time())
            claims = {
                "iss": "https://souk.local",
                "aud": "souk",
                "sub": "01900000-0000-7000-8000-000000000001" if user == "staff" else user,
                "sid": "01900000-0000-7000-8000-000000000002",
                "roles": ["admin", "merchandiser"] if user == "staff" else [],
                "iat": now - 400,
                # So that a service whose clock is five minutes slow takes it too.
                "nbf": now - 400,
                "exp": now + _TOKEN_SECONDS,
            }
            headers = {"typ": "at+jwt", "kid": self._keys.current_kid}
            self._tokens[user] = jwt.encode(
                claims, self._keys.current, algorithm="EdDSA", headers=headers
            )
        return self._tokens[user]

    async def _rest(
        self,
        attempt: Attempt,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] = {},
        seconds: float = 15,
    ) -> Attempt:
        sent = json.dumps(body).encode() if body is not None else None
        attempt = replace(attempt, at=self._now(), request=answers.digest(sent or b""))
        answered = attempt
        try:
            async with self._session.request(
                method,
                self._base + path,
                data=sent,
                headers={
                    "Authorization": f"Bearer {self.token(attempt.user)}",
                    **({"Content-Type": "application/json"} if sent is not None else {}),
                    **headers,
                },
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as answer:
                raw = await answer.read()
                answered = answers.from_rest(attempt, answer.status, raw)
        except (aiohttp.ClientError, TimeoutError) as error:
            answered = replace(attempt, reason=type(error).__name__)
        finally:
            answered = self._add(answered)
        return answered

    async def _create_by_grpc(
        self, attempt: Attempt, body: Mapping[str, Any], seconds: float
    ) -> Attempt:
        request = json_format.ParseDict(
            {**body, "requestId": attempt.key}, order_service_pb2.CreateOrderRequest()
        )
        sent = request.SerializeToString(deterministic=True)
        attempt = replace(attempt, at=self._now(), request=answers.digest(sent))
        answered = attempt
        metadata = (("authorization", f"Bearer {self.token(attempt.user)}"),)
        try:
            response = await self._orders.CreateOrder(request, metadata=metadata, timeout=seconds)
            answered = answers.from_grpc(attempt, response)
        except grpc.aio.AioRpcError as error:
            answered = answers.from_grpc_error(attempt, error)
        finally:
            answered = self._add(answered)
        return answered

    def _now(self) -> float:
        return round(time.monotonic() - self._began, 4)

    def _add(self, attempt: Attempt) -> Attempt:
        done = replace(attempt, seconds=round(self._now() - attempt.at, 4))
        self._history.add(done)
        return done


@asynccontextmanager
async def opened(world: World, history: History, *, began: float) -> AsyncIterator[Client]:
    """Opens a client; `began` is when the run did, by the monotonic clock."""
    certs = world.endpoints.certs_folder
    credentials = grpc.ssl_channel_credentials(
        root_certificates=(certs / "ca.pem").read_bytes(),
        private_key=(certs / "developer-key.pem").read_bytes(),
        certificate_chain=(certs / "developer.pem").read_bytes(),
    )
    options = [("grpc.ssl_target_name_override", "order"), ("grpc.max_reconnect_backoff_ms", 500)]
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        grpc.aio.secure_channel(world.endpoints.grpc["order"], credentials, options) as channel,
    ):
        stub: Any = order_service_pb2_grpc.OrderServiceStub(channel)
        yield Client(world, history, session, stub, began)


async def persist(call: Any, *, seconds: float, pause: float = 0.1) -> Attempt:
    """Repeats `call()` with growing pauses until it is answered for good, or time is up."""
    deadline = time.monotonic() + seconds
    while True:
        attempt: Attempt = await call()
        is_open = attempt.status in {0, 401, 409, 429, 499} or attempt.status >= 500
        if not is_open or time.monotonic() + pause > deadline:
            return attempt
        await asyncio.sleep(pause)
        pause = min(pause * 2, 2.0)
