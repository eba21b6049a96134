"""Whether a process serves: asked over gRPC on its probe port, or over HTTP."""

import asyncio

import grpc.aio
from grpc_health.v1 import health_pb2

_SECONDS = 2


class NotServing(Exception):
    """A process answers, but does not serve; the message is its answer."""


async def check_grpc(address: str) -> None:
    """Raises NotServing unless the server's overall health is SERVING, OSError if there is nobody.

    The empty service name asks for all of it (gRPC health checking protocol).
    """
    await _connect(address)
    async with grpc.aio.insecure_channel(address) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        answer = await check(health_pb2.HealthCheckRequest(), timeout=_SECONDS)
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise NotServing(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


async def check_http(address: str, path: str) -> None:
    """Raises NotServing unless a GET of `path` is answered with 200, OSError if there is nobody."""
    async with asyncio.timeout(_SECONDS):
        reader, writer = await asyncio.open_connection(*address.split(":"))
        try:
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode()
            )
            status = await reader.readline()
        finally:
            writer.close()
    if b" 200 " not in status:
        raise NotServing(status.decode(errors="replace").strip() or "no answer")


async def _connect(address: str) -> None:
    """Fails fast while nothing listens yet, where a gRPC channel would wait to reconnect."""
    async with asyncio.timeout(_SECONDS):
        _, writer = await asyncio.open_connection(*address.split(":"))
        writer.close()
