"""Makes HTTP answers of what a service answers."""

import json
from typing import Any, Final

from google.api import httpbody_pb2
from google.protobuf import message_factory
from google.protobuf.message import DecodeError

from gateway.transcoding import etag, metadata
from gateway.transcoding.bindings import Binding
from gateway.transcoding.codec import Codec, NotConvertible
from gateway.transcoding.errors import (
    Headers,
    StatusError,
    headers_of,
    internal,
    problem_to_json,
    status_to_json,
)
from gateway.transcoding.etag import ResponseTag, TagStyles
from gateway.transcoding.http import HttpRequest, HttpResponse, accepts, header
from gateway.transcoding.request import HTTP_BODY
from gateway.transcoding.transport import Reply

JSON: Final = b"application/json"
_IF_NONE_MATCH: Final = b"if-none-match"
_JSON_FIELD: Final = (b"content-type", JSON)
PROBLEM: Final = "application/problem+json"


class ResponseWriter:
    """Writes the answers of one binding. Built once, at start."""

    def __init__(self, binding: Binding, codec: Codec, tags: TagStyles) -> None:
        self._codec = codec
        self._service = binding.method.service
        self._tags = tags
        self._type = binding.method.output.full_name
        self._part = binding.response_body
        self._tag = ResponseTag(binding)
        output = binding.method.output
        part = output.fields_by_name[self._part].message_type if self._part else output
        self.is_raw = part is not None and part.full_name == HTTP_BODY
        self._parse: Any = message_factory.GetMessageClass(output).FromString

    def write(self, reply: Reply, request: HttpRequest) -> HttpResponse:
        """Writes the answer of a unary call. Raises StatusError if it cannot be read."""
        headers = metadata.to_headers(reply.headers, reply.trailers)
        if self.is_raw:
            body = self.raw(reply.message)
            headers.append((b"content-type", content_type(body)))
            return HttpResponse(status=200, headers=headers, body=body.data)
        text = self.to_json(reply.message)
        headers.append(_JSON_FIELD)
        tag = self._tag_of(reply.message)
        if tag is not None:
            headers.append((b"etag", tag.encode("latin-1")))
            if _IF_NONE_MATCH in request.names and request.method in ("GET", "HEAD"):
                known = header(request.headers, _IF_NONE_MATCH)
                if known is not None and etag.matches(known, tag):
                    return HttpResponse(status=304, headers=headers)
        return HttpResponse(status=200, headers=headers, body=text)

    def to_json(self, message: bytes) -> bytes:
        """Writes one message, or the part the binding names. Raises StatusError."""
        try:
            return self._codec.to_json(self._type, message, self._part)
        except NotConvertible as error:
            raise internal() from error

    def raw(self, message: bytes) -> httpbody_pb2.HttpBody:
        """Reads one message that is to be sent as it is. Raises StatusError."""
        try:
            answer = self._parse(message)
        except DecodeError as error:
            raise internal() from error
        body = answer if self._part is None else getattr(answer, self._part)
        return httpbody_pb2.HttpBody.FromString(body.SerializeToString())

    def _tag_of(self, message: bytes) -> str | None:
        if not self._tag.is_given:
            return None
        return self._tags.to_header(self._service, self._tag.read(message))


def content_type(body: httpbody_pb2.HttpBody) -> bytes:
    """Gives the type of a raw body, as a header can have it."""
    given = body.content_type
    is_safe = given.isascii() and given.isprintable() and given != ""
    return given.encode() if is_safe else b"application/octet-stream"


def write_error(error: StatusError, request_headers: Headers, codec: Codec) -> HttpResponse:
    """Writes an error as google.rpc.Status, or as problem details where the client asks so."""
    headers = [*headers_of(error), *metadata.to_headers(error.initial, error.trailers)]
    if accepts(request_headers, PROBLEM):
        headers.append((b"content-type", PROBLEM.encode()))
        document = problem_to_json(error, codec)
    else:
        headers.append((b"content-type", JSON))
        document = status_to_json(error.status, codec)
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return HttpResponse(status=error.http_status, headers=headers, body=body)
