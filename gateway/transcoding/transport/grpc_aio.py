"""Makes calls over a grpc.aio channel."""

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # compiled, without stubs
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from gateway.transcoding.errors import Metadata, StatusError
from gateway.transcoding.outcome import Outcome, outcome
from gateway.transcoding.transport import Call, Messages, Reply

_STATUS_DETAILS: Final = "grpc-status-details-bin"
# How grpc's name resolution writes addresses.
_ADDRESS: Final = re.compile(r"\b(?:ipv4|ipv6|unix|unix-abstract|dns):")
_READY_SECONDS: Final = 1.0
# What a server says that does not know the health service, or not this service by it.
_ANSWERS: Final = (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.NOT_FOUND)

Begun = Callable[[Any], None]
"""Is told of a call of gRPC's library that has just begun."""


def _ignored(_rpc: Any) -> None:
    """Takes no note of a call."""


class GrpcTransport:
    """A transport over a channel, which its owner closes."""

    def __init__(
        self, channel: grpc.aio.Channel, metadata: Metadata = (), begun: Begun = _ignored
    ) -> None:
        """`metadata` goes with every call; `begun` is told of every stream."""
        self._metadata = metadata
        self._begun = begun
        self.renew(channel)

    def renew(self, channel: grpc.aio.Channel) -> None:
        """Lets calls that begin from now on go over another channel."""
        self._channel = channel
        self._unary: dict[str, Any] = {}

    def unary(self, call: Call, request: bytes) -> Outcome[Reply]:
        """Sends one message; the one that comes is the outcome. Cancelling it cancels the call."""
        return outcome(asyncio.get_running_loop().create_task(self._reply(call, request)))

    async def _reply(self, call: Call, request: bytes) -> Reply:
        multicallable = self._unary.get(call.path)
        if multicallable is None:
            # Without serializers grpc passes bytes as they are.
            multicallable = self._unary[call.path] = self._channel.unary_unary(call.path)
        rpc: Any = multicallable(
            request, metadata=call.metadata + self._metadata, timeout=call.timeout_seconds
        )
        try:
            message = await rpc
            return Reply(
                message=message,
                headers=tuple(await rpc.initial_metadata()),
                trailers=tuple(await rpc.trailing_metadata()),
            )
        except grpc.aio.AioRpcError as error:
            raise status_error(error) from None

    def stream(self, call: Call, requests: bytes | Messages) -> "GrpcStream":
        """Sends one message, or messages as they come, and gives the answers as they come."""
        channel: Any = self._channel
        options: Any = {
            "metadata": call.metadata + self._metadata,
            "timeout": call.timeout_seconds,
        }
        if isinstance(requests, bytes):
            rpc = channel.unary_stream(call.path)(requests, **options)
            stream = GrpcStream(rpc)
        else:
            rpc = channel.stream_stream(call.path)(**options)
            stream = GrpcStream(rpc, requests)
        self._begun(rpc)
        return stream

    async def is_ready(self, service: str) -> bool:
        """Asks the service's own health (grpc.health.v1); one without it is ready if it answers."""
        check = self._channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )
        try:
            answer: HealthCheckResponse = await check(
                HealthCheckRequest(service=service), timeout=_READY_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            return error.code() in _ANSWERS
        return bool(answer.status == HealthCheckResponse.SERVING)


class GrpcStream:
    """The answers of a streaming call; owns the task that sends the requests."""

    def __init__(self, rpc: Any, requests: Messages | None = None) -> None:
        """`requests` is what is still to be sent; None if all is."""
        self._rpc = rpc
        self._failure: BaseException | None = None
        self._sender = None if requests is None else asyncio.create_task(self._send(requests))
        self.trailers: Metadata = ()

    async def _send(self, requests: Messages) -> None:
        try:
            await self._rpc.wait_for_connection()
            # `write` would replace the status of a service that answers before all is sent by
            # INTERNAL (github.com/grpc/grpc/issues/36066).
            wire = self._rpc._cython_call  # noqa: SLF001
            async for request in requests:
                # Waits while flow control says so, which holds the client's body back in turn.
                await wire.send_serialized_message(request)
            await self._rpc.done_writing()
        except (grpc.aio.AioRpcError, cygrpc.InternalError):
            # The call has ended; its status is what the reader of the answers gets.
            return
        except Exception as error:  # noqa: BLE001  # handed to the reader, which raises it
            self._failure = error
            self._rpc.cancel()

    async def headers(self) -> Metadata:
        """Waits for the initial metadata."""
        try:
            return tuple(await self._rpc.initial_metadata())
        except (grpc.aio.AioRpcError, asyncio.CancelledError) as error:
            raise self._error(error) from None

    async def __aiter__(self) -> Messages:
        """Yields the answers until the call ends."""
        try:
            while (message := await self._rpc.read()) is not grpc.aio.EOF:
                yield message
            self.trailers = tuple(await self._rpc.trailing_metadata())
        except (grpc.aio.AioRpcError, asyncio.CancelledError) as error:
            raise self._error(error) from None
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Ends the call, if it has not ended itself."""
        self._rpc.cancel()
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)

    def _error(self, error: BaseException) -> BaseException:
        """Gives what the reader should get: why sending failed, if that is what ended the call."""
        if self._failure is not None:
            return self._failure
        if isinstance(error, grpc.aio.AioRpcError):
            return status_error(error)
        return error


def status_error(error: grpc.aio.AioRpcError) -> StatusError:
    """Reads the status, details and trailers of a failed call."""
    trailers: Metadata = tuple(error.trailing_metadata() or ())
    code: int = error.code().value[0]
    status = status_pb2.Status(code=code, message=_message(error))
    for key, value in trailers:
        if key == _STATUS_DETAILS and isinstance(value, bytes):
            try:
                # The status line wins over its copy in the details.
                status.details.extend(status_pb2.Status.FromString(value).details)
            except DecodeError:
                continue
    return StatusError(
        status,
        initial=tuple(error.initial_metadata() or ()),
        trailers=tuple(item for item in trailers if item[0] != _STATUS_DETAILS),
    )


def _message(error: grpc.aio.AioRpcError) -> str:
    """Gives what is said of the failure, but not grpc's own words, which name addresses."""
    details = error.details() or ""
    if error.code() is grpc.StatusCode.UNAVAILABLE and _ADDRESS.search(details):
        return "the service cannot be reached"
    return details
