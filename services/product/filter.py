"""The filter of a product list, a part of AIP-160.

filter     := [ comparison ( "AND" comparison )* ]
comparison := field operator value
value      := word | '"' text '"'

| field                        | operators      | value          |
|------------------------------|----------------|----------------|
| `tags`                       | `:`            | a tag          |
| `sku`, `price.currency_code` | `=`            | a text         |
| `price.units`, `stock`       | `= < <= > >=`  | a whole number |
"""

import re

from services.mesh.errors import FieldViolation, InvalidArgument
from services.product.domain.listing import Comparison, Operator

_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_OPERATOR = re.compile(r"<=|>=|!=|<|>|=|:")
_VALUE = re.compile(r'"(?P<text>[^"]*)"|(?P<word>[^\s"():=<>!]+)')
_AND = re.compile(r"AND(?=\s|$)")
_SPACE = re.compile(r"\s*")

_IS = frozenset({Operator.EQUAL})
_HAS = frozenset({Operator.HAS})
_COMPARES = frozenset(Operator) - _HAS

_FIELDS = {
    "tags": (_HAS, str),
    "sku": (_IS, str),
    "price.currency_code": (_IS, str),
    "price.units": (_COMPARES, int),
    "stock": (_COMPARES, int),
}
_INT64 = 2**63


def parse(text: str) -> tuple[Comparison, ...]:
    """Return the comparisons, all of which must hold; none if `text` is blank.

    Raises InvalidArgument naming `filter`, with the column of the fault, counted from 1.
    """
    scanner = _Scanner(text)
    comparisons: list[Comparison] = []
    while not scanner.at_end():
        if comparisons:
            scanner.take(_AND, "AND")
        comparisons.append(_comparison(scanner))
    return tuple(comparisons)


class _Scanner:
    """Takes one token after another, blanks between them left out."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self.token_column = 1

    def at_end(self) -> bool:
        self._skip_space()
        return self._position == len(self._text)

    def take(self, pattern: re.Pattern[str], expected: str) -> re.Match[str]:
        """Return the next token. Raises InvalidArgument if it is not what is expected."""
        self._skip_space()
        self.token_column = self._position + 1
        match = pattern.match(self._text, self._position)
        if match is None:
            found = self._text[self._position : self._position + 20]
            raise self.fault(f"expected {expected}, got {repr(found) if found else 'the end'}")
        self._position = match.end()
        return match

    def fault(self, message: str) -> InvalidArgument:
        """Return the error for the token taken last."""
        description = f"at column {self.token_column}: {message}"
        violation = FieldViolation("filter", description, "INVALID_FILTER")
        return InvalidArgument(f"the filter is not valid {description}", violations=[violation])

    def _skip_space(self) -> None:
        match = _SPACE.match(self._text, self._position)
        self._position = match.end() if match else self._position


def _comparison(scanner: _Scanner) -> Comparison:
    field = scanner.take(_FIELD, "a field")[0]
    if field not in _FIELDS:
        raise scanner.fault(f"{field!r} is none of {', '.join(_FIELDS)}")
    operators, kind = _FIELDS[field]
    operator = scanner.take(_OPERATOR, "an operator")[0]
    if operator not in operators:
        raise scanner.fault(f"{field} takes {' '.join(sorted(operators))}, not {operator!r}")
    value = scanner.take(_VALUE, "a value")
    text = value["word"] if value["text"] is None else value["text"]
    return Comparison(
        field=field,
        operator=Operator(operator),
        value=_whole_number(text, scanner) if kind is int else text,
    )


def _whole_number(text: str, scanner: _Scanner) -> int:
    if not re.fullmatch(r"-?[0-9]{1,19}", text) or not -_INT64 <= int(text) < _INT64:
        raise scanner.fault(f"expected a whole number, got {text!r}")
    return int(text)
