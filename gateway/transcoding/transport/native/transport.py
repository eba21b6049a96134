"""Calls one target: unary calls here, streaming calls by a NativeStream each."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.message import DecodeError
from google.rpc import code_pb2
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from gateway.transcoding.errors import Metadata, StatusError
from gateway.transcoding.transport import Call, Messages, Reply
from gateway.transcoding.transport.native import message, request_head
from gateway.transcoding.transport.native.attempt import Attempt
from gateway.transcoding.transport.native.balancer import Balancer, Resolve, resolve
from gateway.transcoding.transport.native.connection import Connection
from gateway.transcoding.transport.native.dispatch import Dispatch
from gateway.transcoding.transport.native.exchange import Unprocessed
from gateway.transcoding.transport.native.retry import Tries
from gateway.transcoding.transport.native.stream import NativeStream
from gateway.transcoding.transport.native.subchannel import Target

_HEALTH: Final = "/grpc.health.v1.Health/Check"
_READY_SECONDS: Final = 1.0
# What a server says that does not know the health service, or not this service by it.
_ANSWERS: Final = (code_pb2.UNIMPLEMENTED, code_pb2.NOT_FOUND)


class NativeTransport:
    """A transport to one target. To be made in a running loop, and closed."""

    def __init__(
        self,
        target: Target,
        service_config: Mapping[str, Any],
        metadata: Metadata = (),
        resolve: Resolve = resolve,
    ) -> None:
        """`metadata` goes with every call.

        Of the service config, methodConfig and retryThrottling count. Raises KeyError or
        ValueError if it is malformed.
        """
        self._loop = asyncio.get_running_loop()
        self._dispatch = Dispatch(target, service_config, metadata, resolve)

    def renew(self, target: Target) -> Balancer:
        """Lets calls that begin from now on go over new connections.

        Returns those of before, which the caller closes.
        """
        return self._dispatch.renew(target)

    async def close(self, grace_seconds: float = 0) -> None:
        """Lets calls under way end within so many seconds, and hangs up."""
        await self._dispatch.close(grace_seconds)

    async def unary(self, call: Call, request: bytes) -> Reply:
        """Sends one message and waits for one."""
        dispatch = self._dispatch
        config = dispatch.config(call.path)
        deadline = dispatch.deadline(call, config)
        metadata = call.metadata + dispatch.metadata
        fields, count = request_head.fields(metadata), len(metadata)
        body = message.framed(request)
        tries: Tries | None = None
        while True:
            connection = dispatch.balancer.pick() or await dispatch.connection(deadline)
            attempt = Attempt(
                call.path,
                dispatch.timeout(deadline) + fields,
                count,
                body,
                self._loop.create_future(),
            )
            try:
                reply = await self._answer(connection, attempt, deadline)
            except (StatusError, Unprocessed) as failed:
                tries = tries or Tries(config.retry, dispatch.throttle)
                wait = tries.wait_seconds(failed, attempt)
            else:
                dispatch.throttle.on_success()
                return reply
            if wait:
                await dispatch.sleep(wait, deadline)
            again = tries.fields()
            fields, count = request_head.fields(metadata + again), len(metadata + again)

    def stream(self, call: Call, requests: bytes | Messages) -> NativeStream:
        """Sends one message, or messages as they come, and gives the answers as they come."""
        return NativeStream(self._dispatch, call, requests)

    async def is_ready(self, service: str) -> bool:
        """Asks the service's own health (grpc.health.v1); one without it is ready if it answers."""
        request = HealthCheckRequest(service=service).SerializeToString()
        try:
            reply = await self.unary(Call(path=_HEALTH, timeout_seconds=_READY_SECONDS), request)
            answer = HealthCheckResponse.FromString(reply.message)
        except StatusError as error:
            return error.status.code in _ANSWERS
        except DecodeError:
            return False
        return bool(answer.status == HealthCheckResponse.SERVING)

    async def _answer(
        self, connection: Connection, attempt: Attempt, deadline: float | None
    ) -> Reply:
        slot = None if deadline is None else self._dispatch.deadlines.add(deadline, attempt)
        try:
            connection.start(attempt)
            return await attempt.outcome
        except asyncio.CancelledError:
            attempt.abandon()
            raise
        finally:
            if slot is not None:
                self._dispatch.deadlines.discard(slot, attempt)
