"""A unary call: begins attempts until one has an answer, or the deadline comes.

begun -> attempt -> answered: the outcome has come
  |        ^ `-- refused, or failed as its policy permits to repeat --.
  `--------+------- no connection yet: a task waits for it -----------'

Mostly there is a connection and the first attempt is answered, and then all there is to the call
is this outcome: no task, and nothing to wait for but the answer.
"""

import asyncio

from gateway.transcoding.errors import StatusError
from gateway.transcoding.outcome import Outcome
from gateway.transcoding.transport import Call, Reply
from gateway.transcoding.transport.native import message, request_head
from gateway.transcoding.transport.native.attempt import Attempt
from gateway.transcoding.transport.native.connection import Connection
from gateway.transcoding.transport.native.dispatch import Dispatch, late
from gateway.transcoding.transport.native.exchange import Unprocessed
from gateway.transcoding.transport.native.retry import Tries


class UnaryCall(Outcome[Reply]):
    """The answer to come. Cancelling it cancels the call."""

    __slots__ = (
        "_attempt",
        "_body",
        "_call",
        "_config",
        "_deadline",
        "_dispatch",
        "_fields",
        "_metadata",
        "_slot",
        "_task",
        "_tries",
    )

    def __init__(self, dispatch: Dispatch, call: Call, request: bytes) -> None:
        """The call is made at once. Raises StatusError if no address can be reached."""
        super().__init__()
        self._dispatch = dispatch
        self._call = call
        self._metadata = call.metadata + dispatch.metadata
        self._fields = request_head.fields(self._metadata)
        self._config = dispatch.config(call.path)
        self._body = message.framed(request, self._config.max_request_bytes)
        self._deadline = dispatch.deadline(call, self._config)
        self._attempt: Attempt | None = None
        self._tries: Tries | None = None
        self._task: asyncio.Task[None] | None = None
        connection = dispatch.pick(self._config)
        self._slot = (
            None if self._deadline is None else dispatch.deadlines.add(self._deadline, self)
        )
        if connection is not None:
            self._begin(connection)
        else:
            self._task = dispatch.loop.create_task(self._begin_later(0))

    def cancel(self) -> None:
        """Cancels the call, and tells the service."""
        self._abandon()
        super().cancel()

    def expire(self) -> None:
        """Ends the call because its deadline has come."""
        self._abandon()
        self._fail(late())

    def answered(self, reply: Reply) -> None:
        """Takes the answer of the attempt."""
        self._let_go()
        self._dispatch.throttle.on_success()
        self.settle(reply)

    def failed(self, error: StatusError | Unprocessed) -> None:
        """Takes what the attempt failed by, and makes another one if that may be."""
        if self.done() or self._attempt is None:
            return
        if self._tries is None:
            self._tries = Tries(self._config.retry, self._dispatch.throttle)
        try:
            wait_seconds = self._tries.wait_seconds(error, self._attempt)
        except StatusError as final:
            self._fail(final)
        else:
            self._task = self._dispatch.loop.create_task(self._begin_later(wait_seconds))

    def _begin(self, connection: Connection) -> None:
        fields, count = self._fields, len(self._metadata)
        if self._tries is not None:
            again = self._tries.fields()
            fields, count = fields + request_head.fields(again), count + len(again)
        block = self._dispatch.timeout(self._deadline) + fields
        attempt = self._attempt = Attempt(
            self._call.path,
            block,
            count,
            self._body,
            self,
            self._dispatch.limit_bytes(self._config),
        )
        connection.start(attempt)

    async def _begin_later(self, wait_seconds: float) -> None:
        try:
            if wait_seconds:
                await self._dispatch.sleep(wait_seconds, self._deadline)
            self._begin(await self._dispatch.connection(self._deadline, self._config))
        except Exception as error:  # noqa: BLE001  # for who waits for the outcome
            self._fail(error)

    def _abandon(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._attempt is not None:
            self._attempt.abandon()
        self._let_go()

    def _fail(self, error: Exception) -> None:
        self._let_go()
        self.settle(None, error)

    def _let_go(self) -> None:
        """Forgets the attempt and the deadline: each knows the call.

        What knows one another is freed by the garbage collector alone, at ten times the cost.
        """
        self._attempt = None
        if self._slot is not None:
            self._dispatch.deadlines.discard(self._slot, self)
            self._slot = None
