"""Keeps the gateway from asking for more than can be answered, as every process of the mesh does.

    no room for the call     RESOURCE_EXHAUSTED, reason OVERLOADED, with RetryInfo
    it must give way         the same (`precedence`)
    nobody answers there     UNAVAILABLE, reason CIRCUIT_OPEN, with RetryInfo

Limit and precedence are one for the process, the circuit is one for each service
(docs/decisions/0088 and 0097).
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

from google.rpc import code_pb2
from prometheus_client import Counter

from gateway.precedence import Precedence
from gateway.refusal import refusal
from gateway.transcoding.errors import StatusError, code_name
from gateway.transcoding.outcome import Outcome
from gateway.transcoding.transport import Call, Messages, Reply, ReplyStream, Transport
from services.mesh.circuit_breaker import CircuitBreaker, CircuitOpen
from services.mesh.concurrency_limit import (
    ConcurrencyLimit,
    Overloaded,
    UsualTime,
    come_back_seconds,
)
from services.mesh.errors import DomainError
from souk.mesh.v1.policy_pb2 import Priority

_REFUSED: Final = Counter(
    "gateway_calls_refused", "Calls that were not made.", ("service", "reason")
)


@dataclass(slots=True, kw_only=True)
class _Method:
    priority: Priority.ValueType
    usual: UsualTime


class GuardedTransport:
    """Makes the calls to one service, as far as there is room and somebody answers."""

    def __init__(
        self,
        service: str,
        transport: Transport,
        limit: ConcurrencyLimit,
        precedence: Precedence,
        priorities: Mapping[str, Priority.ValueType],
    ) -> None:
        """`priorities` has those of methods by path; any other's is normal."""
        self._service = service
        self._transport = transport
        self._limit = limit
        self._precedence = precedence
        self._priorities = priorities
        self._methods: dict[str, _Method] = {}
        self._breaker = CircuitBreaker()
        self._now = time.monotonic

    def unary(self, call: Call, request: bytes) -> Outcome[Reply]:
        """Makes a call. Raises StatusError at once if it may not be made."""
        method = self._admitted(call)
        if not self._breaker.allows():
            seconds = self._breaker.seconds_left()
            raise self._refusal(CircuitOpen, "the service has not answered for a while", seconds)
        try:
            reply = self._transport.unary(call, request)
        except StatusError as error:
            self._breaker.ended(code_name(error.status.code), 0)
            raise
        self._limit.begin()
        return reply.then(partial(self._ended, method, self._now()))

    def stream(self, call: Call, requests: bytes | Messages) -> ReplyStream:
        """Begins a stream; it takes no room, as it mostly waits."""
        self._admitted(call)
        return self._transport.stream(call, requests)

    async def is_ready(self, service: str) -> bool:
        """Says whether a call made now would reach the service."""
        return await self._transport.is_ready(service)

    def _admitted(self, call: Call) -> _Method:
        method = self._methods.get(call.path)
        if method is None:
            priority = self._priorities.get(call.path, Priority.PRIORITY_NORMAL)
            usual = UsualTime(call.timeout_seconds)
            method = self._methods[call.path] = _Method(priority=priority, usual=usual)
        has_room = self._limit.admits(method.priority)
        if not has_room:
            self._precedence.ended(method.priority, method.usual, 0, is_refused=True)
        if not (has_room and self._precedence.admits(method.priority)):
            raise self._refusal(Overloaded, "too much to do now", come_back_seconds())
        return method

    def _ended(
        self, method: _Method, begin: float, reply: Reply, error: BaseException | None
    ) -> Reply:
        """Counts a call, and gives its outcome back."""
        seconds = self._now() - begin
        self._limit.end(method.usual, seconds)
        if error is None:
            self._precedence.ended(method.priority, method.usual, seconds, is_refused=False)
            self._breaker.succeeded()
            return reply
        if not isinstance(error, asyncio.CancelledError):
            code = error.status.code if isinstance(error, StatusError) else code_pb2.OK
            is_refused = code == code_pb2.RESOURCE_EXHAUSTED
            self._precedence.ended(method.priority, method.usual, seconds, is_refused=is_refused)
            self._breaker.ended(code_name(code), seconds)
        raise error

    def _refusal(self, kind: type[DomainError], message: str, seconds: float) -> StatusError:
        _REFUSED.labels(self._service, kind.reason).inc()
        return refusal(kind(message, retry_after=timedelta(seconds=seconds)))


Guard = Callable[[str, Transport], Transport]
"""Guards the transport that reaches a service, named in full."""


def guarding(
    limit: ConcurrencyLimit, precedence: Precedence, priorities: Mapping[str, Priority.ValueType]
) -> Guard:
    """Makes what guards transports, each service's always by the same circuit."""
    known: dict[str, GuardedTransport] = {}

    def guard(service: str, transport: Transport) -> Transport:
        if service not in known:
            known[service] = GuardedTransport(service, transport, limit, precedence, priorities)
        return known[service]

    return guard
