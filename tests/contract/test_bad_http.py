"""Each request of `bad_input.json` and `bad_input.http` is refused by the gateway as it says.

The gateway is the real one, in front of the real services; the shop is as before, and the next good
request is answered.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from services.local import contract
from services.mesh.ids import new_id
from tests.contract import scene as scenes
from tests.contract.bad_input.http import AUTHORIZATION, HTTP, Request
from tests.contract.bad_input.json import JSON
from tests.contract.conftest import ChannelAs
from tests.contract.scene import Scene
from tests.contract.shop import Shop
from tests.contract.tables import Desk
from tests.integration.gateway.process import Gateway, running

ROWS = {**JSON, **HTTP, **AUTHORIZATION}
GOOD = Request(status=200)
GOOD_OF_OWN = Request(line="GET /v1/orders/ORDER", who="customer", status=200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back: the status, and the fields or the reason that it names."""

    status: int
    names: str
    body: Any


@pytest.fixture(scope="module")
def process() -> str:
    """Calls all services, by the gateway."""
    return "product"


@pytest.fixture(scope="module")
def scene(shop: Shop, channel_as: ChannelAs) -> Scene:
    """Sets the scene."""
    return scenes.begin(Desk(shop=shop, stub=None, channel_as=channel_as))


@pytest.fixture(scope="module")
async def gateway(shop: Shop) -> AsyncIterator[Gateway]:
    """Runs the gateway in front of the shop."""
    certs = shop.certs_folder
    upstreams = (
        f"{name}={address}"
        for process, address in shop.addresses.items()
        for name in contract.grpc_services(process)
    )
    arguments = (
        *("--descriptors", str(contract.DESCRIPTORS)),
        *(part for pair in upstreams for part in ("--upstream", pair)),
        *("--upstream-ca", str(certs / "ca.pem")),
        *("--upstream-cert", str(certs / "gateway.pem")),
        *("--upstream-key", str(certs / "gateway-key.pem")),
    )
    # The rows are many callers', whose address is one.
    given: dict[str, Any] = {"SOUK_RATE_FACTOR": "100", "SOUK_LISTEN": "127.0.0.1:0"}
    async with running(*arguments, **given) as started:
        yield started


def wire(row: Request, scene: Scene) -> bytes:
    """Write a request, with the ids of the scene and the token of whoever sends it."""
    if row.raw is not None:
        return row.raw
    tokens = {"customer": scene.owner, "stranger": scene.stranger, "staff": scene.staff}
    lines = [f"{row.line} HTTP/1.1", "host: shop.example", "connection: close", *row.lines]
    lines += [f"{name}: {value}" for name, value in tokens.get(row.who, [])]
    head = "\r\n".join(lines)
    ids = {
        "PRODUCT": scene.product.product_id,
        "ORDER": scene.order.order_id,
        "KEY": str(new_id()),
    }
    body = row.body
    for name, value in ids.items():
        head = head.replace(name, value)
        # Of what is packed no letter is what it seems.
        if body is not None and "content-encoding" not in head:
            body = body.replace(name.encode(), value.encode())
    length = "" if body is None else f"\r\ncontent-length: {len(body)}"
    return f"{head}{length}\r\n\r\n".encode() + (body or b"")


async def answered(gateway: Gateway, sent: bytes) -> Answer:
    """Send bytes on a connection of their own, and read the first answer."""
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    try:
        writer.write(sent)
        async with asyncio.timeout(30):
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            body = await reader.readexactly(int(length or 0))
    finally:
        writer.close()
    told = json.loads(body) if body else {}
    return Answer(status=int(head[9:12]), names=_names(told), body=told)


def _names(told: Any) -> str:
    """Tell the field that an answer names, or the reason if it names none."""
    names = ""
    for detail in told.get("details", ()) if isinstance(told, dict) else ():
        if detail.get("fieldViolations"):
            return str(detail["fieldViolations"][0]["field"])
        names = detail.get("reason", names)
    return names


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_a_bad_request_is_refused_by_name_and_changes_nothing(
    row: Request, scene: Scene, gateway: Gateway
):
    """The status is the client's fault and tells what is wrong; who is right is answered after."""
    before = await asyncio.to_thread(scene.look)

    answer = await answered(gateway, wire(row, scene))

    assert (row.status, row.names) == (answer.status, answer.names), answer.body
    assert before == await asyncio.to_thread(scene.look)
    for good in (GOOD, GOOD_OF_OWN):
        assert good.status == (await answered(gateway, wire(good, scene))).status


async def test_the_rows_are_wrong_in_one_respect(scene: Scene, gateway: Gateway):
    """What the rows of orders and products are made from is right: it is taken."""
    row = Request(
        line="POST /v1/orders",
        who="customer",
        status=200,
        lines=("content-type: application/json", "idempotency-key: KEY"),
        body=b'{"items":[{"productId":"PRODUCT","quantity":1}],"paymentToken":"tok_ok"}',
    )
    answer = await answered(gateway, wire(row, scene))
    assert (200, "ORDER_STATE_CONFIRMED") == (answer.status, answer.body["state"])
