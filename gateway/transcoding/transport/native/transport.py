"""Calls one target: by a UnaryCall or a NativeStream each."""

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.message import DecodeError
from google.rpc import code_pb2
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from gateway.transcoding.errors import Metadata, StatusError
from gateway.transcoding.transport import Call, Messages
from gateway.transcoding.transport.native.balancer import Balancer, Resolve, resolve
from gateway.transcoding.transport.native.dispatch import Dispatch
from gateway.transcoding.transport.native.message import MAX_BYTES
from gateway.transcoding.transport.native.stream import NativeStream
from gateway.transcoding.transport.native.subchannel import Target
from gateway.transcoding.transport.native.unary_call import UnaryCall

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
        max_message_bytes: int = MAX_BYTES,
    ) -> None:
        """`metadata` goes with every call; `max_message_bytes` is for each message of an answer.

        Of the service config, methodConfig and retryThrottling count. Raises KeyError or
        ValueError if it is malformed.
        """
        self._dispatch = Dispatch(target, service_config, metadata, resolve, max_message_bytes)

    def configure(self, service_config: Mapping[str, Any]) -> None:
        """Lets calls that begin from now on be made by another service config.

        Raises KeyError or ValueError if it is malformed.
        """
        self._dispatch.configure(service_config)

    async def renew_when_ready(self, target: Target, seconds: float) -> Balancer:
        """Lets calls go over new connections as soon as one stands, at the latest after so long.

        Returns what the caller closes.
        """
        return await self._dispatch.renew_when_ready(target, seconds)

    async def close(self, grace_seconds: float = 0) -> None:
        """Lets calls under way end within so many seconds, and hangs up."""
        await self._dispatch.close(grace_seconds)

    def unary(self, call: Call, request: bytes) -> UnaryCall:
        """Sends one message; the one that comes is the outcome. Cancelling it cancels the call.

        Raises StatusError at once if no address can be reached.
        """
        return UnaryCall(self._dispatch, call, request)

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
