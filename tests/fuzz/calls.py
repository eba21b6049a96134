"""Calls every RPC straight at its service with generated messages, and counts what comes back.

OK, or the caller's fault         planned
UNKNOWN, INTERNAL, DATA_LOSS      never planned
UNAVAILABLE, DEADLINE_EXCEEDED    planned under load: unplanned if it comes again after it
no answer in 20 s                 a hang
"""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from tests.contract.contracts import RPCS, Rpc
from tests.fuzz.callers import Caller, callers, channel, plain_channel
from tests.fuzz.messages import Messages

_FAULTS = frozenset({"UNKNOWN", "INTERNAL", "DATA_LOSS"})
_BUSY = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED"})
_HANG_SECONDS = 20.0
_STREAM_SECONDS = 0.3
_AT_ONCE = 16


@dataclass(slots=True)
class Tally:
    """What was sent and what came back: by service and code. `findings` are unplanned."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Return how many calls were made."""
        return self.answers.total()


class Campaign:
    """Calls at the services of a running mesh."""

    def __init__(
        self, addresses: Mapping[str, str], certs: Path, persons: Mapping[str, str], seed: int
    ) -> None:
        """`persons` has access tokens by the names of those whose they are."""
        self._addresses = addresses
        self._certs = certs
        self._persons = persons
        self._dice = random.Random(seed)  # noqa: S311  # nothing secret, and the same each time
        self._messages = Messages(seed)
        self._channel = cache(self._open)
        self._opened: list[grpc.aio.Channel] = []
        self._plain_channel = cache(self._open_plain)
        self._opened_plain: list[grpc.Channel] = []
        self._busy: list[tuple[Caller, Rpc, Sequence[bytes]]] = []
        self.tally = Tally()

    async def run(self, count: int) -> None:
        """Makes so many calls, several at once."""
        kinds = callers(self._persons)
        plan = [(self._dice.choice(kinds), self._dice.choice(RPCS)) for _ in range(count)]
        work = iter(plan)

        async def worker() -> None:
            for caller, rpc in work:
                await self._call(caller, rpc)

        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(worker())
        # What was too much then is asked for again, one by one.
        busy, self._busy = self._busy, []
        for again in busy:
            self._count(*again, *await self._answer(*again))

    async def close(self) -> None:
        """Closes all channels."""
        for each in self._opened:
            await each.close()
        for plain in self._opened_plain:
            plain.close()
        self._channel.cache_clear()
        self._plain_channel.cache_clear()
        self._opened.clear()
        self._opened_plain.clear()

    def _open(self, identity: str, process: str) -> grpc.aio.Channel:
        opened = channel(self._addresses[process], self._certs, identity)
        self._opened.append(opened)
        return opened

    def _open_plain(self, identity: str, process: str) -> grpc.Channel:
        opened = plain_channel(self._addresses[process], self._certs, identity)
        self._opened_plain.append(opened)
        return opened

    async def _call(self, caller: Caller, rpc: Rpc) -> None:
        # Of a callable that streams, a few messages.
        data = [self._messages.wire(rpc.request_type)]
        if rpc.method.client_streaming:
            data += [self._messages.wire(rpc.request_type) for _ in range(self._dice.randrange(3))]
        code, told = await self._answer(caller, rpc, data)
        if code in _BUSY:
            self.tally.answers[rpc.process, f"{code} under load"] += 1
            self._busy.append((caller, rpc, data))
            return
        self._count(caller, rpc, data, code, told)

    def _count(self, caller: Caller, rpc: Rpc, data: Sequence[bytes], code: str, told: str) -> None:
        self.tally.answers[rpc.process, code] += 1
        if code in _FAULTS or code in _BUSY or code == "HANG":
            sent = " ".join(each.hex() for each in data)
            self.tally.findings.append(f"{rpc} by {caller}: {code} {told}\n    {sent[:600]}")

    async def _answer(self, caller: Caller, rpc: Rpc, data: Sequence[bytes]) -> tuple[str, str]:
        token = self._persons[caller.person]
        metadata = [("authorization", f"Bearer {token}")] if token else []
        call: Any = None
        try:
            async with asyncio.timeout(_HANG_SECONDS):
                if rpc.method.client_streaming:
                    answer: bytes | None = await asyncio.to_thread(
                        self._send, caller, rpc, data, metadata
                    )
                else:
                    call = self._begin(caller, rpc, data[0], metadata)
                    answer = await (self._first(call) if rpc.method.server_streaming else call)
        except grpc.RpcError as error:
            failed: Any = error
            return failed.code().name, failed.details() or ""
        except TimeoutError:
            if call is not None:
                call.cancel()
            return "HANG", f"no answer in {_HANG_SECONDS:g} s"
        if answer is not None:
            self._learn(rpc, answer)
        return "OK", ""

    def _begin(
        self, caller: Caller, rpc: Rpc, data: bytes, metadata: Sequence[tuple[str, str]]
    ) -> Any:
        responses = "stream" if rpc.method.server_streaming else "unary"
        opened = self._channel(caller.identity, rpc.process)
        return getattr(opened, f"unary_{responses}")(rpc.path)(data, metadata=metadata)

    def _send(
        self,
        caller: Caller,
        rpc: Rpc,
        data: Sequence[bytes],
        metadata: Sequence[tuple[str, str]],
    ) -> bytes:
        """Sends a stream. grpc.aio would take an answer that comes before its end for a fault."""
        opened: Any = self._plain_channel(caller.identity, rpc.process)
        answer: bytes = opened.stream_unary(rpc.path)(
            iter(data), metadata=metadata, timeout=_HANG_SECONDS
        )
        return answer

    async def _first(self, call: Any) -> bytes | None:
        """Waits a moment for the first message of a stream, and ends it."""
        try:
            async with asyncio.timeout(_STREAM_SECONDS):
                answer = await call.read()
        except TimeoutError:
            call.cancel()
            return None
        if answer is grpc.aio.EOF:
            code = await call.code()
            if code is not grpc.StatusCode.OK:
                raise grpc.aio.AioRpcError(
                    code, grpc.aio.Metadata(), grpc.aio.Metadata(), await call.details()
                )
            return None
        call.cancel()
        found: bytes = answer
        return found

    def _learn(self, rpc: Rpc, answer: bytes) -> None:
        message = GetMessageClass(rpc.method.output_type)()
        try:
            message.ParseFromString(answer)
        except DecodeError:
            self.tally.findings.append(f"{rpc}: its answer is no message")
            return
        self._messages.learn(message)
