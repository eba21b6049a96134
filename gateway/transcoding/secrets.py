"""Finds the methods whose answers hold secrets, as their contracts say by `debug_redact`.

Such an answer must not be stored on the way (RFC 6749 section 5.1 wants it so of tokens), nor
compressed, since its length would then tell of what it holds.
"""

from collections.abc import Iterable

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.transcoding.descriptors import Method

_TEXTS = frozenset({FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_STRING})


def methods_with_secrets(methods: Iterable[Method]) -> frozenset[str]:
    """Gives the full names of methods whose answers may have a redacted text at any depth."""
    return frozenset(
        method.full_name
        for method in methods
        if any(_is_secret(field) for message in _within(method.output) for field in message.fields)
    )


def _within(message: Descriptor) -> Iterable[Descriptor]:
    """Gives the message and every one that can stand in it."""
    found = {message.full_name: message}
    left = [message]
    while left:
        for field in left.pop().fields:
            inside = field.message_type
            if inside is not None and inside.full_name not in found:
                found[inside.full_name] = inside
                left.append(inside)
    return found.values()


def _is_secret(field: FieldDescriptor) -> bool:
    return field.type in _TEXTS and bool(field.GetOptions().debug_redact)
