"""Strings written as wire bytes without a message."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.transcoding import fields
from gateway.transcoding.fields import FieldPath
from gateway.transcoding.text_wire import TextWire
from tests.unit.gateway.protos import everything


def paths(*names: str) -> list[FieldPath]:
    """Gives fields of Everything by their dotted names."""
    message = everything().pool.FindMessageTypeByName("test.v1.Everything")
    found = [fields.resolve(message, tuple(name.split("."))) for name in names]
    return [path for path in found if path is not None]


@given(st.tuples(st.text(max_size=300), st.text(), st.text()))
def test_a_message_is_the_same_without_the_message(texts: tuple[str, ...]) -> None:
    """What is written is what the message would be, presence included."""
    names = ("text", "maybe", "choice_text")
    message: Any = everything().message_class("test.v1.Everything")()
    for name, text in zip(names, texts, strict=True):
        setattr(message, name, text)
    chosen = paths(*names)
    writer = TextWire.of(chosen)
    assert writer is not None
    wire = writer.write((path, "", text) for path, text in zip(chosen, texts, strict=True))
    assert message == type(message).FromString(wire)


@pytest.mark.parametrize("name", ["int32", "child.text", "tags", "flag"])
def test_only_strings_at_the_top_are_written(name: str) -> None:
    """A field of another kind, or inside a message, needs a message."""
    assert TextWire.of(paths("text", name)) is None
