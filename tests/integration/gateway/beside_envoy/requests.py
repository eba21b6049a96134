"""Requests for a drawn contract: a message is drawn, then taken apart into path, query and body.

    message ──▶ path variables + query + body (+ one fault, sometimes) ──▶ Request

A request says what must arrive, unless it has a fault, and its traits: why Envoy may answer
otherwise (`deviations.py`).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import quote

from google.protobuf import json_format
from hypothesis import strategies as st

from tests.integration.gateway.beside_envoy.bindings import Bound
from tests.integration.gateway.beside_envoy.contracts import Contract
from tests.integration.gateway.beside_envoy.message_types import PACKAGE
from tests.integration.gateway.beside_envoy.outcomes import Ask
from tests.integration.gateway.beside_envoy.values import known_texts, messages, texts

Path = tuple[Any, ...]
_SEGMENTS: Final = st.text(st.sampled_from("abz09-._~!$&'()*+,;=@é漢 %/?#"), min_size=1, max_size=6)


@dataclass(slots=True, kw_only=True)
class Parts:
    """A request that is being made."""

    bound: Bound
    message: Any
    """What must arrive."""
    segments: list[str]
    """Encoded."""
    query: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    traits: set[str] = field(default_factory=set)
    is_valid: bool = True

    def target(self) -> str:
        """Writes path and query."""
        verb = f":{self.bound.verb}" if self.bound.verb else ""
        query = "&".join(f"{name}={text}" for name, text in self.query)
        return f"/{'/'.join(self.segments)}{verb}{f'?{query}' if query else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request, and what is known of it."""

    ask: Ask
    bound: Bound
    """The binding it is made for, which another may take it from."""
    message: Any
    is_valid: bool
    traits: frozenset[str]

    def ask_of(self, route: Bound | None) -> Ask:
        """Gives the request with an answer that the route's RPC can have."""
        is_ours = route is not None and route.rpc == self.bound.rpc
        return self.ask if is_ours else replace(self.ask, answer=b"")


@st.composite
def parts(draw: st.DrawFn, contract: Contract) -> Parts:
    """Draws a valid request."""
    bound = draw(st.sampled_from(contract.bindings))
    drawn = draw(messages(contract, bound.input))
    made = Parts(bound=bound, message=contract.new(bound.input), segments=[])
    _fill_path(draw, made, drawn)
    _fill_body(draw, made, drawn)
    if bound.body != "*":
        for path in _conveyable(drawn, ()):
            if path[0].name != bound.body and _is_free(path, made):
                _add_query(draw, made, drawn, path)
    return made


def _fill_path(draw: st.DrawFn, made: Parts, drawn: Any) -> None:
    segments = list(made.bound.segments)
    for at, text in enumerate(made.bound.segments):
        if text == "*":
            segments[at] = _encoded(draw, draw(_SEGMENTS))
        elif text == "**":
            rest = draw(st.lists(_SEGMENTS, max_size=3))
            segments[at:] = [_encoded(draw, each) for each in rest]
    for name, start, end in made.bound.variables:
        path = _resolve(made.bound.input, name)
        if end is not None and end - start == 1 and made.bound.segments[start] == "*":
            value = _get(drawn, path)
            text, traits = draw(texts(path[-1], value))
            if text in ("", ".", ".."):
                text, value = draw(_plain(path[-1]))
            made.traits |= traits
            segments[start] = _encoded(draw, text)
        else:
            value = "/".join(_but_slash(segments[start:end]))
        _set(made.message, path, value)
        # Siblings in a oneof are no longer given.
        _set(drawn, path, value)
    made.segments = segments


def _but_slash(segments: list[str]) -> Iterator[str]:
    for each in segments:
        parts = each.replace("%2f", "%2F").split("%2F")
        yield "%2F".join(bytes(_unquote(part)).decode() for part in parts)


def _unquote(text: str) -> Iterator[int]:
    at = 0
    while at < len(text):
        if text[at] == "%":
            yield int(text[at + 1 : at + 3], 16)
            at += 3
        else:
            yield ord(text[at])
            at += 1


def _plain(last: Any) -> st.SearchStrategy[tuple[str, Any]]:
    """Draws a text that can stand in a path, and its value."""
    if last.type == last.TYPE_BYTES:
        return st.just(("YQ==", b"a"))
    return st.just(("a", "a"))


