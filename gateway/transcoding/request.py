"""Binds an HTTP request to the message of an RPC.

Binding is a partition (google/api/http.proto): each leaf field comes from the path, from a header,
from the query or from the body, exactly one. What the path or a header has bound may stand in the
body again with the same value.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from gateway.transcoding import fields, json_message, json_text, patch_mask, query, scalars
from gateway.transcoding.bindings import WHOLE_MESSAGE, Binding
from gateway.transcoding.errors import Headers, StatusError, refuse
from gateway.transcoding.fields import Claims, FieldPath
from gateway.transcoding.http import header, media_type
from gateway.transcoding.json_message import JsonReader
from gateway.transcoding.json_text import BadJson, Members
from gateway.transcoding.percent import BadEscape, Decoding
from gateway.transcoding.scalars import BadValue
from gateway.transcoding.text_wire import TextWire

HTTP_BODY: Final = "google.api.HttpBody"

_SURELY_READABLE: Final = json_text.MAX_DEPTH // 3 - 2


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderField:
    """A request field of type string that a header gives."""

    header: str
    path: FieldPath
    read: Callable[[str], str | None] = str
    """Makes the field's value of the header's; None leaves the field unset."""


# Not frozen: a frozen one takes three times as long to make, and one is made for every request.
@dataclass(slots=True, kw_only=True)
class RequestHead:
    """A request without its body."""

    segments: list[str]
    """The path's, from the router."""
    query: str
    headers: Headers


