"""Clients of gRPC-Web and Connect that are not ours: in Node, as in a browser, and in Python."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from connectrpc.client import ConnectClient
from connectrpc.code import Code
from connectrpc.codec import proto_binary_codec, proto_json_codec
from connectrpc.compression.brotli import BrotliCompression
from connectrpc.compression.gzip import GzipCompression
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.protocol import ProtocolType
from protobuf.wkt import FileDescriptorSet

from tests import node_tools
from tests.integration.gateway.echo import SERVICE, Echo
from tests.integration.gateway.process import Gateway

CODECS = {"proto": proto_binary_codec(), "json": proto_json_codec()}
COMPRESSIONS = {"gzip": GzipCompression(), "br": BrotliCompression()}


NEEDS_NODE = pytest.mark.skipif(
    shutil.which("node") is None or not (node_tools.MODULES / "grpc-web").exists(),
    reason="clients for browsers are not there: `make tools` brings them by npm",
)


@NEEDS_NODE
@pytest.mark.parametrize("protocol", ["connect", "grpc-web"])
@pytest.mark.parametrize("form", ["proto", "json"])
async def test_clients_for_browsers(
    gateway: Gateway, echo: Echo, descriptor_file: Path, protocol, form
):
    """Connect's clients for browsers call, stream, fail and leave as their users expect."""
    arguments = (str(node_tools.MODULES), gateway.url, str(descriptor_file), protocol, form)
    script = node_tools.HERE / "rpc.mjs"
    told = json.loads(await asyncio.to_thread(node_tools.run_script, script, *arguments))
    assert ("a", {"header": "a", "trailer": "b"}) == (told["name"], told["metadata"])
    assert [str(2**60), [0, 255], "ü", 7] == told["same"]
    # What is free of side effects is a GET with Connect.
    assert ["POST", "GET" if protocol == "connect" else "POST"] == told["methods"][:2]
    assert {"names": ["1", "2", "3"], "failure": None} == told["stream"]
    assert ["1"] == told["late"]["names"]
    assert (10, "enough") == (told["late"]["failure"]["code"], told["late"]["failure"]["message"])
    details = ["google.rpc.ErrorInfo", "google.rpc.RetryInfo", "nobody.Knows"]
    failure = {"code": 9, "message": "no ü", "details": details, "trailer": "b"}
    assert failure == told["failure"]
    assert [12, 4, 1] == [told[name]["code"] for name in ("unimplemented", "deadline", "left")]
    assert "b" == dict(echo.calls[0].metadata)["x-custom"]
    async with asyncio.timeout(30):
        await echo.cancelled.wait()


@NEEDS_NODE
async def test_googles_client_for_browsers(gateway: Gateway, echo: Echo, descriptor_file: Path):
    """Google's client of gRPC-Web calls, streams and fails as its users expect, in text."""
    arguments = (str(node_tools.MODULES), gateway.url, str(descriptor_file))
    script = node_tools.HERE / "grpc-web.mjs"
    told = json.loads(await asyncio.to_thread(node_tools.run_script, script, *arguments))
    assert {"code": 0, "message": "a", "header": "a", "trailer": "b"} == told["unary"]
    assert (5, "no ü") == (told["failure"]["code"], told["failure"]["message"])
    assert {"names": ["1", "2", "3"], "code": 0} == told["stream"]
    assert {"names": ["1", "2"], "code": 10, "message": "enough"} == told["late"]
    assert "b" == dict(echo.calls[0].metadata)["x-custom"]


class Methods:
    """The methods of the echo service, as the Python client has them."""

    def __init__(self, descriptor_file: Path) -> None:
        self._registry = FileDescriptorSet.from_binary(descriptor_file.read_bytes()).to_registry()

    def message(self, name: str, /, **values: Any) -> Any:
        """Makes a message."""
        return self._type(name)(**values)

    def _type(self, name: str) -> Any:
        found = self._registry.message(f"test.v1.{name}")
        assert found is not None
        return found.type

    def method(
        self, name: str, kind: StreamType, given: str, answered: str
    ) -> MethodInfo[Any, Any]:
        """Describes a method."""
        return MethodInfo(
            name=name,
            service_name=SERVICE,
            input=self._type(given),
            output=self._type(answered),
            idempotency_level=IdempotencyLevel.NO_SIDE_EFFECTS,
            stream_type=kind,
        )


@pytest.fixture(scope="module")
def methods(descriptor_file: Path) -> Methods:
    """Reads the contract."""
    return Methods(descriptor_file)


@pytest.mark.parametrize("protocol", [ProtocolType.CONNECT, ProtocolType.GRPC_WEB])
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("compression", COMPRESSIONS)
async def test_the_python_client(
    gateway: Gateway, echo: Echo, methods: Methods, protocol, codec, compression
):
    """Connect's client for Python makes calls of every kind, compressed."""
    chosen = COMPRESSIONS[compression]
    async with (
        asyncio.timeout(30),
        ConnectClient(
            gateway.url,
            codec=CODECS[codec],
            protocol=protocol,
            accept_compression=[chosen],
            send_compression=chosen,
        ) as client,
    ):
        get = methods.method("Get", StreamType.UNARY, "Everything", "Everything")
        request = methods.message("Everything", text="ü" * 2000)
        is_get = protocol is ProtocolType.CONNECT
        answer = await client.execute_unary(request=request, method=get, use_get=is_get)
        assert request == answer
        watch = methods.method("Watch", StreamType.SERVER_STREAM, "WatchRequest", "Resource")
        asked = methods.message("WatchRequest", count=3, fail_after=3)
        messages = client.execute_server_stream(request=asked, method=watch)
        assert ["1", "2", "3"] == [(await anext(messages)).name for _ in range(3)]
        with pytest.raises(ConnectError) as late:
            await anext(messages)
        assert Code.ABORTED == late.value.code
        upload = methods.method(
            "Import", StreamType.CLIENT_STREAM, "ImportRequest", "ImportResponse"
        )
        chat = methods.method("Chat", StreamType.BIDI_STREAM, "ImportRequest", "ImportRequest")

        async def many() -> Any:
            for number in range(20):
                yield methods.message("ImportRequest", parent=str(number))

        collected = await client.execute_client_stream(request=many(), method=upload)
        parents = [str(number) for number in range(20)]
        assert parents == [each.parent for each in collected.requests]
        echoed = client.execute_bidi_stream(request=many(), method=chat)
        assert parents == [each.parent async for each in echoed]
    assert echo.calls
