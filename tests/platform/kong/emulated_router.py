"""Chooses the route of a request as Kong does, by two orders: its own and the Gateway API's.

`traditional_compatible` (kong/router/transform.lua) makes a number of each route: how many kinds of
attribute it asks for, how many header fields, whether its path is a regular expression, and then
`regex_priority`, or the length of a plain path. The highest route that matches has the request.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]")

Priority = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a router looks at; header fields by lower-case name."""

    method: str
    path: str
    """As Kong compares it: see `normalized`."""
    headers: Mapping[str, str] = field(default_factory=dict)


class Ambiguous(Exception):
    """Several routes of one priority match; which one Kong takes is chance."""


def by_attributes(routes: Iterable[dict[str, Any]], request: Request) -> str | None:
    """Returns the name of the route of a kong.yaml, None where Kong answers 404."""
    return _highest((_weight(route), route["name"]) for route in routes if _matches(route, request))


def by_gateway_api(http_routes: Iterable[dict[str, Any]], request: Request) -> str | None:
    """Returns the name of the HTTPRoute (HTTPRouteRule.matches).

    Exact comes before expression, then the longer path, then who asks for more header fields.
    """
    return _highest(
        (_precedence(match), route["metadata"]["name"])
        for route in http_routes
        for rule in route["spec"]["rules"]
        for match in rule["matches"]
        if _is_match(match, request)
    )


def normalized(path: str) -> str:
    """Returns the path as Kong compares it: no needless escapes, no empty or dot segments."""
    decoded = _ESCAPE.sub(lambda found: _plain(found.group()), path)
    segments: list[str] = []
    for segment in re.sub("/+", "/", decoded).split("/")[1:]:
        if segment == "..":
            segments = segments[:-1]
        elif segment != ".":
            segments.append(segment)
    return "/" + "/".join(segments)


def _plain(escape: str) -> str:
    character = unquote(escape)
    return character if _UNRESERVED.fullmatch(character) else escape.upper()


def _highest(found: Iterable[tuple[Priority, str]]) -> str | None:
    ordered = sorted(found, reverse=True)
    if not ordered:
        return None
    first, *others = ordered
    equals = {name for priority, name in others if priority == first[0]} - {first[1]}
    if equals:
        raise Ambiguous(f"{first[1]} and {', '.join(sorted(equals))}")
    return first[1]


def _matches(route: dict[str, Any], request: Request) -> bool:
    return (
        request.method in route["methods"]
        and any(_path_matches(path, request.path) for path in route["paths"])
        and all(
            any(_value_matches(value, request.headers.get(name)) for value in values)
            for name, values in route.get("headers", {}).items()
        )
    )


def _path_matches(pattern: str, path: str) -> bool:
    if pattern.startswith("~"):
        return re.match(pattern[1:], path) is not None
    return path.startswith(pattern)


def _value_matches(pattern: str, value: str | None) -> bool:
    if value is None:
        return False
    if pattern.startswith("~*"):
        return re.search(pattern[2:], value.lower()) is not None
    return pattern.lower() == value.lower()


def _weight(route: dict[str, Any]) -> Priority:
    headers = route.get("headers", {})
    path = route["paths"][0]
    is_expression = path.startswith("~")
    return (
        2 + bool(headers),
        len(headers),
        is_expression,
        route.get("regex_priority", 0) if is_expression else 0,
        0 if is_expression else len(path),
    )


def _precedence(match: dict[str, Any]) -> Priority:
    path = match["path"]
    return (path["type"] == "Exact", len(path["value"]), len(match.get("headers", [])))


def _is_match(match: dict[str, Any], request: Request) -> bool:
    return (
        match["method"] == request.method
        and _path_fits(match["path"]["type"], match["path"]["value"], request.path)
        and all(
            re.search(header["value"], request.headers.get(header["name"], "")) is not None
            for header in match.get("headers", [])
        )
    )


def _path_fits(kind: str, value: str, path: str) -> bool:
    if kind == "RegularExpression":
        return re.match(value, path) is not None
    is_below = kind == "PathPrefix" and path.startswith(f"{value.rstrip('/')}/")
    return path == value or is_below
