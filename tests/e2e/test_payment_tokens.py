"""What becomes of a purchase with each of the sandbox provider's tokens, through the whole mesh."""

from typing import Any

import pytest

from services.local.demo.rest import CallFailed, Shop
from services.mesh.ids import new_id
from tests.conftest import Eventually
from tests.e2e.conftest import Mesh, Rest, SignIn


@pytest.fixture
async def shop(rest: Rest, sign_in: SignIn) -> Shop:
    """Gives a customer."""
    return rest(await sign_in("customer"))


async def buy(shop: Shop, token: str) -> Any:
    """Returns the order of one piece of a product that is in stock."""
    page = await shop.get("/v1/products", filter="stock>=1", orderBy="title", pageSize="1")
    item = {"productId": page["products"][0]["productId"], "quantity": 1}
    body = {"items": [item], "paymentToken": token}
    return await shop.post("/v1/orders", body, Idempotency_Key=str(new_id()))


async def payment(shop: Shop, order: Any) -> Any:
    """Returns the payment of an order; None if there is none."""
    found = (await shop.get(f"/v1/orders/{order['orderId']}/payments")).get("payments", [])
    return found[0] if found else None


@pytest.mark.parametrize("token", ["tok_ok", "tok_charge_then_timeout", "tok_answers_twice"])
async def test_money_is_taken_once(
    shop: Shop, mesh: Mesh, eventually: Eventually, token: str
) -> None:
    """The order is confirmed, also when the provider's answer was lost or came twice."""
    told_before = mesh.output.stat().st_size
    order = await buy(shop, token)

    async def confirmed() -> bool:
        found = await shop.get(f"/v1/orders/{order['orderId']}")
        return bool(found["state"] == "ORDER_STATE_CONFIRMED")

    await eventually(confirmed)
    paid = await payment(shop, order)
    assert paid["state"] == "PAYMENT_STATE_CAPTURED"
    assert paid["capturedAmount"] == paid["amount"]
    assert b"event not taken" not in mesh.output.read_bytes()[told_before:]


async def test_a_declined_purchase_is_rejected(shop: Shop) -> None:
    """The call fails with the reason, and the order is kept."""
    with pytest.raises(CallFailed, match="PAYMENT_DECLINED"):
        await buy(shop, "tok_declined")


async def test_a_purchase_without_an_answer_can_be_cancelled(
    shop: Shop, eventually: Eventually
) -> None:
    """The provider hangs for ever; the order is given up, and no money is set aside."""
    order = await buy(shop, "tok_hang")
    assert order["state"] == "ORDER_STATE_STOCK_RESERVED"

    async def cancelled() -> bool:
        path = f"/v1/orders/{order['orderId']}:cancel"
        return bool((await shop.post(path, {}))["state"] == "ORDER_STATE_CANCELLED")

    await eventually(cancelled)
    paid = await payment(shop, order)
    assert paid["state"] == "PAYMENT_STATE_VOIDED"


async def test_money_that_is_not_given_back_is_told_of(shop: Shop, eventually: Eventually) -> None:
    """The provider refuses the refund: the order ends all the same, and says so."""
    order = await buy(shop, "tok_no_refund")

    async def cancelled() -> Any:
        found = await shop.post(f"/v1/orders/{order['orderId']}:cancel", {})
        return found if found["state"] == "ORDER_STATE_CANCELLED" else None

    found = await eventually(cancelled)
    assert found["refundRefused"]
    assert (await payment(shop, order))["state"] == "PAYMENT_STATE_CAPTURED"
