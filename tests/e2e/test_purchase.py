"""The purchase that the product is about, as people do it: by the printed lines and commands."""

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from services.local import welcome
from souk.order.v1 import order_pb2, order_service_pb2
from souk.payment.v1 import payment_pb2, payment_service_pb2
from souk.product.v1 import product_service_pb2
from souk.user.v1 import user_service_pb2
from tests.e2e.conftest import Grpcurl, Mesh

M = TypeVar("M", bound=Message)

_PRODUCTS = "souk.product.v1.ProductService"
_ORDERS = "souk.order.v1.OrderService"
_USERS = "souk.user.v1.UserService"
_PAYMENTS = "souk.payment.v1.PaymentService"


async def _shell(line: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_shell(
        line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), timeout=120)
    return process.returncode, output.decode()


async def test_souk_demo_walks_through(mesh: Mesh) -> None:
    """`souk demo` registers, buys, sees the order confirmed, paid, notified and published."""
    command = f"{sys.executable} -m services.local demo --data {mesh.folder.path}"
    code, output = await _shell(command)
    assert code == 0, output
    steps = [line.split()[1] for line in output.splitlines() if "✓" in line]
    assert steps == [
        *("register", "login", "list", "buy"),
        *("confirmed", "captured", "stock", "notified", "event"),
    ]


async def test_printed_curl_lines_work(mesh: Mesh) -> None:
    """Each curl line of the welcome, pasted into a shell, is answered as it promises."""
    products, session = [
        json.loads((await _shell(line))[1])
        for line in welcome.curl_lines(mesh.endpoints, mesh.accounts)
    ]
    assert len(products["products"]) == 2
    assert session["accessToken"].count(".") == 2


async def test_printed_grpcurl_lines_work(mesh: Mesh, grpcurl: Grpcurl) -> None:
    """Each grpcurl line of the welcome, pasted into a shell, is answered as it promises."""
    del grpcurl  # asked for so that this is skipped where grpcurl cannot be built
    services, products = [await _shell(line) for line in welcome.grpcurl_lines(mesh.endpoints)]
    assert _PRODUCTS in services[1].split()
    assert len(json.loads(products[1])["products"]) == 2


async def test_printed_lines_are_the_tested_ones(mesh: Mesh) -> None:
    """`souk up` prints the very lines that these tests paste."""
    printed = mesh.output.read_text()
    lines = (
        *welcome.curl_lines(mesh.endpoints, mesh.accounts),
        *welcome.grpcurl_lines(mesh.endpoints),
    )
    assert [line for line in lines if line not in printed] == []


async def test_catalogue_has_at_least_sixty_products(grpcurl: Grpcurl) -> None:
    """The demo catalogue is there once the mesh is ready."""
    answer = await grpcurl("product", f"{_PRODUCTS}/ListProducts", body={"page_size": 100})
    assert len(json.loads(answer)["products"]) >= 60


@pytest.fixture
async def created_events(mesh: Mesh) -> AsyncIterator[PubSub]:
    """Listens on `order.created` as a plain subscriber would."""
    async with Redis.from_url(mesh.endpoints.redis) as client, client.pubsub() as events:
        await events.subscribe("order.created")
        yield events


async def _announced(events: PubSub, order_id: str) -> bool:
    async with asyncio.timeout(60):
        async for message in events.listen():
            event = json.loads(message["data"]) if message["type"] == "message" else {}
            if event.get("aggregateId") == order_id:
                return True
    return False


async def test_the_same_purchase_by_grpcurl_alone(grpcurl: Grpcurl, created_events: PubSub) -> None:
    """Register, login, list, buy: an order is confirmed and paid with nothing but grpcurl."""
    person = {"email": f"{secrets.token_hex(6)}@souk.example", "password": secrets.token_hex(12)}

    async def call(method: str, body: object, into: M, token: str = "") -> M:
        service = method.split(".")[1]
        return json_format.Parse(await grpcurl(service, method, body=body, token=token), into)

    registration = {**person, "display_name": "Grpcurl"}
    await call(f"{_USERS}/Register", registration, user_service_pb2.RegisterResponse())
    session = await call(f"{_USERS}/Login", person, user_service_pb2.LoginResponse())
    token = session.access_token
    page = await call(
        f"{_PRODUCTS}/ListProducts",
        {"filter": "stock>5"},
        product_service_pb2.ListProductsResponse(),
    )
    order = {
        "request_id": secrets.token_hex(16),
        "items": [{"product_id": page.products[0].product_id, "quantity": 1}],
        "payment_token": "tok_ok",
    }
    created = order_service_pb2.CreateOrderResponse
    answer = await call(f"{_ORDERS}/CreateOrder", order, created(), token)
    again = await call(f"{_ORDERS}/CreateOrder", order, created(), token)
    payments = await call(
        f"{_PAYMENTS}/ListPayments",
        {"order_id": answer.order.order_id},
        payment_service_pb2.ListPaymentsResponse(),
        token,
    )
    assert answer.order.state == order_pb2.ORDER_STATE_CONFIRMED
    assert again == answer
    assert [it.state for it in payments.payments] == [payment_pb2.PAYMENT_STATE_CAPTURED]
    assert await _announced(created_events, answer.order.order_id)


async def test_developer_may_not_call_internal_methods(grpcurl: Grpcurl) -> None:
    """Who holds the developer's certificate is refused what only services may do."""
    body = {"order_id": "019b0000-0000-7000-8000-000000000000"}
    with pytest.raises(AssertionError, match="PermissionDenied"):
        await grpcurl("product", "souk.product.v1.StockService/ReleaseReservation", body=body)


def test_data_folder_is_private(mesh: Mesh) -> None:
    """Nobody but the owner can look into the data folder."""
    path: Path = mesh.folder.path
    assert oct(path.stat().st_mode & 0o777) == "0o700"
