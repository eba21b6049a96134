"""A channel to another service that hands on what the served call carries.

A `grpc.aio.Channel` for the generated stubs. Each call gets the contract's deadline, cut to what is
left of the call being served; `traceparent` and `x-request-id`; metrics and, if it is sampled, a
span. The connection behind it is made at the first call and can be exchanged while calls go on.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Self

import grpc
import grpc.aio
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from opentelemetry.trace import Span

from services.mesh import metrics, policy, served_call, traces
from services.mesh.circuit import Circuit
from services.mesh.connection import Streams, connected
from services.mesh.interceptors.telemetry import REQUEST_ID

Metadata = Sequence[tuple[str, str | bytes]]
Connect = Callable[[Iterable[ServiceDescriptor]], grpc.aio.Channel]
Retire = Callable[[grpc.aio.Channel, Streams], None]

_KINDS: Final = {
    "unary_unary": "unary",
    "stream_unary": "client_stream",
    "unary_stream": "server_stream",
    "stream_stream": "bidi_stream",
}
"""What dashboards call the kinds of calls (`services.mesh.metrics`), by grpc.aio's words."""


class MeshChannel(grpc.aio.Channel):
    """The channel to one service.

    `name` is the service's. `connect` opens a connection with the service config of the given
    contracts, `retire` closes one when its calls have ended; `metadata` goes with every call.
    """

    def __init__(self, name: str, connect: Connect, retire: Retire, metadata: Metadata) -> None:
        self._connect = connect
        self._retire = retire
        self._services: dict[str, ServiceDescriptor] = {}
        self._current: grpc.aio.Channel | None = None
        self._renewals = 0
        self._streams: dict[grpc.aio.Channel, Streams] = {}
        self.metadata = tuple(metadata)
        self.circuit = Circuit(name)

    @property
    def current(self) -> grpc.aio.Channel:
        """The connection for calls that begin now."""
        if self._current is None:
            self._current = self._connect(self._services.values())
        return self._current

    def renew(self) -> None:
        """Let calls that begin from now on use a new connection."""
        self._renewals += 1
        if self._current is not None:
            self._leave(self._current)
            self._current = None

    async def renew_when_ready(self, seconds: float) -> None:
        """Let calls use a new connection as soon as it stands, at the latest after `seconds`.

        Of several such connections the one begun last is used.
        """
        if self._current is None:
            return
        self._renewals += 1
        number, fresh = self._renewals, self._connect(self._services.values())
        await connected(fresh, seconds)
        if number != self._renewals:
            await fresh.close()
            return
        self._leave(self._current)
        self._current = fresh

    def streaming(self, call: Any) -> None:
        """Take note of a stream that has just begun on the present connection."""
        self._streams.setdefault(self.current, Streams()).begun(call)

    def _leave(self, connection: grpc.aio.Channel) -> None:
        self._retire(connection, self._streams.pop(connection, Streams()))

    def unary_unary(self, method: str, *serializers: Any, **options: Any) -> Any:
        """Return the callable of an RPC; calling it gives a coroutine of the response."""
        return _UnaryResponse(self, "unary_unary", self._known(method), serializers, options)

    def stream_unary(self, method: str, *serializers: Any, **options: Any) -> Any:
        """Return the callable of an RPC; calling it gives a coroutine of the response."""
        return _UnaryResponse(self, "stream_unary", self._known(method), serializers, options)

    def unary_stream(self, method: str, *serializers: Any, **options: Any) -> Any:
        """Return the callable of an RPC; calling it gives grpc.aio's call."""
        return _StreamResponse(self, "unary_stream", self._known(method), serializers, options)

    def stream_stream(self, method: str, *serializers: Any, **options: Any) -> Any:
        """Return the callable of an RPC; calling it gives grpc.aio's call."""
        return _StreamResponse(self, "stream_stream", self._known(method), serializers, options)

    async def close(self, grace: float | None = None) -> None:
        """Close the connection, after the calls have ended or `grace` seconds have passed."""
        if self._current is not None:
            await self._current.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002  # as in grpc.aio
        """Return the state of the connection."""
        return self.current.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the connection's state is another."""
        await self.current.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until the connection is ready."""
        await self.current.channel_ready()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def _known(self, method: str) -> str:
        """Take the RPC's contract into the service config of the next connection."""
        service = method.removeprefix("/").partition("/")[0]
        if service not in self._services:
            found = _find_service(service)
            if found is not None:
                self._services[service] = found
                self.renew()
        return method