class RequestBinder:
    """Binds requests of one binding. Built once, at start."""

    def __init__(
        self,
        binding: Binding,
        reader: JsonReader,
        *,
        decoding: Decoding = Decoding.EXCEPT_SLASH,
        header_fields: tuple[HeaderField, ...] = (),
    ) -> None:
        """`header_fields` that the path binds are ignored."""
        self._reader = reader
        self._decoding = decoding
        self._new = message_factory.GetMessageClass(binding.method.input)
        self._variables = tuple(
            (variable, path, fields.dotted(path))
            for variable, path in zip(binding.template.variables, binding.path_fields, strict=True)
        )
        self._claims = Claims()
        for path in binding.path_fields:
            self._claims.take(path)
        self._header_fields = tuple(
            (each.header.lower().encode(), each)
            for each in header_fields
            if each.path not in binding.path_fields
        )
        self._text_wire = TextWire.of(
            [*binding.path_fields, *(each.path for _, each in self._header_fields)]
        )
        self._body = binding.body
        self._body_field = (
            None
            if binding.body is None or binding.body == WHOLE_MESSAGE
            else binding.method.input.fields_by_name[binding.body]
        )
        self._mask = patch_mask.mask_field(binding)
        target = binding.method.input if self._body == WHOLE_MESSAGE else self._body_message()
        self.is_raw = target is not None and target.full_name == HTTP_BODY

    def _body_message(self) -> Descriptor | None:
        return None if self._body_field is None else self._body_field.message_type

    def bind(self, head: RequestHead, body: bytes) -> bytes:
        """Binds a request to wire bytes. Raises StatusError."""
        if self._text_wire is not None and not head.query and not body:
            return self._text_wire.write(self._bound_values(head))
        message, bound = self._begin(head)
        return self._end(message, bound, head, body)

    def start(self, head: RequestHead) -> Callable[[bytes], bytes]:
        """Binds path, headers and query; returns what adds a body, once for each message.

        Raises StatusError; so does what it returns.
        """
        message, bound = self._begin(head)

        def finish(body: bytes) -> bytes:
            whole = self._new()
            whole.CopyFrom(message)
            return self._end(whole, bound, head, body)

        return finish

    def _begin(self, head: RequestHead) -> tuple[Message, dict[str, Any]]:
        """Binds path, headers and query; returns the message, and what is bound."""
        message = self._new()
        bound: dict[str, Any] = {}
        for path, at, value in self._bound_values(head):
            _set(message, path, value, at)
            _nest(bound, path, value)
        if head.query:
            claims = Claims(self._claims)
            for path, _, _ in self._header_values(head.headers):
                claims.take(path)
            self._read_query(message, head.query, claims)
        return message, bound

    def _end(
        self, message: Message, bound: Mapping[str, Any], head: RequestHead, body: bytes
    ) -> bytes:
        self._read_body(message, body, head.headers, bound)
        wire = bytes(message.SerializePartialToString())
        if body.count(b"{") + body.count(b"[") > _SURELY_READABLE:
            # A level of JSON is up to three of the wire (Struct, its entry, Value), and services
            # read no more than a hundred.
            try:
                self._new.FromString(wire)
            except DecodeError:
                raise refuse("", f"nested deeper than {json_text.MAX_DEPTH}") from None
        return wire

    def _bound_values(self, head: RequestHead) -> list[tuple[FieldPath, str, Any]]:
        """Gives what the path and the headers bind: the field, its name in errors, its value."""
        found: list[tuple[FieldPath, str, Any]] = []
        for variable, path, at in self._variables:
            try:
                text = variable.value(head.segments, self._decoding)
                found.append((path, at, scalars.from_text(path[-1], text)))
            except (BadEscape, BadValue) as error:
                raise refuse(at, str(error)) from None
        if self._header_fields:
            found += self._header_values(head.headers)
        return found

    def _header_values(self, headers: Headers) -> Iterator[tuple[FieldPath, str, str]]:
        for name, each in self._header_fields:
            text = header(headers, name)
            value = None if text is None else each.read(text)
            if value is not None:
                yield each.path, each.header, value

    def _read_query(self, message: Message, text: str, claims: Claims) -> None:
        name = query.first_name(text)
        if self._body == WHOLE_MESSAGE and name is not None:
            raise refuse(name, "the body has every field: no query is taken")
        query.read(message, text, claims, self._reader, body=self._body)

    def _read_body(
        self, message: Message, body: bytes, headers: Headers, bound: Mapping[str, Any]
    ) -> None:
        if not body:
            return
        if self._body is None:
            raise refuse("", "no body is taken")
        if self.is_raw:
            target: Any = getattr(message, self._body) if self._body_field else message
            target.content_type = header(headers, b"content-type") or "application/octet-stream"
            target.data = body
            return
        _check_content_type(headers)
        try:
            value = json_text.parse(body)
        except BadJson as error:
            raise refuse("", str(error)) from None
        if self._body_field is None:
            self._reader.read_message(message, value, "", bound)
        elif value is not None or _takes_null(self._body_field):
            self._read_body_field(message, self._body_field, value, bound)

    def _read_body_field(
        self, message: Message, field: FieldDescriptor, value: Any, bound: Mapping[str, Any]
    ) -> None:
        inside = bound.get(field.name, {})
        if inside and isinstance(value, Members):
            self._reader.read_message(getattr(message, field.name), value, field.name, inside)
        else:
            self._reader.read_field(message, field, value, field.name)
        if self._mask is not None and not message.HasField(self._mask.name):
            paths = list(patch_mask.paths(field.message_type, value, inside))
            if paths:
                getattr(message, self._mask.name).paths.extend(paths)


def _takes_null(field: FieldDescriptor) -> bool:
    return json_message.takes_null(field) and not field.is_repeated


def _set(message: Any, path: FieldPath, value: Any, at: str) -> None:
    for step in path[:-1]:
        message = getattr(message, step.name)
    json_message.set_scalar(message, path[-1], value, at)


def _nest(bound: dict[str, Any], path: FieldPath, value: Any) -> None:
    for step in path[:-1]:
        bound = bound.setdefault(step.name, {})
    bound[path[-1].name] = value


_JSON_TYPES: Final = frozenset({"application/json", "application/x-ndjson", "application/jsonl"})


def _check_content_type(headers: Headers) -> None:
    content_type = header(headers, b"content-type")
    if content_type is None:
        return
    essence, parameters = media_type(content_type)
    is_json = essence in _JSON_TYPES or (
        essence.startswith("application/") and essence.endswith("+json")
    )
    if not is_json or parameters.get("charset", "utf-8") != "utf-8":
        raise _unsupported(essence)


def _unsupported(content_type: str) -> StatusError:
    return refuse("content-type", f"{content_type} is not application/json", http_status=415)
