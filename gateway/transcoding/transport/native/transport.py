"""Makes unary calls: begins attempts until one has an answer, or the deadline comes."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.message import DecodeError
from google.rpc import code_pb2
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from gateway.transcoding.errors import Metadata, StatusError
from gateway.transcoding.transport import Call, Messages, Reply, ReplyStream, Transport
from gateway.transcoding.transport.native import message, request_head
from gateway.transcoding.transport.native.answer import failure
from gateway.transcoding.transport.native.attempt import Attempt, Unprocessed
from gateway.transcoding.transport.native.balancer import Balancer, Resolve, resolve
from gateway.transcoding.transport.native.connection import Connection
from gateway.transcoding.transport.native.deadlines import Deadlines
from gateway.transcoding.transport.native.method_config import MethodConfig, MethodConfigs
from gateway.transcoding.transport.native.retry import Retries, Throttle
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
        streams: Transport,
        metadata: Metadata = (),
        resolve: Resolve = resolve,
    ) -> None:
        """`streams` makes the streaming calls; `metadata` goes with every unary one.

        Of the service config, methodConfig and retryThrottling count. Raises KeyError or
        ValueError if it is malformed.
        """
        self._loop = asyncio.get_running_loop()
        self._configs = MethodConfigs(service_config)
        self._throttle = Throttle(service_config)
        self._known: dict[str, MethodConfig] = {}
        self._streams = streams
        self._metadata = metadata
        self._deadlines = Deadlines()
        self._resolve = resolve
        self._balancer = Balancer(target, resolve)

    def renew(self, target: Target) -> Balancer:
        """Lets calls that begin from now on go over new connections.

        Returns those of before, which the caller closes.
        """
        former, self._balancer = self._balancer, Balancer(target, self._resolve)
        return former

    async def close(self, grace_seconds: float = 0) -> None:
        """Lets calls under way end within so many seconds, and hangs up."""
        await self._balancer.close(grace_seconds)
        self._deadlines.close()

    async def unary(self, call: Call, request: bytes) -> Reply:
        """Sends one message and waits for one."""
        config = self._known.get(call.path)
        if config is None:
            config = self._known[call.path] = self._configs.find(call.path)
        deadline = self._deadline(call, config)
        metadata = call.metadata + self._metadata
        fields = request_head.fields(metadata)
        body = message.framed(request)
        retries: Retries | None = None
        was_refused = False
        while True:
            connection = self._balancer.pick() or await self._connected(deadline)
            attempt = Attempt(
                call.path,
                self._timeout(deadline) + fields,
                len(metadata),
                body,
                self._loop.create_future(),
            )
            try:
                reply = await self._answer(connection, attempt, deadline)
            except Unprocessed as refusal:
                # gRFC A6: what no server saw may be repeated at will, what was refused once.
                if not refusal.was_sent:
                    continue
                if not was_refused:
                    was_refused = True
                    continue
                error = failure(code_pb2.UNAVAILABLE, "the service refused the call")
            except StatusError as failed:
                error = failed
            else:
                self._throttle.on_success()
                return reply
            if config.retry is None:
                raise error
            retries = retries or Retries(config.retry, self._throttle)
            wait = retries.wait_seconds(error, attempt)
            if wait is None:
                raise error
            await self._sleep(wait, deadline)
            previous = request_head.field("grpc-previous-rpc-attempts", str(retries.count))
            fields = request_head.fields(metadata) + previous

    def stream(self, call: Call, requests: bytes | Messages) -> ReplyStream:
        """Sends one message, or messages as they come, and gives the answers as they come."""
        return self._streams.stream(call, requests)

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
        slot = None if deadline is None else self._deadlines.add(deadline, attempt)
        try:
            connection.start(attempt)
            return await attempt.outcome
        except asyncio.CancelledError:
            attempt.abandon()
            raise
        finally:
            if slot is not None:
                self._deadlines.discard(slot, attempt)

    def _deadline(self, call: Call, config: MethodConfig) -> float | None:
        """Gives the loop's time at which the call has failed."""
        seconds = call.timeout_seconds
        if config.timeout_seconds is not None:
            longest = config.timeout_seconds
            seconds = longest if seconds is None else min(seconds, longest)
        return None if seconds is None else self._loop.time() + seconds

    def _timeout(self, deadline: float | None) -> bytes:
        return b"" if deadline is None else request_head.timeout(deadline - self._loop.time())

    async def _connected(self, deadline: float | None) -> Connection:
        """Waits for a connection. Raises StatusError if there is none."""
        with _failing_late():
            async with asyncio.timeout_at(deadline):
                while True:
                    await self._balancer.settled()
                    connection = self._balancer.pick()
                    if connection is not None:
                        return connection

    async def _sleep(self, seconds: float, deadline: float | None) -> None:
        with _failing_late():
            async with asyncio.timeout_at(deadline):
                await asyncio.sleep(seconds)


@contextlib.contextmanager
def _failing_late() -> Any:
    """Makes a status of a deadline that has come."""
    try:
        yield
    except TimeoutError:
        raise failure(code_pb2.DEADLINE_EXCEEDED, "Deadline Exceeded") from None
