"""What can be wrong with a request: each fault breaks one thing of a valid one, and names it.

A fault is a function that changes the parts, or returns False where it does not apply. Its name,
with spaces, is the trait that `deviations.py` knows it by.
"""

import json
from collections.abc import Callable
from typing import Any, Final

from hypothesis import strategies as st

from tests.integration.gateway.beside_envoy.contracts import Contract
from tests.integration.gateway.beside_envoy.message_types import PACKAGE
from tests.integration.gateway.beside_envoy.outcomes import Ask
from tests.integration.gateway.beside_envoy.requests import Parts, Request, parts
from tests.integration.gateway.beside_envoy.values import messages

_OPENING: Final = (b"{", b"[", b'"')

Fault = Callable[[st.DrawFn, Parts], bool]


def unknown_parameter(_: st.DrawFn, made: Parts) -> bool:
    """A query parameter that is no field."""
    if made.bound.body == "*":
        return False
    made.query.append(("nobody.knows", "1"))
    return True


def parameter_beside_a_whole_body(draw: st.DrawFn, made: Parts) -> bool:
    """A query parameter where the body has every field."""
    names = [each.name for each in made.bound.input.fields if _is_text(each)]
    if made.bound.body != "*" or not names:
        return False
    made.query.append((draw(st.sampled_from(names)), "a"))
    return True


def bound_field_in_the_query(_: st.DrawFn, made: Parts) -> bool:
    """A query parameter that the path binds already."""
    if made.bound.body == "*" or not made.bound.variables:
        return False
    name, start, end = made.bound.variables[0]
    made.query.append((name, "/".join(made.segments[start:end])))
    return True


def body_field_in_the_query(_: st.DrawFn, made: Parts) -> bool:
    """A query parameter of the field that is the body."""
    for each in made.bound.input.fields:
        if each.name == made.bound.body and _is_text(each):
            made.query.append((each.name, "a"))
            return True
    return False


def scalar_given_twice(draw: st.DrawFn, made: Parts) -> bool:
    """A query parameter twice that is no list."""
    once = [pair for pair in made.query if not _is_repeated(made, pair[0])]
    if not once:
        return False
    made.query.append(draw(st.sampled_from(once)))
    return True


def repeated_message_in_the_query(_: st.DrawFn, made: Parts) -> bool:
    """A query parameter inside a list of messages."""
    if made.bound.body == "*":
        return False
    for each in made.bound.input.fields:
        if not each.is_repeated or each.message_type is None or each.name == made.bound.body:
            continue
        if each.message_type.GetOptions().map_entry or each.message_type.file.package != PACKAGE:
            continue
        for inner in each.message_type.fields:
            if _is_text(inner):
                made.query.append((f"{each.name}.{inner.name}", "a"))
                return True
    return False


def bad_escape_in_the_query(_: st.DrawFn, made: Parts) -> bool:
    """An escape that is none."""
    return _spoil_query(made, "%zz")


def octets_that_are_not_text_in_the_query(_: st.DrawFn, made: Parts) -> bool:
    """Escapes that are not UTF-8."""
    return _spoil_query(made, "%ff")


def bad_escape_in_the_path(_: st.DrawFn, made: Parts) -> bool:
    """An escape that is none."""
    return _spoil_path(made, "%zz")


def octets_that_are_not_text_in_the_path(_: st.DrawFn, made: Parts) -> bool:
    """Escapes that are not UTF-8."""
    return _spoil_path(made, "%ff")


def body_where_none_is_declared(draw: st.DrawFn, made: Parts) -> bool:
    """A body that nothing takes."""
    if made.bound.body:
        return False
    made.body = draw(st.sampled_from([b"{}", b'{"nobody":1}', b"1", b"x"]))
    return True


def unknown_member(_: st.DrawFn, made: Parts) -> bool:
    """A member of the body that is no field."""
    return _change_object(made, lambda value: value | {"nobodyKnows": 1})


def member_given_twice(draw: st.DrawFn, made: Parts) -> bool:
    """A name twice in an object."""
    value = _object(made)
    if not value:
        return False
    name = draw(st.sampled_from(sorted(value)))
    made.body = f"{made.body.decode()[:-1]}, {json.dumps({name: value[name]})[1:]}".encode()
    return True


def trailing_data(draw: st.DrawFn, made: Parts) -> bool:
    """Something after the body."""
    is_closed = made.body[:1] in _OPENING
    made.body += draw(st.sampled_from([b" x", b"}", b"{}", b",", b"]"]))
    return is_closed


def trailing_comma(_: st.DrawFn, made: Parts) -> bool:
    """A comma after the last member."""
    made.body = made.body[:-1] + b",}"
    return bool(_object(made, made.body[:-2] + b"}"))


