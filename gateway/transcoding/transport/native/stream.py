"""A streaming call: begins attempts until one is answered, and gives its answers.

made -> attempt -> the answer has begun: no other attempt from here on -> messages -> trailers
          ^ `-- refused, or failed as its policy permits to repeat --.
          `----------------------------------------------------------'
"""

import asyncio
from collections.abc import AsyncIterator

from google.rpc import code_pb2

from gateway.transcoding.errors import Metadata, StatusError
from gateway.transcoding.transport import Call, Messages
from gateway.transcoding.transport.native import message, request_head
from gateway.transcoding.transport.native.answer import failure
from gateway.transcoding.transport.native.dispatch import Dispatch, late
from gateway.transcoding.transport.native.exchange import Unprocessed
from gateway.transcoding.transport.native.requests import Requests
from gateway.transcoding.transport.native.retry import Tries
from gateway.transcoding.transport.native.streaming_attempt import StreamingAttempt
from gateway.transcoding.transport.native.tasks import cancel


class NativeStream:
    """The answers of a streaming call; owns the task that makes it and sends the requests."""

    def __init__(self, dispatch: Dispatch, call: Call, requests: bytes | Messages) -> None:
        """The call is made at once, whether or not anybody reads."""
        self.trailers: Metadata = ()
        self._dispatch = dispatch
        self._call = call
        self._attempt: StreamingAttempt | None = None
        self._begun = asyncio.Event()
        self._error: Exception | None = None
        self._config = dispatch.config(call.path)
        limit = self._config.max_request_bytes
        self._message = requests if isinstance(requests, bytes) else None
        self._requests = None if isinstance(requests, bytes) else Requests(requests, limit)
        self._deadline = dispatch.deadline(call, self._config)
        self._slot = (
            None if self._deadline is None else dispatch.deadlines.add(self._deadline, self)
        )
        self._task = asyncio.create_task(self._run(), name=call.path)

    async def headers(self) -> Metadata:
        """Waits for the initial metadata."""
        attempt = await self._answering()
        return attempt.head.metadata if attempt.head is not None else ()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yields the answers until the call ends."""
        try:
            attempt = await self._answering()
            while (received := await attempt.receive()) is not None:
                yield received
            self.trailers = attempt.trailers
            self._dispatch.throttle.on_success()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Ends the call, if it has not ended itself."""
        self._task.cancel()
        if self._slot is not None:
            self._dispatch.deadlines.discard(self._slot, self)
        if self._attempt is not None:
            self._attempt.abandon(failure(code_pb2.CANCELLED, "the call was cancelled"))
        await cancel(self._task)
        if self._requests is not None:
            await self._requests.aclose()

    def expire(self) -> None:
        """Ends the call because its deadline has come."""
        if self._attempt is not None:
            self._attempt.abandon(late())

    async def _answering(self) -> StreamingAttempt:
        """Waits for the attempt whose answer has begun. Raises what ended the call before."""
        await self._begun.wait()
        if self._error is not None or self._attempt is None:
            raise self._error or failure(code_pb2.CANCELLED, "the call was cancelled")
        return self._attempt

    async def _run(self) -> None:
        try:
            await self._make()
        except Exception as error:  # noqa: BLE001  # handed to the reader, which raises it
            self._error = error
        finally:
            self._begun.set()

    async def _make(self) -> None:
        """Makes attempts until the answer of one has begun, and sends the rest of the requests."""
        metadata = self._call.metadata + self._dispatch.metadata
        tries = Tries(self._config.retry, self._dispatch.throttle)
        fields, count = request_head.fields(metadata), len(metadata)
        body = self._message
        if body is not None:
            body = message.framed(body, self._config.max_request_bytes)
        while True:
            connection = await self._dispatch.connection(self._deadline, self._config)
            block = self._dispatch.timeout(self._deadline) + fields
            limit = self._dispatch.limit_bytes(self._config)
            attempt = StreamingAttempt(self._call.path, block, count, body, limit)
            self._attempt = attempt
            connection.start(attempt)
            try:
                await self._exchange(attempt)
            except (StatusError, Unprocessed) as failed:
                wait = self._wait_seconds(tries, failed, attempt)
            else:
                return
            if wait:
                await self._dispatch.sleep(wait, self._deadline)
            again = tries.fields()
            fields, count = request_head.fields(metadata + again), len(metadata + again)

    async def _exchange(self, attempt: StreamingAttempt) -> None:
        """Waits until the answer has begun, sending meanwhile, and sends the rest."""
        if self._requests is None:
            await attempt.begun()
            self._begun.set()
            return
        sending = asyncio.create_task(self._send(self._requests, attempt))
        try:
            await attempt.begun()
            self._requests.let_go()
            self._begun.set()
            await sending
        finally:
            await cancel(sending)

    async def _send(self, requests: Requests, attempt: StreamingAttempt) -> None:
        try:
            await requests.send(attempt)
        except Exception as error:  # noqa: BLE001  # handed to the reader, which raises it
            self._error = error
            attempt.abandon(error)

    def _wait_seconds(
        self, tries: Tries, failed: StatusError | Unprocessed, attempt: StreamingAttempt
    ) -> float:
        """Says how long to wait before the next attempt. Raises the error if there is none."""
        if self._error is not None:
            raise self._error
        is_repeatable = self._requests is None or self._requests.are_kept
        return tries.wait_seconds(failed, attempt, is_repeatable=is_repeatable)
