"""Requests are answered alike with and without a task."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from google.rpc import code_pb2, status_pb2

from gateway.transcoding import bindings
from gateway.transcoding.errors import Headers, StatusError, refuse
from gateway.transcoding.http import Answer, HttpRequest, HttpResponse
from gateway.transcoding.outcome import Outcome, outcome
from gateway.transcoding.terms import Terms
from gateway.transcoding.transcoder import Options, Transcoder
from gateway.transcoding.transport import Call, Messages, Reply, ReplyStream
from tests.unit.gateway.protos import everything


class Service:
    """Answers with what it is asked, or fails if it is asked to."""

    def unary(self, call: Call, request: bytes) -> Outcome[Reply]:
        """Answers in the next turn of the loop."""
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if b"fail" in request:
            status = status_pb2.Status(code=code_pb2.NOT_FOUND, message=call.path)
            reply.set_exception(StatusError(status))
        else:
            reply.set_result(Reply(message=request, trailers=(("x-trailer", "b"),)))
        return outcome(reply)

    def stream(self, call: Call, requests: bytes | Messages) -> ReplyStream:
        """Is not asked for."""
        raise NotImplementedError

    async def is_ready(self, service: str) -> bool:
        """Is not asked for."""
        raise NotImplementedError


class Knowing:
    """Admits all but strangers; knows at once who they are, or has to ask."""

    def __init__(self, *, knows: bool) -> None:
        self._knows = knows

    def admit_now(self, request: HttpRequest) -> bool:
        """Admits who is known."""
        if self._knows:
            self._check(request.headers)
        return self._knows

    async def admit(self, request: HttpRequest) -> None:
        """Asks."""
        await asyncio.sleep(0)
        self._check(request.headers)

    def _check(self, headers: Headers) -> None:
        if (b"authorization", b"stranger") in headers:
            raise refuse("authorization", "who?")


def answered(line: str, body: bytes, *, has_arrived: bool, is_known: bool) -> Answer:
    """Gives the answer to `GET /path`, with the header `authorization` after it, if any."""
    method, target, *token = line.split(" ")
    path, _, query = target.partition("?")

    async def chunks() -> AsyncGenerator[bytes, None]:
        await asyncio.sleep(0)
        yield body

    request = HttpRequest(
        method=method,
        path=path,
        query=query,
        headers=[(b"authorization", each.encode()) for each in token],
        names=[b"authorization"] if token else [],
        body=body if has_arrived else None,
        chunks=chunks,
    )
    read = bindings.read(everything())
    transcoder = Transcoder(
        everything(),
        bindings.route(read),
        read,
        {binding.method.service: Service() for binding in read},
        Options(terms=lambda _: Terms(admission=Knowing(knows=is_known))),
    )
    return transcoder.handle(request)


async def response_of(answer: Answer) -> HttpResponse:
    """Waits for an answer."""
    return answer if isinstance(answer, HttpResponse) else await answer


@pytest.mark.parametrize(("has_arrived", "is_known"), [(False, True), (True, False)])
@pytest.mark.parametrize(
    ("line", "body", "status"),
    [
        ("GET /v1/texts/a", b"", 200),
        ("HEAD /v1/texts/a", b"", 200),
        ("GET /v1/texts/a?int32=1", b"", 200),
        ("GET /v1/texts/fail", b"", 404),
        ("GET /v1/texts/a stranger", b"", 400),
        ("GET /v1/texts/a", b"{}", 400),
        ("GET /v1/numbers/a", b"", 400),
        ("POST /v1/everything", b'{"text": "a"}', 200),
        ("POST /v1/everything", b'{"text": "fail"}', 404),
        ("POST /v1/everything", b'{"text"', 400),
        ("POST /v1/everything stranger", b"{}", 400),
    ],
)
async def test_both_ways_answer_alike(line, body, status, has_arrived, is_known):
    """What has to be waited for changes nothing about the answer."""
    quick = answered(line, body, has_arrived=True, is_known=True)
    slow = answered(line, body, has_arrived=has_arrived, is_known=is_known)
    assert (False, True) == (isinstance(quick, asyncio.Task), isinstance(slow, asyncio.Task))
    expected = await response_of(quick)
    assert status == expected.status
    assert expected == await response_of(slow)