def half_a_body(_: st.DrawFn, made: Parts) -> bool:
    """A body that ends too soon."""
    made.body = made.body[:-1]
    return made.body[:1] in _OPENING


def byte_order_mark(_: st.DrawFn, made: Parts) -> bool:
    """A byte order mark before the body."""
    is_given = made.body != b""
    made.body = b"\xef\xbb\xbf" + made.body
    return is_given


def trailing_slash(_: st.DrawFn, made: Parts) -> bool:
    """A slash after the path."""
    made.segments.append("")
    return not made.bound.verb


def missing_segment(_: st.DrawFn, made: Parts) -> bool:
    """A path that ends too soon."""
    made.segments.pop()
    return bool(made.segments) and made.bound.segments[-1] != "**"


def empty_segment(draw: st.DrawFn, made: Parts) -> bool:
    """A segment with nothing in it."""
    if not made.segments:
        return False
    made.segments[draw(st.integers(0, len(made.segments) - 1))] = ""
    return True


def unknown_verb(_: st.DrawFn, made: Parts) -> bool:
    """A verb that no route has."""
    made.segments[-1:] = [f"{made.segments[-1]}:nobody"] if made.segments else []
    return bool(made.segments) and not made.bound.verb


def encoded_literal(draw: st.DrawFn, made: Parts) -> bool:
    """A literal of the template with an escape that it needs not. No fault, but unusual."""
    plain = [
        at
        for at, text in enumerate(made.bound.segments)
        if "*" not in text and "%" not in text and not _is_bound(made, at)
    ]
    if not plain:
        return False
    at = draw(st.sampled_from(plain))
    text = made.segments[at]
    made.segments[at] = f"%{ord(text[0]):02X}{text[1:]}"
    return True


FAULTS: Final[dict[str, Fault]] = {
    fault.__name__.replace("_", " "): fault
    for fault in (
        *(unknown_parameter, parameter_beside_a_whole_body, bound_field_in_the_query),
        *(body_field_in_the_query, scalar_given_twice, repeated_message_in_the_query),
        *(bad_escape_in_the_query, octets_that_are_not_text_in_the_query),
        *(bad_escape_in_the_path, octets_that_are_not_text_in_the_path),
        *(body_where_none_is_declared, unknown_member, member_given_twice, trailing_data),
        *(trailing_comma, half_a_body, byte_order_mark, trailing_slash, missing_segment),
        *(empty_segment, unknown_verb, encoded_literal),
    )
}


@st.composite
def requests(draw: st.DrawFn, contract: Contract) -> Request:
    """Draws a request, every other one with a fault."""
    made = draw(parts(contract))
    if not made.traits and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(FAULTS)))
        spoilt = _copied(made)
        if FAULTS[name](draw, spoilt):
            made = spoilt
            made.is_valid = False
            made.traits.add(name)
    answer = draw(messages(contract, made.bound.output))
    return Request(
        ask=Ask(
            method=made.bound.http_method,
            target=made.target(),
            body=made.body,
            answer=answer.SerializeToString(),
        ),
        bound=made.bound,
        message=made.message,
        is_valid=made.is_valid,
        traits=frozenset(made.traits),
    )


def _copied(made: Parts) -> Parts:
    return Parts(
        bound=made.bound,
        message=made.message,
        segments=[*made.segments],
        query=[*made.query],
        body=made.body,
        traits={*made.traits},
    )


def _is_text(field: Any) -> bool:
    return field.type == field.TYPE_STRING and not field.is_repeated


def _is_bound(made: Parts, at: int) -> bool:
    return any(start <= at and (end is None or at < end) for _, start, end in made.bound.variables)


def _is_repeated(made: Parts, name: str) -> bool:
    descriptor: Any = made.bound.input
    found: Any = None
    for each in name.split("."):
        [found] = [field for field in descriptor.fields if each in (field.name, field.json_name)]
        descriptor = found.message_type
    return bool(found.is_repeated)


def _spoil_query(made: Parts, escape: str) -> bool:
    if not made.query:
        return False
    name, text = made.query[-1]
    made.query[-1] = name, text + escape
    return True


def _spoil_path(made: Parts, escape: str) -> bool:
    for _, start, _ in made.bound.variables:
        if "*" in made.bound.segments[start] and len(made.segments) > start:
            made.segments[start] += escape
            return True
    return False


def _object(made: Parts, body: bytes | None = None) -> dict[str, Any]:
    try:
        value = json.loads(made.body if body is None else body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _change_object(made: Parts, change: Callable[[dict[str, Any]], dict[str, Any]]) -> bool:
    value = _object(made)
    made.body = json.dumps(change(value)).encode()
    return bool(value)
