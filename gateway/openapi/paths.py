"""Names paths and their parameters.

OpenAPI has a parameter for one segment only. So a variable of several, `{name=rooms/*/beds/**}`, is
written out with a parameter for each wildcard, `/rooms/{name_2}/beds/{name_4}`, and a `**` is a
parameter that is told to hold slashes (docs/decisions/0080).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.transcoding.bindings import Binding
from gateway.transcoding.fields import FieldPath
from gateway.transcoding.path_template import Wildcard


@dataclass(frozen=True, slots=True, kw_only=True)
class WildcardSegment:
    """A wildcard of a template, and what it gives."""

    kind: Wildcard
    field: FieldPath | None
    """The field that gets it, or a part of it."""
    is_whole: bool
    """Whether the field gets nothing else."""
    is_only: bool
    """Whether all else that the field gets is literal."""
    number: int
    """Its place among the segments that the field gets, from 1; in the path without a field."""


class Paths:
    """Names paths. Two bindings of one pattern share its parameters' names, as OpenAPI demands."""

    def __init__(self) -> None:
        self._named: dict[tuple[object, ...], tuple[str, list[str]]] = {}

    def name(self, binding: Binding) -> tuple[str, list[str]]:
        """Gives the path and the names of its wildcard segments, in order."""
        template = binding.template
        pattern = (template.segments, template.verb)
        if pattern not in self._named:
            names = list(_names(binding))
            left = iter(names)
            parts = [
                "{" + next(left) + "}" if isinstance(segment, Wildcard) else segment
                for segment in template.segments
            ]
            verb = f":{template.verb}" if template.verb is not None else ""
            self._named[pattern] = ("/" + "/".join(parts) + verb, names)
        return self._named[pattern]


def wildcards(binding: Binding) -> Iterator[WildcardSegment]:
    """Finds the wildcard segments of a path, in order."""
    segments = binding.template.segments
    for index, segment in enumerate(segments):
        if isinstance(segment, Wildcard):
            path, inside = _variable_at(binding, index)
            yield WildcardSegment(
                kind=segment,
                field=path,
                is_whole=len(inside) == 1,
                is_only=sum(isinstance(segments[at], Wildcard) for at in inside) == 1,
                number=index - inside.start + 1,
            )


def _names(binding: Binding) -> Iterator[str]:
    """Names each wildcard by its field; with a number where the field has several."""
    last_names = [path[-1].json_name for path in binding.path_fields]
    for segment in wildcards(binding):
        if segment.field is None:
            yield f"segment_{segment.number}"
            continue
        # Without dots, which generated clients cannot have in a name.
        is_unique = last_names.count(segment.field[-1].json_name) == 1
        steps = segment.field[-1:] if is_unique else segment.field
        name = "_".join(field.json_name for field in steps)
        yield name if segment.is_only else f"{name}_{segment.number}"


def _variable_at(binding: Binding, index: int) -> tuple[FieldPath | None, range]:
    count = len(binding.template.segments)
    for variable, path in zip(binding.template.variables, binding.path_fields, strict=True):
        end = count if variable.end is None else variable.end
        if variable.start <= index < end:
            return path, range(variable.start, end)
    return None, range(count)
