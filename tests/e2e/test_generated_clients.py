"""Clients that are generated from the running shop's document, and buy with it.

Python   openapi-python-client, typed models and functions over httpx
Node     openapi-typescript's types, which tsc checks, over openapi-fetch
"""

import asyncio
import importlib
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import node_tools
from tests.e2e.conftest import Mesh

_PACKAGE = "generated_shop"
_PATIENCE = httpx.Timeout(60)
# What the generator has no word for is told as what it is to it: bytes, text.
_CONFIG = {
    "content_type_overrides": {
        "application/problem+json": "application/json",
        "application/x-ndjson": "application/octet-stream",
        "text/event-stream": "text/plain",
    },
    "post_hooks": [],
}


def _person() -> dict[str, str]:
    return {"email": f"{secrets.token_hex(6)}@souk.example", "password": secrets.token_hex(12)}


class _Client:
    """The generated package: `call("order_service.get_order", ...)`, `model("Order", ...)`."""

    def __init__(self, base_url: str) -> None:
        self._package = importlib.import_module(_PACKAGE)
        self._models = importlib.import_module(f"{_PACKAGE}.models")
        self._base_url = base_url
        self._token = ""

    def sign_in(self, token: str) -> None:
        self._token = token

    def model(self, name: str, **values: Any) -> Any:
        return getattr(self._models, name)(**values)

    async def call(self, name: str, **arguments: Any) -> Any:
        """Gives what is parsed of the answer."""
        operation = importlib.import_module(f"{_PACKAGE}.api.{name}")
        package = self._package
        client = (
            package.AuthenticatedClient(self._base_url, token=self._token, timeout=_PATIENCE)
            if self._token
            else package.Client(self._base_url, timeout=_PATIENCE)
        )
        async with client as opened:
            return (await operation.asyncio_detailed(client=opened, **arguments)).parsed


@pytest.fixture(scope="module")
def client(mesh: Mesh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Client]:
    """Generates the package, without a warning, and makes it importable."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "config.json").write_text(json.dumps(_CONFIG))
    done = subprocess.run(  # noqa: S603  # a program of ours
        [
            *(Path(sys.executable).with_name("openapi-python-client"), "generate"),
            *("--url", f"{mesh.endpoints.gateway}/openapi.json", "--fail-on-warning"),
            *("--config", folder / "config.json", "--meta", "none"),
            *("--output-path", folder / _PACKAGE),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    yield _Client(mesh.endpoints.gateway)
    sys.path.remove(str(folder))


async def test_the_python_client_buys(client: _Client) -> None:
    """It signs up, signs in, browses, buys once under one key, reads the order, sees it paid."""
    person = _person()
    registration = client.model("RegisterRequest", **person, display_name="Generated")
    user = await client.call("user_service.register", body=registration)
    session = await client.call("user_service.login", body=client.model("LoginRequest", **person))
    client.sign_in(session.access_token)
    page = await client.call("product_service.list_products", filter_="stock>5", page_size=1)
    [product] = page.products
    purchase = client.model(
        "CreateOrderBody",
        items=[client.model("OrderItem", product_id=product.product_id, quantity=2)],
        payment_token="tok_ok",
    )
    key = secrets.token_hex(16)
    order, again = [
        await client.call("order_service.create_order", body=purchase, idempotency_key=key)
        for _ in range(2)
    ]
    read = await client.call("order_service.get_order", order_id=order.order_id)
    [payment] = (
        await client.call("payment_service.list_payments", order_id=order.order_id)
    ).payments
    assert read.state.value == "ORDER_STATE_CONFIRMED"
    assert again.order_id == order.order_id
    assert (read.user_id, [line.quantity for line in read.lines]) == (str(user.user_id), [2])
    assert (payment.state.value, payment.amount) == ("PAYMENT_STATE_CAPTURED", order.total)


async def test_the_python_client_understands_a_failure(client: _Client) -> None:
    """A failure is a status with its code, reason and details, not an exception."""
    answer = await client.call("user_service.login", body=client.model("LoginRequest", **_person()))
    assert answer.code == 16
    [detail] = answer.details
    assert detail["reason"] == "CREDENTIALS_INVALID"


async def test_the_typescript_client_buys(mesh: Mesh, tmp_path: Path) -> None:
    """A script that tsc checks against the generated types does the same purchase."""
    (tmp_path / "node_modules").symlink_to(node_tools.MODULES)
    (tmp_path / "purchase.ts").write_bytes((node_tools.HERE / "purchase.ts").read_bytes())
    (tmp_path / "package.json").write_text('{"type": "module"}')
    document = f"{mesh.endpoints.gateway}/openapi.json"
    run = asyncio.to_thread
    await run(node_tools.run, "openapi-typescript", document, "-o", tmp_path / "shop.d.ts")
    await run(
        node_tools.run,
        *("tsc", "--strict", "--exactOptionalPropertyTypes", "--skipLibCheck"),
        *("--target", "es2022", "--module", "nodenext", tmp_path / "purchase.ts"),
        folder=tmp_path,
    )
    output = await run(
        node_tools.run_script,
        tmp_path / "purchase.js",
        mesh.endpoints.gateway,
        json.dumps(_person()),
    )
    assert json.loads(output) == {
        "state": "ORDER_STATE_CONFIRMED",
        "isSameOrder": True,
        "paymentStates": ["PAYMENT_STATE_CAPTURED"],
        "failureCode": 5,
    }
