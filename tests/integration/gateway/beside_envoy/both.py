"""Our gateway and Envoy's transcoder, side by side before one gRPC server.

    Ask ──▶ gateway ──▶ backend ──▶ Outcome
       `──▶ Envoy ─────▶   "   ───▶ Outcome

Envoy runs with the settings that come nearest to ours: it refuses unknown paths, parameters and
collisions, reads `+` as a space and keeps only `%2F`. It has no `response_body`, so that it serves
the contracts without.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import grpc.aio
from google.api import annotations_pb2
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import DecodeError
from yarl import URL

from tests import envoy
from tests.integration.gateway.beside_envoy.outcomes import Ask, Outcome
from tests.integration.gateway.process import running

ENVOY_OPTIONS: Final[Mapping[str, Any]] = {
    "convert_grpc_status": True,
    "query_param_unescape_plus": True,
    "url_unescape_spec": "ALL_CHARACTERS_EXCEPT_SLASH",
    "request_validation_options": {
        "reject_unknown_method": True,
        "reject_unknown_query_parameters": True,
        "reject_binding_body_field_collisions": True,
    },
}
_HTTP: Final[Any] = annotations_pb2.http
_START_SECONDS: Final = 60


@dataclass(slots=True)
class _Backend:
    """Answers every call with the same message, or with its request, and remembers the calls."""

    inputs: Mapping[str, type[Any]]
    answer: bytes | None = None
    calls: list[tuple[str, Any]] = field(default_factory=list)

    def server(self) -> tuple[grpc.aio.Server, int]:
        """Makes the server, on a free port."""
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((_Handlers(self),))
        return server, server.add_insecure_port("127.0.0.1:0")


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, backend: _Backend) -> None:
        self._backend = backend

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        path = handler_call_details.method

        async def handle(request: bytes, _: Any) -> bytes:
            message = _read(self._backend.inputs[path], request)
            self._backend.calls.append((path, message))
            if self._backend.answer is not None:
                return self._backend.answer
            # Written anew: Envoy sends entries of maps without values, and dies of reading them.
            return b"" if isinstance(message, bytes) else bytes(message.SerializeToString())

        return grpc.unary_unary_rpc_method_handler(handle)


@dataclass(frozen=True, slots=True, kw_only=True)
class BothGateways:
    """The two, running."""

    _backend: _Backend
    _session: aiohttp.ClientSession
    _urls: tuple[str, str]

    async def ask(self, ask: Ask) -> tuple[Outcome, Outcome]:
        """Asks our gateway, then Envoy."""
        ours, envoys = [await self._outcome(url, ask) for url in self._urls]
        return ours, envoys

    async def _outcome(self, url: str, ask: Ask) -> Outcome:
        self._backend.answer = ask.answer
        self._backend.calls.clear()
        async with self._session.request(
            ask.method,
            URL(url + ask.target, encoded=True),
            data=ask.body or None,
            headers=[("content-type", "application/json")] * bool(ask.body) + list(ask.headers),
            allow_redirects=False,
        ) as response:
            body = await response.read()
        rpc, message = None, None
        if self._backend.calls:
            [(rpc, message)] = self._backend.calls
        return Outcome(
            status=response.status, rpc=rpc, message=message, json=_json(body), body=body
        )


def _read(made: type[Any], wire: bytes) -> Any:
    try:
        return made.FromString(wire)
    except DecodeError:
        return wire


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


@asynccontextmanager
async def both(descriptors: FileDescriptorSet, folder: Path) -> AsyncIterator[BothGateways]:
    """Runs both for all services of the set that have a binding."""
    backend = _Backend(inputs=_inputs(descriptors))
    server, port = backend.server()
    await server.start()
    path = folder / "set.binpb"
    path.write_bytes(descriptors.SerializeToString())
    plain = without_response_bodies(descriptors)
    arguments = (
        "--access",
        "open",
        "--descriptors",
        str(path),
        "--upstream",
        f"*=127.0.0.1:{port}",
    )
    try:
        with envoy.running(
            plain.SerializeToString(), _bound_services(plain), port, ENVOY_OPTIONS
        ) as (_, envoy_port):
            async with (
                running(*arguments) as gateway,
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=60),
                    skip_auto_headers=("content-type", "accept-encoding"),
                ) as session,
            ):
                await _until_open(envoy_port)
                yield BothGateways(
                    _backend=backend,
                    _session=session,
                    _urls=(gateway.url, f"http://127.0.0.1:{envoy_port}"),
                )
    finally:
        await server.stop(None)


def without_response_bodies(descriptors: FileDescriptorSet) -> FileDescriptorSet:
    """Takes every `response_body` out of the annotations."""
    plain = FileDescriptorSet()
    plain.CopyFrom(descriptors)
    for file in plain.file:
        for service in file.service:
            for method in service.method:
                if method.options.HasExtension(_HTTP):
                    rule: Any = method.options.Extensions[_HTTP]
                    for each in (rule, *rule.additional_bindings):
                        each.ClearField("response_body")
    return plain


def _bound_services(descriptors: FileDescriptorSet) -> Iterable[str]:
    for file in descriptors.file:
        for service in file.service:
            if any(method.options.HasExtension(_HTTP) for method in service.method):
                yield f"{file.package}.{service.name}"


def _inputs(descriptors: FileDescriptorSet) -> dict[str, type[Any]]:
    pool = descriptor_pool.DescriptorPool()
    for file in descriptors.file:
        pool.AddSerializedFile(file.SerializeToString())
    return {
        f"/{file.package}.{service.name}/{method.name}": message_factory.GetMessageClass(
            pool.FindMessageTypeByName(method.input_type.removeprefix("."))
        )
        for file in descriptors.file
        for service in file.service
        for method in service.method
    }


async def _until_open(port: int) -> None:
    async with asyncio.timeout(_START_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