def _encoded(draw: st.DrawFn, text: str) -> str:
    """Encodes a text for a path, at times more than needed."""
    safe = draw(st.sampled_from(["", "!$&'()*+,;=@", "-._~"]))
    encoded = quote(text, safe=safe)
    if draw(st.integers(0, 4)) == 0 and text[:1].isascii() and text[:1].isalnum():
        encoded = f"%{ord(text[0]):02X}{quote(text[1:], safe=safe)}"
    return encoded


def _fill_body(draw: st.DrawFn, made: Parts, drawn: Any) -> None:
    bound = made.bound
    if not bound.body:
        return
    if bound.body == "*":
        made.message.MergeFrom(drawn)
        value = _to_json(draw, drawn)
        _drop(draw, value, made)
        made.body = _dumps(value)
        return
    [path] = [each for each in bound.input.fields if each.name == bound.body]
    if path not in [each for each, _ in drawn.ListFields()]:
        made.traits.add("no body for a field")
        return
    only = type(drawn)()
    _copy(only, drawn, path)
    _copy(made.message, drawn, path)
    value = _to_json(draw, only)
    _drop(draw, value, made)
    named = {path.name, path.json_name} & value.keys()
    made.body = _dumps(value[named.pop()])


def _copy(target: Any, source: Any, path: Any) -> None:
    only = type(source)()
    only.CopyFrom(source)
    for other, _ in source.ListFields():
        if other.name != path.name:
            only.ClearField(other.name)
    target.MergeFrom(only)


def _to_json(draw: st.DrawFn, message: Any) -> dict[str, Any]:
    written: dict[str, Any] = json_format.MessageToDict(
        message,
        preserving_proto_field_name=draw(st.booleans()),
        use_integers_for_enums=draw(st.booleans()),
        descriptor_pool=None,
    )
    return written


def _drop(draw: st.DrawFn, value: dict[str, Any], made: Parts) -> None:
    """Takes from a body what the path has, unless it says the same again."""
    again = draw(st.integers(0, 4)) == 0
    for name, _, _ in made.bound.variables:
        inside: Any = value
        *steps, last = _resolve(made.bound.input, name)
        for step in steps:
            is_renamed = step.name not in inside and step.json_name in inside
            if step.containing_oneof is not None and is_renamed:
                made.traits.add("JSON name of a bound choice")
            inside = inside.get(step.name, inside.get(step.json_name, {}))
        for each in {last.name, last.json_name} & inside.keys():
            if again:
                made.traits.add("bound field in the body")
            else:
                del inside[each]


def _dumps(value: Any) -> bytes:
    # A number alone is followed by something, or Envoy waits for more of it without end.
    end = " " if isinstance(value, int | float) else ""
    return (json.dumps(value, ensure_ascii=False) + end).encode()


def _conveyable(message: Any, before: Path) -> Iterator[Path]:
    """Lists what of a message a query can convey."""
    for each, value in message.ListFields():
        path = (*before, each)
        if each.message_type is None:
            yield path
        elif not each.is_repeated and each.message_type.file.package == PACKAGE:
            yield from _conveyable(value, path)
        elif not each.is_repeated:
            yield path


def _is_free(path: Path, made: Parts) -> bool:
    name = ".".join(each.name for each in path)
    return name not in {each for each, _, _ in made.bound.variables}


def _add_query(draw: st.DrawFn, made: Parts, drawn: Any, path: Path) -> None:
    last, value = path[-1], _get(drawn, path)
    name = ".".join(draw(st.sampled_from([each.name, each.json_name])) for each in path)
    if last.message_type is not None:
        known = draw(known_texts(value))
        if known is None:
            return
        _get(made.message, path).CopyFrom(value)
        pairs = [known]
    elif last.is_repeated:
        pairs = [draw(texts(last, each)) for each in value]
        _get(made.message, path).extend(value)
    else:
        pairs = [draw(texts(last, value))]
        _set(made.message, path, value)
    for text, traits in pairs:
        made.query.append((name, _query(draw, text)))
        made.traits |= traits


def _query(draw: st.DrawFn, text: str) -> str:
    encoded = quote(text, safe=draw(st.sampled_from(["", "/:@!$'()*,;?"])))
    return encoded.replace("%20", "+") if draw(st.booleans()) else encoded


def _resolve(descriptor: Any, name: str) -> Path:
    found: list[Any] = []
    for each in name.split("."):
        found.append(descriptor.fields_by_name[each])
        descriptor = found[-1].message_type
    return tuple(found)


def _get(message: Any, path: Path) -> Any:
    for each in path:
        message = getattr(message, each.name)
    return message


def _set(message: Any, path: Path, value: Any) -> None:
    for each in path[:-1]:
        message = getattr(message, each.name)
    setattr(message, path[-1].name, value)
