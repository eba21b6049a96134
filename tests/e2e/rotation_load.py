"""People who buy and read all the while, over REST and over gRPC, and write down what fails.

| who        | how                                                                            |
|------------|--------------------------------------------------------------------------------|
| buyers     | REST, a new person each time, each purchase once: a failure is not repeated    |
| readers    | REST, with one token from the beginning to the end                             |
| callers    | gRPC straight to the services, by a mesh channel with the developer's identity |
| guests     | sign in with a password, and use the token that they are given at once         |

Nobody here repeats a call. What is repeated is repeated by the gateway's and the channels' service
config, as the contracts allow it: calls without side effects, and those that carry a key.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import aiohttp
import grpc.aio
import jwt

from services.local.data_folder import DataFolder
from services.local.demo.accounts import Account
from services.local.demo.rest import CallFailed, Shop
from services.local.endpoints import Endpoints
from services.mesh import clients
from services.mesh.settings import MeshSettings
from services.user import signing_keys
from souk.order.v1 import order_service_pb2, order_service_pb2_grpc
from souk.product.v1 import product_service_pb2, product_service_pb2_grpc

_TOKEN_SECONDS = 3600
_PAUSE_SECONDS = 0.1
_GUEST_PAUSE_SECONDS = 2.0
_BOUGHT = frozenset({"ORDER_STATE_CONFIRMED"})


@dataclass(slots=True, kw_only=True)
class Load:
    """What was called and what failed: `done` by kind of call, `failures` as text.

    `unfinished` are orders whose purchase was answered before they were confirmed; the worker
    finishes them.
    """

    folder: DataFolder
    endpoints: Endpoints
    account: Account
    done: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    unfinished: list[tuple[str, str]] = field(default_factory=list)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    _session: aiohttp.ClientSession = field(init=False)

    def token(self, user: str) -> str:
        """Return an access token of now, by the key that signs now."""
        keys = signing_keys.read(self.folder.signing_keys)
        now = int(time.time())
        claims = {
            "iss": MeshSettings().token_issuer,
            "aud": MeshSettings().token_audience,
            "sub": user,
            "sid": str(uuid4()),
            "roles": [],
            "iat": now,
            "nbf": now,
            "exp": now + _TOKEN_SECONDS,
        }
        headers = {"typ": "at+jwt", "kid": keys.current_kid}
        return jwt.encode(claims, keys.current, algorithm="EdDSA", headers=headers)

    def shop(self, token: str = "") -> Shop:
        """Return a client of the gateway."""
        return Shop(session=self._session, base_url=self.endpoints.gateway, token=token)

    async def more(self, calls: int, *, seconds: float = 120) -> None:
        """Return when each kind of call was made so many times more. Raises TimeoutError."""
        goal = {kind: count + calls for kind, count in self.done.items()}
        async with asyncio.timeout(seconds):
            while any(self.done[kind] < count for kind, count in goal.items()):
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _buy(self) -> None:
        user = str(uuid4())
        shop = self.shop(self.token(user))
        found = await shop.get("/v1/products", pageSize="5")
        product = found["products"][0]["productId"]
        order = await shop.post(
            "/v1/orders",
            {"items": [{"productId": product, "quantity": 1}], "paymentToken": "tok_ok"},
            idempotency_key=str(uuid4()),
        )
        if order["state"] not in _BOUGHT:
            self.unfinished.append((user, order["orderId"]))

    async def _sign_in(self) -> None:
        credentials = {"email": self.account.email, "password": self.account.password}
        session = await self.shop().post("/v1/sessions", credentials)
        await self.shop(session["accessToken"]).get("/v1/users/me")

    async def _repeat(
        self, kind: str, call: Callable[[], Awaitable[object]], pause: float = _PAUSE_SECONDS
    ) -> None:
        while not self.stopped.is_set():
            try:
                await call()
            except (CallFailed, grpc.aio.AioRpcError) as error:
                self.failures.append(f"{kind} at {time.strftime('%X')}: {error}"[:600])
            self.done[kind] += 1
            await asyncio.sleep(pause)

    async def run(self, tasks: asyncio.TaskGroup, channel: Callable[[str], Any]) -> None:
        """Begin to call, until `stopped` is set."""
        reader = self.shop(self.token(str(uuid4())))
        metadata = (("authorization", f"Bearer {self.token(str(uuid4()))}"),)
        orders: Any = order_service_pb2_grpc.OrderServiceStub(channel("order"))
        products: Any = product_service_pb2_grpc.ProductServiceStub(channel("product"))
        page = product_service_pb2.ListProductsRequest(page_size=3)
        mine = order_service_pb2.ListOrdersRequest(page_size=3)
        for kind, call, pause in (
            ("purchase", self._buy, _PAUSE_SECONDS),
            ("another purchase", self._buy, _PAUSE_SECONDS),
            ("sign-in", self._sign_in, _GUEST_PAUSE_SECONDS),
            ("orders by REST", lambda: reader.get("/v1/orders"), _PAUSE_SECONDS),
            ("notifications by REST", lambda: reader.get("/v1/notifications"), _PAUSE_SECONDS),
            ("home by REST", lambda: reader.get("/v1/storefront/home"), _PAUSE_SECONDS),
            ("products by gRPC", lambda: products.ListProducts(page), _PAUSE_SECONDS),
            (
                "orders by gRPC",
                lambda: orders.ListOrders(mine, metadata=metadata),
                _PAUSE_SECONDS,
            ),
        ):
            self.done[kind] = 0
            tasks.create_task(self._repeat(kind, call, pause), name=kind)


@asynccontextmanager
async def calling(
    folder: DataFolder, endpoints: Endpoints, account: Account
) -> AsyncIterator[Load]:
    """Call the mesh for the length of the block."""
    load = Load(folder=folder, endpoints=endpoints, account=account)
    certs = endpoints.certs_folder
    settings = MeshSettings(
        tls_ca=certs / "ca.pem",
        tls_cert=certs / "developer.pem",
        tls_key=certs / "developer-key.pem",
        targets=endpoints.grpc,
        reload_period=timedelta(milliseconds=500),
    )
    async with (
        aiohttp.ClientSession() as session,
        clients.open_mesh("developer", settings) as mesh,
    ):
        load._session = session  # noqa: SLF001 - it lives as long as the load
        async with asyncio.TaskGroup() as tasks:
            await load.run(tasks, mesh.channel)
            try:
                yield load
            finally:
                load.stopped.set()