class _MultiCallable:
    """An RPC that can be called; it follows the channel from connection to connection."""

    def __init__(
        self,
        channel: MeshChannel,
        arity: str,
        path: str,
        serializers: tuple[Any, ...],
        options: dict[str, Any],
    ) -> None:
        self._channel = channel
        self._arity = arity
        self._path = path
        self._arguments = (serializers, options)
        self._connection: grpc.aio.Channel | None = None
        self._on_connection: Any = None
        self._deadline = _deadline_of(path)

    def _begin(
        self,
        request: Any,
        span: Span | None,
        timeout: float | None,
        metadata: Metadata | None,
        options: dict[str, Any],
    ) -> Any:
        connection = self._channel.current
        if connection is not self._connection:
            serializers, settings = self._arguments
            self._on_connection = getattr(connection, self._arity)(
                self._path, *serializers, **settings
            )
            self._connection = connection
        return self._on_connection(
            request,
            timeout=self._budget(timeout),
            metadata=self._metadata(span, metadata),
            **options,
        )

    def _budget(self, asked: float | None) -> float | None:
        """Return the seconds for the call; without any left, gRPC ends it before it is sent."""
        limits = (asked if asked is not None else self._deadline, served_call.remaining())
        return min((limit for limit in limits if limit is not None), default=None)

    def _metadata(self, span: Span | None, given: Metadata | None) -> Metadata:
        metadata = [*self._channel.metadata, *(given or ())]
        call = served_call.current()
        parent = traces.traceparent(span) if span else traces.current_traceparent()
        if parent:
            metadata.append((traces.TRACEPARENT, parent))
        if call.request_id:
            metadata.append((REQUEST_ID, call.request_id))
        return metadata


class _UnaryResponse(_MultiCallable):
    """An RPC that is answered by one message."""

    def __init__(self, channel: MeshChannel, arity: str, path: str, *arguments: Any) -> None:
        super().__init__(channel, arity, path, *arguments)
        service, _, name = path.removeprefix("/").partition("/")
        self._metrics = metrics.client_calls(_KINDS[arity], service, name)

    async def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # as in grpc.aio
        metadata: Metadata | None = None,
        **options: Any,
    ) -> Any:
        """Call and return the response. Raises grpc.aio.AioRpcError."""
        circuit = self._channel.circuit
        circuit.check()
        span = traces.client_span(self._path)
        code = "OK"
        begin = time.perf_counter()
        try:
            response = await self._begin(request, span, timeout, metadata, options)
        except grpc.aio.AioRpcError as error:
            code = error.code().name
            circuit.ended(code, time.perf_counter() - begin)
            raise
        except BaseException:
            code = "CANCELLED"
            raise
        else:
            circuit.succeeded()
            return response
        finally:
            self._metrics.end(code, time.perf_counter() - begin)
            if span is not None:
                traces.end(span, code, is_error=code != "OK")


class _StreamResponse(_MultiCallable):
    """An RPC that is answered by a stream: not counted, and its span is the served call's."""

    def __call__(
        self,
        request: Any = None,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        **options: Any,
    ) -> Any:
        """Call and return the running call."""
        call = self._begin(request, None, timeout, metadata, options)
        self._channel.streaming(call)
        return call


def _find_service(name: str) -> ServiceDescriptor | None:
    """Return the contract of a service of the mesh; others, like health, have no policies."""
    try:
        service: ServiceDescriptor = descriptor_pool.Default().FindServiceByName(name)
    except KeyError:
        return None
    return service if any(map(policy.policy_of, service.methods)) else None


def _deadline_of(path: str) -> float | None:
    """Return the deadline in the RPC's contract, None if it has none or is not known here."""
    service, _, name = path.removeprefix("/").partition("/")
    found = _find_service(service)
    method = found.methods_by_name.get(name) if found else None
    stated = policy.policy_of(method) if method else None
    return (stated.deadline.ToTimedelta().total_seconds() or None) if stated else None
