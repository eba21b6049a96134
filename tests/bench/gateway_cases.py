"""What is asked of the gateways that `gateway.py` measures, and what the backend answers.

| case      | request                         | answer in JSON            |
|-----------|---------------------------------|---------------------------|
| `product` | GET /v1/products/{product_id}   | a product, some 290 bytes |
| `list`    | GET /v1/products?page_size=50   | 50 of them                |
| `create`  | POST /v1/products               | the product               |
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message

from tests.bench.gateway_load import Request

PROTO: Final = Path(__file__).with_name("gateway.proto")
SERVICE: Final = "bench.v1.Products"
_ID: Final = "01a2092a-1501-76b2-ad66-4d9c138617d5"
_TIME: Final = "2026-10-01T09:30:00Z"
_PAGE: Final = 50
_NEW: Final[Mapping[str, Any]] = {
    "sku": "MUG-1",
    "title": "Mug",
    "price": {"currencyCode": "EUR", "units": "12"},
    "tags": ["kitchen"],
    "stock": 7,
}
_PRODUCT: Final[Mapping[str, Any]] = {
    **_NEW,
    "productId": _ID,
    "state": "STATE_ACTIVE",
    "createTime": _TIME,
    "updateTime": _TIME,
    "etag": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request, and both sides of the call that it stands for."""

    name: str
    request: Request
    path: str
    """Of the RPC."""
    asked: Message
    answer: Message

    def json(self) -> Any:
        """Gives what the client gets: implicit defaults are written."""
        return json_format.MessageToDict(self.answer, always_print_fields_with_no_presence=True)


def messages(descriptors: bytes) -> dict[str, type[Message]]:
    """Makes the classes of a descriptor set, by their names in bench.v1."""
    pool = descriptor_pool.DescriptorPool()
    files = FileDescriptorSet.FromString(descriptors)
    for file in files.file:
        pool.Add(file)
    names = [file.name for file in files.file]
    classes = message_factory.GetMessageClassesForFiles(names, pool)
    prefix = SERVICE.rpartition(".")[0] + "."
    return {name.removeprefix(prefix): made for name, made in classes.items()}


def cases(descriptors: bytes) -> list[Case]:
    """Makes the cases with the classes of the descriptor set."""
    known = messages(descriptors)

    def message(name: str, content: Mapping[str, Any]) -> Message:
        return json_format.ParseDict(dict(content), known[name]())

    return [
        Case(
            name="product",
            request=Request(method="GET", target=f"/v1/products/{_ID}"),
            path=f"/{SERVICE}/GetProduct",
            asked=message("GetProductRequest", {"productId": _ID}),
            answer=message("Product", _PRODUCT),
        ),
        Case(
            name="list",
            request=Request(method="GET", target=f"/v1/products?page_size={_PAGE}"),
            path=f"/{SERVICE}/ListProducts",
            asked=message("ListProductsRequest", {"pageSize": _PAGE}),
            answer=message("ListProductsResponse", {"products": [_PRODUCT] * _PAGE}),
        ),
        Case(
            name="create",
            request=Request(method="POST", target="/v1/products", body=json.dumps(_NEW).encode()),
            path=f"/{SERVICE}/CreateProduct",
            asked=message("CreateProductRequest", {"product": _NEW}),
            answer=message("Product", _PRODUCT),
        ),
    ]
