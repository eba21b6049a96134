"""Fills a message from a query string.

    Query = Pair { "&" Pair } ;  Pair = Field [ "=" Text ] ;  Field = Name { "." Name } ;

A field is named by either name, a nested one by its path; a repeated one by repeating the pair.
`+` is a space. A well-known type is written in its JSON form, without the quotes; those whose form
is not a string (Struct, Value, ListValue, Any, Empty) as JSON.
"""

from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.message import Message

from gateway.transcoding import fields, json_message, json_text, percent, scalars
from gateway.transcoding.errors import refuse
from gateway.transcoding.fields import Claims, FieldPath
from gateway.transcoding.json_message import JsonReader
from gateway.transcoding.json_text import BadJson
from gateway.transcoding.percent import BadEscape
from gateway.transcoding.scalars import BadValue

_TEXT_FORMS: Final = frozenset({"Timestamp", "Duration", "FieldMask"})
JSON_FORMS: Final = frozenset({"Struct", "Value", "ListValue", "Any", "Empty"})
"""The well-known types whose query value is JSON."""


def read(
    message: Message, query: str, claims: Claims, reader: JsonReader, *, body: str | None = None
) -> None:
    """Merges a query string into `message`.

    `claims` has what is bound already; the field `body` is for the body alone. Raises StatusError.
    """
    descriptor: Any = message.DESCRIPTOR
    for name, text in _pairs(query):
        path = fields.resolve(descriptor, tuple(name.split(".")))
        if path is None:
            if reader.ignore_unknown_fields:
                continue
            raise refuse(name, "unknown field")
        at = fields.dotted(path)
        field = path[-1]
        if path[0].name == body:
            raise refuse(at, "is bound to the body")
        if len(path) > json_text.MAX_DEPTH:
            raise refuse(at, f"nested deeper than {json_text.MAX_DEPTH}")
        if any(step.is_repeated for step in path[:-1]) or (
            field.is_repeated and field.message_type is not None
        ):
            raise refuse(at, "a repeated message or a map cannot be given in the query")
        problem = claims.take(path)
        if problem is not None and not (field.is_repeated and problem == fields.GIVEN_TWICE):
            raise refuse(at, problem)
        _set(message, path, text, at, reader)


def first_name(query: str) -> str | None:
    """Gives the name of the first pair; None if there is no pair."""
    return next((name for name, _ in _pairs(query)), None)


def _pairs(query: str) -> Iterator[tuple[str, str]]:
    for pair in query.split("&"):
        if pair:
            name, _, text = pair.replace("+", " ").partition("=")
            try:
                name = percent.decode(name)
                yield name, percent.decode(text)
            except BadEscape as error:
                raise refuse(name, str(error)) from None


def _set(message: Message, path: FieldPath, text: str, at: str, reader: JsonReader) -> None:
    inside: Any = message
    for step in path[:-1]:
        inside = getattr(inside, step.name)
    field = path[-1]
    if field.message_type is not None:
        _set_well_known(getattr(inside, field.name), text, at, reader)
        return
    try:
        value = scalars.from_text(field, text)
    except BadValue as error:
        raise refuse(at, str(error)) from None
    if field.is_repeated:
        json_message.append_scalar(getattr(inside, field.name), value, at)
    else:
        json_message.set_scalar(inside, field, value, at)


def _set_well_known(message: Message, text: str, at: str, reader: JsonReader) -> None:
    package, _, name = message.DESCRIPTOR.full_name.rpartition(".")
    if package != "google.protobuf" or message.DESCRIPTOR.full_name not in fields.WELL_KNOWN:
        raise refuse(at, "is a message: give its fields")
    message.SetInParent()
    if name in JSON_FORMS:
        try:
            value = json_text.parse(text.encode())
        except (BadJson, UnicodeEncodeError) as error:
            raise refuse(at, str(error)) from None
        reader.read_well_known(message, value, at)
    elif name in _TEXT_FORMS:
        # A space stands for the plus of an offset; a timestamp has no other place for one.
        reader.read_well_known(message, text.replace(" ", "+"), at)
    else:
        wrapped: Any = message.DESCRIPTOR.fields_by_name["value"]
        try:
            value = scalars.from_text(wrapped, text)
        except BadValue as error:
            raise refuse(at, str(error)) from None
        json_message.set_scalar(message, wrapped, value, at)
