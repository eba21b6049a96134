"""Connect's unary calls: a POST of the bare message, or a GET with the message in the query.

Errors have the HTTP status of their code, and Connect's JSON.
"""

import base64
import binascii
import json
import urllib.parse
from typing import Final

from gateway.transcoding import body, content_coding
from gateway.transcoding.content_coding import BadCoding
from gateway.transcoding.errors import StatusError, headers_of, refuse
from gateway.transcoding.http import HttpRequest, HttpResponse, header
from gateway.transcoding.rpc import call_metadata, connect_error
from gateway.transcoding.rpc.endpoint import Endpoint
from gateway.transcoding.rpc.failure import as_rpc, message_too_large, unknown_compression
from gateway.transcoding.rpc.message_codec import FORMATS, Format
from gateway.transcoding.rpc.message_coding import IDENTITY, KNOWN
from gateway.transcoding.transport import Call

_TRAILER: Final = "trailer-"


async def answer_post(endpoint: Endpoint, request: HttpRequest, form: Format) -> HttpResponse:
    """Makes the call of a POST. Every failure of it is an answer, too."""
    try:
        connect_error.check_version(header(request.headers, b"connect-protocol-version"))
        call = await _admitted(endpoint, request)
        message = await body.read(request, endpoint.shared.limits)
        return await _answer(endpoint, call, message, form)
    except StatusError as error:
        return failed(endpoint, error)


async def answer_get(endpoint: Endpoint, request: HttpRequest) -> HttpResponse:
    """Makes the call of a GET. Every failure of it is an answer, too."""
    try:
        given = _parameters(request.query)
        if given.get("connect", b"v1") != b"v1":
            raise refuse("connect", "expected v1")
        form = FORMATS.get(given.get("encoding", b"").decode("latin-1"))
        if form is None:
            raise refuse("encoding", f"expected one of {', '.join(FORMATS)}")
        call = await _admitted(endpoint, request)
        message = _message(given, endpoint.shared.limits.body_bytes)
        return await _answer(endpoint, call, message, form)
    except StatusError as error:
        return failed(endpoint, error)


async def _admitted(endpoint: Endpoint, request: HttpRequest) -> Call:
    timeout = connect_error.timeout_seconds(
        header(request.headers, b"connect-timeout-ms"), endpoint.terms.deadline_seconds
    )
    return await endpoint.admitted(request, timeout)


async def _answer(endpoint: Endpoint, call: Call, message: bytes, form: Format) -> HttpResponse:
    method, messages = endpoint.method, endpoint.shared.messages
    wire = messages.read(method.input, message, form)
    reply = await endpoint.transport.unary(call, wire)
    return HttpResponse(
        status=200,
        headers=[
            *call_metadata.to_headers(reply.headers),
            *call_metadata.to_headers(reply.trailers, _TRAILER),
            (b"content-type", f"application/{form}".encode()),
        ],
        body=messages.write(method.output, reply.message, form),
        rpc=method.full_name,
    )


def failed(endpoint: Endpoint, error: StatusError) -> HttpResponse:
    """Answers with a failure."""
    shown = as_rpc(error)
    written = connect_error.error_to_json(shown.status)
    return HttpResponse(
        status=shown.http_status,
        headers=[
            *headers_of(shown),
            *call_metadata.to_headers(shown.initial),
            *call_metadata.to_headers(shown.trailers, _TRAILER),
            (b"content-type", b"application/json"),
        ],
        body=json.dumps(written, ensure_ascii=False, separators=(",", ":")).encode(),
        rpc=endpoint.method.full_name,
    )


def _parameters(query: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name in found:
            raise refuse(name, "is given twice")
        raw = value.replace("+", " ").encode("utf-8", "surrogateescape")
        found[name] = urllib.parse.unquote_to_bytes(raw)
    return found


def _message(given: dict[str, bytes], limit_bytes: int) -> bytes:
    if "message" not in given:
        raise refuse("message", "is missing")
    message = given["message"]
    if given.get("base64") == b"1":
        text = message + b"=" * (-len(message) % 4)
        try:
            message = base64.b64decode(text, altchars=b"-_", validate=True)
        except binascii.Error:
            raise refuse("message", "expected base64 with - and _") from None
    coding = given.get("compression", b"").decode("latin-1") or IDENTITY
    if coding not in KNOWN:
        raise unknown_compression(coding, KNOWN)
    if coding == IDENTITY:
        return message
    try:
        unpacked = content_coding.unpacked(coding, message, limit_bytes)
    except BadCoding as error:
        raise refuse("message", str(error)) from None
    if unpacked is None:
        raise message_too_large(limit_bytes)
    return unpacked
