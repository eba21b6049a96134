"""Every page of the storefront answers: whole, or without the parts that can't be had."""

import grpc
import pytest

from gateway.storefront import app
from services.local import ports
from services.mesh import run, settings
from services.mesh.ids import new_id
from services.user.domain import Role
from souk.order.v1.order_service_pb2_grpc import OrderServiceStub
from souk.product.v1.product_service_pb2_grpc import ProductServiceStub
from souk.storefront.v1 import storefront_service_pb2 as pb
from souk.storefront.v1.storefront_service_pb2_grpc import StorefrontServiceStub
from souk.user.v1.user_service_pb2_grpc import UserServiceStub
from tests.contract import test_order, test_product, test_user
from tests.contract.conftest import ChannelAs
from tests.contract.details import reason_of
from tests.contract.shop import Shop
from tests.contract.tables import Desk, Entry, check_is_answered, check_is_complete, eventually


@pytest.fixture(scope="module")
def process() -> str:
    """Tests the storefront."""
    return "storefront"


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[StorefrontServiceStub]:
    """Calls it by its generated stub."""
    return StorefrontServiceStub


@pytest.fixture(scope="module")
def desk(shop: Shop, grpc_stub: StorefrontServiceStub, channel_as: ChannelAs) -> Desk:
    """Gives the desk to call from."""
    return Desk(shop=shop, stub=grpc_stub, channel_as=channel_as)


def order_page(desk: Desk) -> pb.GetOrderPageResponse:
    """Buy something and look at its page."""
    order = test_order.buy(desk.at("order", OrderServiceStub))
    request = pb.GetOrderPageRequest(order_id=order.order_id)
    page: pb.GetOrderPageResponse = desk.call("GetOrderPage", request, test_order.customer(desk))
    return page


def product_page(desk: Desk) -> pb.GetProductPageResponse:
    """Create two products alike and look at the page of one."""
    catalogue = desk.at("product", ProductServiceStub)
    tags = [f"alike-{new_id().hex}"]
    product, _ = (test_product.create(catalogue, tags=tags) for _ in range(2))
    request = pb.GetProductPageRequest(product_id=product.product_id)
    page: pb.GetProductPageResponse = desk.call("GetProductPage", request)
    return page


def account_page(desk: Desk) -> pb.GetAccountPageResponse:
    """Open an account and look at its page."""
    customer = test_user.customer(desk.at("user", UserServiceStub))
    page: pb.GetAccountPageResponse = desk.call(
        "GetAccountPage", pb.GetAccountPageRequest(), customer
    )
    return page


ANSWERS: dict[str, Entry] = {
    "GetHome": lambda desk: desk.call("GetHome", pb.GetHomeRequest()),
    "GetProductPage": product_page,
    "GetOrderPage": order_page,
    "GetAccountPage": account_page,
    "ListAuditEvents": lambda desk: desk.call(
        "ListAuditEvents", pb.ListAuditEventsRequest(), desk.person(Role.ADMIN)
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_rpc_answers(desk: Desk, name: str):
    """The page is there."""
    check_is_answered(desk, ANSWERS[name])


def test_nothing_is_left_out(process: str):
    """Every page is tested; the storefront has no errors of its own."""
    check_is_complete(process, answers=ANSWERS, errors={})


def test_the_page_of_an_order_has_all_that_belongs_to_it(desk: Desk):
    """Order, steps, payment, products and notifications come in one call."""

    def complete() -> pb.GetOrderPageResponse | None:
        page = order_page(desk)
        return page if page.notifications else None

    # A notification comes with the event, a moment after the order.
    page = eventually(complete)

    assert page is not None
    assert len(page.events) >= 1
    assert [payment.order_id for payment in page.payments] == [page.order.order_id]
    assert [each.product_id for each in page.products] == [
        line.product_id for line in page.order.lines
    ]
    assert not page.missing


def test_the_page_of_a_product_shows_others_like_it(desk: Desk):
    """The product itself is not among them."""
    page = product_page(desk)

    assert len(page.related_products) == 1
    assert page.product.product_id not in {each.product_id for each in page.related_products}


def test_anothers_order_has_no_page(desk: Desk):
    """The page fails as the order does, for the order's own reason."""
    order = test_order.buy(desk.at("order", OrderServiceStub))
    request = pb.GetOrderPageRequest(order_id=order.order_id)

    with pytest.raises(grpc.RpcError) as raised:
        desk.call("GetOrderPage", request, desk.person())

    assert raised.value.code() == grpc.StatusCode.NOT_FOUND
    assert reason_of(raised.value) == "ORDER_NOT_FOUND"


async def test_a_part_that_cannot_be_had_is_missing(desk: Desk, shop: Shop):
    """With notifications out of reach, the rest of the page is there and says what is missing."""
    order = test_order.buy(desk.at("order", OrderServiceStub))
    address, nowhere = map(ports.address, ports.free(2))
    targets = {**shop.addresses, "notification": nowhere}
    environ = {
        "SOUK_LISTEN": address,
        "SOUK_DRAIN_WAIT": "0s",
        "SOUK_TARGETS": ",".join(f"{name}={address}" for name, address in targets.items()),
        "SOUK_TLS_CA": str(shop.certs_folder / "ca.pem"),
        "SOUK_TLS_CERT": str(shop.certs_folder / "gateway.pem"),
        "SOUK_TLS_KEY": str(shop.certs_folder / "gateway-key.pem"),
    }
    values = settings.load(app.PROCESS.settings, environ)
    async with (
        run.serving(app.PROCESS, values),
        grpc.aio.secure_channel(address, shop.credentials("developer")) as channel,
    ):
        page = await StorefrontServiceStub(channel).GetOrderPage(
            pb.GetOrderPageRequest(order_id=order.order_id),
            metadata=test_order.customer(desk),
            timeout=10,
        )

    assert page.order.order_id == order.order_id
    assert [pb.Part.Name(part) for part in page.missing] == ["PART_NOTIFICATIONS"]
