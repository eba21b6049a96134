"""Carries entity tags between the `etag` fields of messages and HTTP (RFC 9110 section 8.8.3).

AIP-154 wants the quotes of an HTTP tag in the field, many services leave them out, and a tag that
comes back in `If-Match` does not tell which kind it is. So it is remembered of each service how it
writes them; until one has been seen, quotes are taken to belong.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.transcoding import fields
from gateway.transcoding.bindings import WHOLE_MESSAGE, Binding
from gateway.transcoding.errors import refuse
from gateway.transcoding.fields import FieldPath

_NAME: Final = "etag"
_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


@dataclass(frozen=True, slots=True)
class TagStyles:
    """Which services write tags without quotes."""

    _bare: set[str] = field(default_factory=set)

    def to_header(self, service: str, tag: str) -> str | None:
        """Makes the `ETag` of a field's value. None if it cannot be one."""
        if _TAG.fullmatch(tag):
            self._bare.discard(service)
            return tag
        self._bare.add(service)
        quoted = f'"{tag}"'
        return quoted if tag and _TAG.fullmatch(quoted) else None

    def to_field(self, service: str, if_match: str) -> str | None:
        """Makes the field's value of an `If-Match`. None for `*`, which any version satisfies.

        Raises StatusError.
        """
        if if_match.strip() == "*":
            return None
        if not _TAG.fullmatch(if_match.strip()):
            raise refuse("if-match", 'expected one entity tag, such as "abc", or *')
        tag = if_match.strip()
        return tag[1:-1] if service in self._bare and tag.startswith('"') else tag


def request_field(binding: Binding) -> FieldPath | None:
    """Finds the request's own `etag`, or that of the resource in its body."""
    own = _string_field(binding.method.input)
    if own is not None:
        return (own,)
    if binding.body in (None, WHOLE_MESSAGE):
        return None
    body = binding.method.input.fields_by_name[binding.body]
    inside = None if body.is_repeated else _string_field(body.message_type)
    return None if inside is None else (body, inside)


class ResponseTag:
    """Reads the tag of a binding's answers."""

    def __init__(self, binding: Binding) -> None:
        output = binding.method.output
        part = output.fields_by_name[binding.response_body] if binding.response_body else None
        target = part.message_type if part is not None and not part.is_repeated else None
        self._part = part.name if part is not None else None
        self.is_given = _string_field(output if part is None else target) is not None
        self._parse: Any = message_factory.GetMessageClass(output).FromString

    def read(self, message: bytes) -> str:
        """Gives the value of the `etag` field; empty when it is unset."""
        answer = self._parse(message)
        return str(getattr(answer if self._part is None else getattr(answer, self._part), _NAME))


def _string_field(message: Descriptor | None) -> FieldDescriptor | None:
    found = None if message is None else message.fields_by_name.get(_NAME)
    return found if found is not None and fields.is_text(found) else None


def matches(if_none_match: str, tag: str) -> bool:
    """Says whether `If-None-Match` names the tag, by weak comparison (RFC 9110 section 13.1.2)."""
    if if_none_match.strip() == "*":
        return True
    return tag.removeprefix("W/") in [
        given.removeprefix("W/") for given in _TAG.findall(if_none_match)
    ]
