"""Where a call goes, how it is made, and until when: what unary and streaming calls share."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from google.rpc import code_pb2

from gateway.transcoding.errors import Metadata, StatusError
from gateway.transcoding.transport import Call
from gateway.transcoding.transport.native import request_head
from gateway.transcoding.transport.native.answer import failure
from gateway.transcoding.transport.native.balancer import Balancer, Resolve
from gateway.transcoding.transport.native.connection import Connection
from gateway.transcoding.transport.native.deadlines import Deadlines
from gateway.transcoding.transport.native.method_config import MethodConfig, MethodConfigs
from gateway.transcoding.transport.native.retry import Throttle
from gateway.transcoding.transport.native.subchannel import Target


class Dispatch:
    """The connections to one target, and what its service config says of calls."""

    def __init__(
        self,
        target: Target,
        service_config: Mapping[str, Any],
        metadata: Metadata,
        resolve: Resolve,
        max_message_bytes: int,
    ) -> None:
        """`max_message_bytes` is what one message of an answer may measure.

        Raises KeyError or ValueError if the service config is malformed.
        """
        self.throttle = Throttle(service_config)
        self.deadlines = Deadlines()
        self.metadata = metadata
        """Goes with every call."""
        self.balancer = Balancer(target, resolve)
        self._renewals = 0
        self._resolve = resolve
        self._max_message_bytes = max_message_bytes
        self._configs = MethodConfigs(service_config)
        self._known: dict[str, MethodConfig] = {}
        self.loop = asyncio.get_running_loop()

    def configure(self, service_config: Mapping[str, Any]) -> None:
        """Lets calls that begin from now on be made by another service config.

        Raises KeyError or ValueError if it is malformed.
        """
        configs, throttle = MethodConfigs(service_config), Throttle(service_config)
        self._configs, self.throttle, self._known = configs, throttle, {}

    async def renew_when_ready(self, target: Target, seconds: float) -> Balancer:
        """Lets calls go over new connections as soon as one stands, at the latest after so long.

        Returns the connections that are of no use any more. Of several renewals the last counts.
        """
        self._renewals += 1
        number, fresh = self._renewals, Balancer(target, self._resolve)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await fresh.ready()
        except BaseException:
            await fresh.close(0)
            raise
        if number != self._renewals:
            return fresh
        former, self.balancer = self.balancer, fresh
        return former

    async def close(self, grace_seconds: float) -> None:
        """Lets calls under way end within so many seconds, and hangs up."""
        await self.balancer.close(grace_seconds)
        self.deadlines.close()

    def config(self, path: str) -> MethodConfig:
        """Gives what the service config says of a method."""
        config = self._known.get(path)
        if config is None:
            config = self._known[path] = self._configs.find(path)
        return config

    def deadline(self, call: Call, config: MethodConfig) -> float | None:
        """Gives the loop's time at which the call has failed."""
        seconds = call.timeout_seconds
        if config.timeout_seconds is not None:
            longest = config.timeout_seconds
            seconds = longest if seconds is None else min(seconds, longest)
        return None if seconds is None else self.loop.time() + seconds

    def timeout(self, deadline: float | None) -> bytes:
        """Writes what is left until the deadline, as a field of the header block."""
        return b"" if deadline is None else request_head.timeout(deadline - self.loop.time())

    def limit_bytes(self, config: MethodConfig) -> int:
        """Says what one message of an answer may measure: the smaller of both limits."""
        if config.max_response_bytes is None:
            return self._max_message_bytes
        return min(config.max_response_bytes, self._max_message_bytes)

    def pick(self, config: MethodConfig) -> Connection | None:
        """Gives a connection if there is one now.

        Raises StatusError if no address can be reached, unless calls of the method wait for that.
        """
        try:
            return self.balancer.pick()
        except StatusError:
            if config.waits_for_ready:
                return None
            raise

    async def connection(self, deadline: float | None, config: MethodConfig) -> Connection:
        """Waits for a connection. Raises StatusError if there is none."""
        with _failing_late():
            async with asyncio.timeout_at(deadline):
                while True:
                    balancer = self.balancer
                    if config.waits_for_ready:
                        await balancer.ready()
                    connection = balancer.pick()
                    if connection is not None:
                        return connection
                    await balancer.settled()

    async def sleep(self, seconds: float, deadline: float | None) -> None:
        """Waits before the call is tried again. Raises StatusError if the deadline comes first."""
        with _failing_late():
            async with asyncio.timeout_at(deadline):
                await asyncio.sleep(seconds)


def late() -> StatusError:
    """Makes the error of a call whose deadline has come."""
    return failure(code_pb2.DEADLINE_EXCEEDED, "Deadline Exceeded")


@contextlib.contextmanager
def _failing_late() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise late() from None
