"""Calls that are wrong before anybody looks at what they ask for, as they go onto the wire."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import grpc

from services.mesh.ids import new_id
from souk.order.v1 import order_service_pb2
from souk.product.v1 import product_service_pb2

Metadata = list[tuple[str, str]]

INVALID = grpc.StatusCode.INVALID_ARGUMENT
TOO_MUCH = grpc.StatusCode.RESOURCE_EXHAUSTED
UNKNOWN = grpc.StatusCode.UNIMPLEMENTED
NOBODY = grpc.StatusCode.UNAUTHENTICATED
DENIED = grpc.StatusCode.PERMISSION_DENIED
MISSING = grpc.StatusCode.NOT_FOUND

PRODUCTS = "/souk.product.v1.ProductService"
IMPORT = f"{PRODUCTS}/ImportProducts"
GET = product_service_pb2.GetProductRequest(product_id=str(new_id())).SerializeToString()
LIMIT = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as it goes onto the wire, and how it ends; `reason` is empty if gRPC refuses it.

    `to`: the service that it goes to.
    """

    code: grpc.StatusCode
    reason: str = ""
    path: str = f"{PRODUCTS}/GetProduct"
    data: bytes = GET
    metadata: Iterable[tuple[str, str]] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    to: str = "product"

    def send(self, channel: Any, metadata: Metadata) -> None:
        """Make the call with this metadata besides. Raises grpc.RpcError."""
        is_stream = self.path == IMPORT
        invoke = (channel.stream_unary if is_stream else channel.unary_unary)(self.path)
        request = iter([self.data]) if is_stream else self.data
        invoke(request, metadata=[*self.metadata, *metadata], timeout=30, **self.options)


GOOD = Call(code=MISSING, reason="PRODUCT_NOT_FOUND")
GOOD_WITH_TOKEN = Call(
    code=MISSING,
    reason="ORDER_NOT_FOUND",
    path="/souk.order.v1.OrderService/GetOrder",
    data=order_service_pb2.GetOrderRequest(order_id=str(new_id())).SerializeToString(),
    to="order",
)


def text(data: bytes) -> bytes:
    """Return a message whose first field holds these bytes."""
    size, prefix = len(data), b""
    while size > 0x7F:
        prefix, size = prefix + bytes([size & 0x7F | 0x80]), size >> 7
    return b"\x0a" + prefix + bytes([size]) + data


MESSAGES = {
    "no protobuf": Call(code=INVALID, reason="MALFORMED_MESSAGE", data=b"\xff\xff\xff"),
    "a message that is cut": Call(code=INVALID, reason="MALFORMED_MESSAGE", data=GET[:-1]),
    "a text that is no UTF-8": Call(code=INVALID, reason="MALFORMED_MESSAGE", data=text(b"\xff")),
    "a group that does not end": Call(code=INVALID, reason="MALFORMED_MESSAGE", data=b"\x0b"),
    "another message": Call(code=INVALID, reason="INVALID_REQUEST", data=b"\x08\x01"),
    "an empty message": Call(code=INVALID, reason="INVALID_REQUEST", data=b""),
    "a message larger than 256 KiB": Call(code=TOO_MUCH, data=text(b"x" * LIMIT)),
    "a message that unpacks to more": Call(
        code=TOO_MUCH, data=text(b"x" * LIMIT * 4), options={"compression": grpc.Compression.Gzip}
    ),
}

PATHS = {
    f"the path {path}": Call(code=UNKNOWN, path=path)
    for path in (
        f"{PRODUCTS}/DropProducts",
        f"{PRODUCTS}/getproduct",
        f"{PRODUCTS}/",
        "/souk.product.v2.ProductService/GetProduct",
        "/souk.order.v1.OrderService/GetOrder",
        "/GetProduct",
    )
}

METADATA = {
    "metadata larger than 8 KiB": Call(code=TOO_MUCH, metadata=[("x-note", "x" * 16 * 1024)]),
    "much metadata in small parts": Call(
        code=TOO_MUCH, metadata=[(f"x-note-{number}", "x" * 100) for number in range(200)]
    ),
    **{
        f"the authorization {value!r}": Call(
            code=NOBODY, reason="AUTHORIZATION_MALFORMED", metadata=[("authorization", value)]
        )
        for value in ("", "Bearer", "Bearer ", "Basic YWRhOm9wZW4=", "Token abc", "abc")
    },
    "a person named beside": replace(
        GOOD_WITH_TOKEN,
        code=NOBODY,
        reason="NOT_SIGNED_IN",
        metadata=[("x-user-id", str(new_id())), ("x-souk-subject", str(new_id()))],
    ),
    "a service named beside": Call(
        code=DENIED,
        reason="CALLER_NOT_ALLOWED",
        path="/souk.product.v1.StockService/ReserveStock",
        metadata=[
            ("x-souk-service", "order"),
            ("x-forwarded-client-cert", "URI=spiffe://souk/order"),
        ],
    ),
}

CALLS = {**MESSAGES, **PATHS, **METADATA}
