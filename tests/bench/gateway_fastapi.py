"""REST before gRPC as it is written by hand today.

    python -m tests.bench.gateway_fastapi UPSTREAM PORT DESCRIPTORS

FastAPI's routes, grpc.aio's stub, protobuf's json_format; served by uvicorn with uvloop and
httptools, with no log of accesses and no telemetry.
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import fastapi
import grpc
import grpc.aio
import pydantic
import uvicorn
from google.protobuf import json_format

from tests.bench.gateway_cases import SERVICE, messages


class Price(pydantic.BaseModel):
    """An amount of money."""

    currencyCode: str  # noqa: N815  # as the JSON has it
    units: int = 0
    nanos: int = 0


class NewProduct(pydantic.BaseModel):
    """What is sent to add a product."""

    sku: str
    title: str
    description: str = ""
    price: Price
    tags: list[str] = []
    stock: int = 0


class Stub:
    """What a generated stub would be."""

    def __init__(self, channel: grpc.aio.Channel, known: Mapping[str, Any]) -> None:
        def rpc(name: str, request: str, response: str) -> Callable[..., Awaitable[Any]]:
            call: Callable[..., Awaitable[Any]] = channel.unary_unary(
                f"/{SERVICE}/{name}",
                request_serializer=known[request].SerializeToString,
                response_deserializer=known[response].FromString,
            )
            return call

        self.get_product = rpc("GetProduct", "GetProductRequest", "Product")
        self.list_products = rpc("ListProducts", "ListProductsRequest", "ListProductsResponse")
        self.create_product = rpc("CreateProduct", "CreateProductRequest", "Product")


def application(upstream: str, known: Mapping[str, Any]) -> fastapi.FastAPI:
    """Makes the application; `known` are the message classes."""
    stubs: list[Stub] = []

    @asynccontextmanager
    async def lifespan(_: fastapi.FastAPI) -> AsyncIterator[None]:
        async with grpc.aio.insecure_channel(upstream) as channel:
            stubs.append(Stub(channel, known))
            yield

    app = fastapi.FastAPI(lifespan=lifespan)

    @app.get("/v1/products/{product_id}")
    async def get_product(product_id: str) -> dict[str, Any]:
        request = known["GetProductRequest"](product_id=product_id)
        return await _answer(stubs[0].get_product(request, timeout=5))

    @app.get("/v1/products")
    async def list_products(page_size: int = 0, page_token: str = "") -> dict[str, Any]:
        request = known["ListProductsRequest"](page_size=page_size, page_token=page_token)
        return await _answer(stubs[0].list_products(request, timeout=5))

    @app.post("/v1/products")
    async def create_product(body: NewProduct) -> dict[str, Any]:
        request = known["CreateProductRequest"]()
        json_format.ParseDict(body.model_dump(), request.product)
        return await _answer(stubs[0].create_product(request, timeout=5))

    return app


async def _answer(call: Awaitable[Any]) -> dict[str, Any]:
    try:
        message = await call
    except grpc.aio.AioRpcError as error:
        raise fastapi.HTTPException(500, error.details()) from error
    return json_format.MessageToDict(message, always_print_fields_with_no_presence=True)


if __name__ == "__main__":
    uvicorn.run(
        application(sys.argv[1], messages(Path(sys.argv[3]).read_bytes())),
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
