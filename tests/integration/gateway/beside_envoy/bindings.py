"""HTTP bindings of every kind for a drawn method; path templates overlap."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import strategies as st

from tests.integration.gateway.beside_envoy.message_types import PACKAGE

_LITERALS: Final = ("v1", "v2", "shelves", "books", "a", "b.c", "x-y", "~t", "%20", "@")
_VERBS: Final = ("get", "cancel", "x")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Bound:
    """One binding of a drawn method."""

    rpc: str
    """As `/pkg.Service/Method`."""
    input: Descriptor
    output: Descriptor
    http_method: str
    segments: tuple[str, ...]
    """Of the template, variables spelt out: literals, `*`, `**`."""
    variables: tuple[tuple[str, int, int | None], ...]
    """Field path, first segment, and the segment after the last; None at the end of `**`."""
    verb: str
    body: str
    response_body: str

    def __repr__(self) -> str:
        parts = f"body {self.body!r}, response_body {self.response_body!r}"
        return f"{self.http_method} {self.template()} ({parts}): {self.rpc}"

    @property
    def part(self) -> str | None:
        """Names the member of the whole answer that is answered, in JSON."""
        name = self.response_body
        return self.output.fields_by_name[name].json_name if name else None

    def template(self) -> str:
        """Writes the path template."""
        parts = list(self.segments)
        for path, start, end in self.variables:
            inside = "/".join(self.segments[start:end])
            parts[start] = f"{{{path}}}" if inside == "*" else f"{{{path}={inside}}}"
            for at in range(start + 1, len(parts) if end is None else end):
                parts[at] = ""
        joined = "/".join(part for part in parts if part)
        return f"/{joined}{f':{self.verb}' if self.verb else ''}"

    def takes(self, path: str) -> bool:
        """Says whether an encoded path fits the template, tried the simplest way."""
        if self.verb:
            path, colon, verb = path.rpartition(":")
            if not colon or "/" in verb or unquote(verb) != self.verb:
                return False
        given = path.split("/")[1:]
        for at, segment in enumerate(self.segments):
            if segment == "**":
                return True
            if at >= len(given) or (segment == "*" and not given[at]):
                return False
            if segment != "*" and unquote(segment) != unquote(given[at]):
                return False
        return len(given) == len(self.segments)

    def generality(self) -> tuple[bool, list[int]]:
        """Orders bindings that take the same path: the most specific is the least."""
        return not self.verb, [{"*": 1, "**": 2}.get(segment, 0) for segment in self.segments]


def leaves(message: Descriptor, depth: int = 3) -> Iterable[tuple[FieldDescriptor, ...]]:
    """Lists what a path can bind: single scalars and enums, in single messages too."""
    for each in message.fields:
        if each.is_repeated:
            continue
        if each.message_type is None:
            yield (each,)
        elif depth > 1 and each.message_type.file.package == PACKAGE:
            for path in leaves(each.message_type, depth - 1):
                yield (each, *path)


@st.composite
def bindings(draw: st.DrawFn, rpc: str, request: Descriptor, response: Descriptor) -> Bound:
    """Draws a binding of a method."""
    segments: list[str] = []
    variables: list[tuple[str, int, int | None]] = []
    free = list(leaves(request))
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["literal", "literal", "variable", "several", "*"]))
        path = draw(st.sampled_from(free)) if free and kind in ("variable", "several") else None
        start = len(segments)
        if path is None or (kind == "several" and path[-1].type != FieldDescriptor.TYPE_STRING):
            segments.append("*" if kind == "*" else draw(st.sampled_from(_LITERALS)))
            continue
        segments += ["*"] if kind == "variable" else draw(_several())
        end = None if segments[-1] == "**" else len(segments)
        variables.append((".".join(step.name for step in path), start, end))
        free = [each for each in free if not _collide(each, path)]
        if end is None:
            break
    if segments[-1] != "**" and draw(st.integers(0, 9)) == 0:
        segments.append("**")
    http_method = draw(st.sampled_from(["GET", "GET", "PUT", "POST", "POST", "DELETE", "PATCH"]))
    body = "" if http_method in ("GET", "DELETE") else draw(_bodies(request, variables))
    parts = [each.name for each in response.fields]
    return Bound(
        rpc=rpc,
        input=request,
        output=response,
        http_method=http_method,
        segments=tuple(segments),
        variables=tuple(variables),
        verb=draw(st.sampled_from(["", "", "", *_VERBS])),
        body=body,
        response_body=draw(st.sampled_from(["", "", "", *parts])),
    )


def _several() -> st.SearchStrategy[list[str]]:
    one = st.sampled_from(["*", *_LITERALS])
    return st.tuples(st.lists(one, max_size=2), st.sampled_from(["*", "**", "books"])).map(
        lambda parts: [*parts[0], parts[1]]
    )


def _collide(left: tuple[FieldDescriptor, ...], right: tuple[FieldDescriptor, ...]) -> bool:
    """Says whether two paths are the same or go through two members of a oneof."""
    for one, other in zip(left, right, strict=False):
        if one is not other and one.number != other.number:
            group = one.containing_oneof
            return group is not None and group is other.containing_oneof
    return True


def _bodies(request: Descriptor, variables: Sequence[tuple[str, int, int | None]]) -> Any:
    bound = {path for path, _, _ in variables}
    chosen: list[str] = []
    entered = {path.partition(".")[0] for path in bound}
    for each in request.fields:
        group = each.containing_oneof
        siblings = set() if group is None else {other.name for other in group.fields}
        if each.name not in bound and not entered & (siblings - {each.name}):
            chosen.append(each.name)
    return st.sampled_from(["", "*", "*", *chosen])
