"""`souk explain`: an RPC is found by name or route, and everything derived for it is told."""

import pytest

from services.local import contract
from services.local.contract import NoSuchRpc, Route
from services.local.explain import explain

_CREATE = "souk.order.v1.OrderService/CreateOrder"


@pytest.mark.parametrize(
    "what",
    [_CREATE, "OrderService/CreateOrder", "CreateOrder", "POST /v1/orders", "post /v1/orders"],
)
def test_rpc_is_found(what: str) -> None:
    """The full name, what is enough of it, and the route lead to the same RPC."""
    assert contract.find(what).full_name == _CREATE


def test_rpc_is_found_by_a_concrete_path() -> None:
    """A path as a client sends it leads to the RPC whose template it fits."""
    assert contract.find("POST /v1/orders/019b:cancel").name == "CancelOrder"


def test_unknown_rpc_is_refused_with_what_comes_near() -> None:
    """A part of a name is answered with the full ones."""
    with pytest.raises(NoSuchRpc, match=f"did you mean {_CREATE}"):
        contract.find("createorder")
    with pytest.raises(NoSuchRpc, match=r"did you mean souk\..*, souk\."):
        contract.find("ListAuditEvents")


def test_lines_fit_a_terminal() -> None:
    """With a width the same words are told, broken at it."""
    rpc = contract.find(_CREATE)
    whole, fitted = list(explain(rpc)), list(explain(rpc, 80))
    assert max(map(len, fitted)) <= 80 < max(map(len, whole))
    assert " ".join(fitted).split() == " ".join(whole).split()


@pytest.mark.parametrize(
    ("path", "matches"),
    [("/v1/orders/1", True), ("/v1/orders/{order_id}", True), ("/v1/orders/1:ship", False)],
)
def test_route_matches(path: str, *, matches: bool) -> None:
    """A variable stands for one segment without a custom verb."""
    route = Route(http_method="GET", path="/v1/orders/{order_id}", body="")
    assert route.matches("GET", path) == matches


@pytest.mark.parametrize(
    ("what", "line"),
    [
        (_CREATE, "routes     POST /v1/orders   body: *"),
        (_CREATE, "access     any signed-in person"),
        (_CREATE, "callers    gateway, developer"),
        (_CREATE, "retry      yes: `request_id` makes a repeated call the same call"),
        (_CREATE, "priority   high"),
        ("OrderService/ListOrders", "retry      yes: it has no side effects"),
        ("OrderService/ShipOrder", "access     who holds one of: admin, fulfilment"),
        ("StockService/ReserveStock", "routes     none: gRPC only"),
        ("StockService/ReserveStock", "callers    order"),
        ("StockService/ReserveStock", "rate       not limited"),
        ("OrderService/WatchOrder", "deadline   none: the stream may stay open"),
        ("UserService/Login", "retry      no: it is neither free of side effects nor idempotent"),
    ],
)
def test_line_is_told(what: str, line: str) -> None:
    """What the contract says of an RPC stands on a line of its own."""
    assert f"  {line}" in list(explain(contract.find(what)))


def test_rules_and_secrecy_of_fields_are_told() -> None:
    """A field shows its limits, and whether it is kept out of logs."""
    text = "\n".join(explain(contract.find(_CREATE)))
    assert "request_id: string; min_len: 1; max_len: 128" in text
    assert "payment_token: string; never logged" in text
    assert "items[].quantity: int32" in text


def test_error_reasons_named_by_the_rpc_are_told_with_their_meaning() -> None:
    """The reasons that the RPC's comment names come with their own comments."""
    lines = [line.strip() for line in explain(contract.find(_CREATE))]
    assert any(line.startswith("OUT_OF_STOCK: A product has too few pieces") for line in lines)


def test_every_rpc_can_be_explained() -> None:
    """No RPC of the contract makes the command fail, and none is left without access."""
    for rpc in contract.rpcs():
        lines = list(explain(rpc))
        assert lines[0] == rpc.full_name
        assert not any("the policy does not say" in line for line in lines)


def test_called_services_follow_from_the_policies() -> None:
    """Whom a service calls is whoever lists it among the callers."""
    assert contract.callees("order") == ["payment", "product", "user"]


def test_grpc_services_follow_from_the_package() -> None:
    """A service answers for all that its package declares."""
    assert contract.grpc_services("product") == [
        "souk.product.v1.ProductService",
        "souk.product.v1.StockService",
    ]
