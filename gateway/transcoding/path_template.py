"""Parses the path templates of `google.api.http`.

    Template  = "/" [ Segments ] [ Verb ] ;
    Segments  = Segment { "/" Segment } ;
    Segment   = "*" | "**" | LITERAL | Variable ;
    Variable  = "{" FieldPath [ "=" Segments ] "}" ;
    FieldPath = IDENT { "." IDENT } ;
    Verb      = ":" LITERAL ;

The grammar is that of google/api/http.proto, which besides says that `**` ends the path, that
variables do not nest, and that reserved characters of a LITERAL are percent-encoded. The bare "/"
is not in the grammar but is what every transcoder takes for the root.
"""

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.transcoding import percent
from gateway.transcoding.percent import Decoding


class Wildcard(enum.Enum):
    """A segment that matches any text."""

    ONE = "*"
    """Matches one segment, which is not empty."""
    REST = "**"
    """Matches whatever follows: zero segments or more, empty ones included."""


Segment = str | Wildcard
"""A wildcard, or the decoded text of a literal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A part of the path that becomes a request field."""

    field_path: tuple[str, ...]
    start: int
    """The first segment it captures."""
    end: int | None
    """The segment after the last it captures; None when it captures the rest."""

    def value(self, segments: Sequence[str], decoding: Decoding) -> str:
        """Decodes what the variable captures from the segments of a matching path.

        `decoding` applies to a variable of several segments; a single one is decoded fully.
        Raises `percent.BadEscape`.
        """
        if self.end == self.start + 1:
            return percent.decode(segments[self.start])
        return percent.decode("/".join(segments[self.start : self.end]), decoding)


@dataclass(frozen=True, slots=True, kw_only=True)
class PathTemplate:
    """A parsed template."""

    text: str
    segments: tuple[Segment, ...]
    verb: str | None
    variables: tuple[Variable, ...]


class TemplateError(ValueError):
    """The template is not one. The message tells the column, counted from 1."""

    def __init__(self, column: int, problem: str) -> None:
        super().__init__(f"syntax error at column {column}: {problem}")
        self.column = column


def parse(text: str) -> PathTemplate:
    """Parses a template such as `/v1/{name=shelves/*}/books:search`. Raises TemplateError."""
    return _Parser(text).template()


_IDENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# RFC 3986 section 3.3: pchar, less ":", which starts a verb, and "*", which is a wildcard.
_LITERAL: Final = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()+,;=@]|%[0-9A-Fa-f]{2})+")
_END: Final = "end of template"


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._segments: list[Segment] = []
        self._variables: list[Variable] = []

    def template(self) -> PathTemplate:
        self._expect("/")
        verb = None
        if self._peek():
            self._segments_until(in_variable=False)
            if self._take(":"):
                verb = self._literal("a verb")
        if self._peek():
            raise self._error(f"expected '/', ':' or {_END}, got {self._got()}")
        return PathTemplate(
            text=self._text,
            segments=tuple(self._segments),
            verb=verb,
            variables=tuple(self._variables),
        )

    def _segments_until(self, *, in_variable: bool) -> None:
        self._segment(in_variable=in_variable)
        while self._peek() == "/":
            if self._segments[-1] is Wildcard.REST:
                raise self._error("'**' must be the last segment")
            self._position += 1
            self._segment(in_variable=in_variable)

    def _segment(self, *, in_variable: bool) -> None:
        if self._take("**"):
            self._segments.append(Wildcard.REST)
        elif self._take("*"):
            self._segments.append(Wildcard.ONE)
        elif self._peek() == "{":
            if in_variable:
                raise self._error("a variable cannot contain another")
            self._variable()
        else:
            self._segments.append(self._literal("a segment"))

    def _variable(self) -> None:
        self._expect("{")
        field_path = [self._ident()]
        while self._take("."):
            field_path.append(self._ident())
        start = len(self._segments)
        if self._take("="):
            self._segments_until(in_variable=True)
        else:
            self._segments.append(Wildcard.ONE)
        self._expect("}")
        to_the_end = self._segments[-1] is Wildcard.REST
        end = None if to_the_end else len(self._segments)
        self._variables.append(Variable(field_path=tuple(field_path), start=start, end=end))

    def _ident(self) -> str:
        return self._token(_IDENT, "a field name")

    def _literal(self, expected: str) -> str:
        token = self._position
        text = self._token(_LITERAL, expected)
        try:
            return percent.decode(text)
        except percent.BadEscape as error:
            self._position = token
            raise self._error(str(error)) from None

    def _token(self, pattern: re.Pattern[str], expected: str) -> str:
        found = pattern.match(self._text, self._position)
        if found is None:
            raise self._error(f"expected {expected}, got {self._got()}")
        self._position = found.end()
        return found.group()

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise self._error(f"expected '{token}', got {self._got()}")

    def _take(self, token: str) -> bool:
        found = self._text.startswith(token, self._position)
        if found:
            self._position += len(token)
        return found

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _got(self) -> str:
        return repr(self._peek()) if self._peek() else _END

    def _error(self, problem: str) -> TemplateError:
        return TemplateError(self._position + 1, problem)
