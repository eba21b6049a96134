"""Finds the route of a request by method and path.

The routes stand in a trie with one level a segment. At each node a literal is tried before `*`
and `*` before `**`, so the most specific route wins whatever the order of registration, and a
look-up costs what the path is long, not what there are routes. A path matches still encoded:
`%2F` does not separate segments.

A verb counts only where a route registers it: without one, `/v1/things/a:b` is the thing `a:b`.
"""

from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from gateway.transcoding import percent
from gateway.transcoding.path_template import PathTemplate, Wildcard

ANY_METHOD: Final = "*"
"""The method of a route that takes every one (`custom: {kind: "*"}` in http.proto)."""

RouteT = TypeVar("RouteT")


class DuplicateRoute(Exception, Generic[RouteT]):
    """The method and pattern are taken already, by the route in `existing`."""

    def __init__(self, existing: RouteT) -> None:
        super().__init__("duplicate route")
        self.existing = existing


# Not frozen: a frozen one takes three times as long to make, and one is made for every request.
@dataclass(slots=True, kw_only=True)
class Match(Generic[RouteT]):
    """The route of a request, and the segments of its path without the verb, still encoded."""

    route: RouteT
    segments: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoMatch:
    """No route takes the request. `allow` has the methods the path takes; empty: unknown path."""

    allow: frozenset[str]


_Methods = dict[str, RouteT]
_Ends = dict[str | None, _Methods[RouteT]]
"""Routes that end here, by verb and method."""


@dataclass(slots=True)
class _Node(Generic[RouteT]):
    literals: "dict[str, _Node[RouteT]]" = field(default_factory=dict)
    one: "_Node[RouteT] | None" = None
    ends: _Ends[RouteT] = field(default_factory=dict)
    rest: _Ends[RouteT] = field(default_factory=dict)


class Router(Generic[RouteT]):
    """Maps (method, path template) to routes of any type."""

    def __init__(self) -> None:
        self._root: _Node[RouteT] = _Node()
        self._verbs: set[str] = set()

    def add(self, method: str, template: PathTemplate, route: RouteT) -> None:
        """Adds a route for an upper-case method, or for ANY_METHOD. Raises DuplicateRoute."""
        node = self._root
        ends = node.ends
        for segment in template.segments:
            if segment is Wildcard.REST:
                ends = node.rest
                break
            if segment is Wildcard.ONE:
                node.one = node.one or _Node()
                node = node.one
            else:
                node = node.literals.setdefault(str(segment), _Node())
            ends = node.ends
        methods = ends.setdefault(template.verb, {})
        if method in methods:
            raise DuplicateRoute(methods[method])
        methods[method] = route
        if template.verb is not None:
            self._verbs.add(template.verb)

    def match(self, method: str, path: str) -> Match[RouteT] | NoMatch:
        """Finds the most specific route for a method and an encoded path without its query."""
        if not path.startswith("/"):
            return NoMatch(allow=frozenset())
        segments = path[1:].split("/") if path != "/" else []
        readings: list[tuple[str | None, list[str]]] = [(None, segments)]
        if ":" in path:
            readings = self._readings(segments)
        for verb, segments in readings:
            names = _literals(segments) if "%" in path else segments
            route = _first(self._root, names, 0, verb, method)
            if route is not None:
                return Match(route=route, segments=segments)
        allow: set[str] = set()
        for verb, segments in readings:
            _add_methods(self._root, _literals(segments), 0, verb, allow)
        if "GET" in allow:
            allow.add("HEAD")
        return NoMatch(allow=frozenset(allow))

    def _readings(self, segments: list[str]) -> list[tuple[str | None, list[str]]]:
        """Reads the path with its verb, where some route has this verb, and without."""
        if self._verbs and segments and ":" in segments[-1]:
            last, _, encoded_verb = segments[-1].rpartition(":")
            verb = _literal(encoded_verb)
            if verb in self._verbs:
                return [(verb, [*segments[:-1], last]), (None, segments)]
        return [(None, segments)]


def _first(
    node: _Node[RouteT],
    segments: list[str],
    depth: int,
    verb: str | None,
    method: str,
) -> RouteT | None:
    """Finds the most specific route. `segments` are normalised, as literals are."""
    found: RouteT | None = None
    count = len(segments)
    # As long as there is one way to go there is nothing to come back to.
    while depth < count and not node.rest:
        text = segments[depth]
        only = node.literals.get(text)
        if only is None:
            only = node.one
            if only is None or not text:
                return None
        elif node.one is not None:
            break
        node = only
        depth += 1
    if depth == count:
        if verb in node.ends:
            found = _pick(method, node.ends[verb])
    else:
        text = segments[depth]
        child = node.literals.get(text)
        if child is not None:
            found = _first(child, segments, depth + 1, verb, method)
        if found is None and node.one is not None and text:
            found = _first(node.one, segments, depth + 1, verb, method)
    if found is None and verb in node.rest:
        found = _pick(method, node.rest[verb])
    return found


def _add_methods(
    node: _Node[RouteT], segments: list[str], depth: int, verb: str | None, methods: set[str]
) -> None:
    """Adds the methods of all routes that take a path."""
    methods.update(node.rest.get(verb, ()))
    if depth == len(segments):
        methods.update(node.ends.get(verb, ()))
        return
    text = segments[depth]
    ways = (node.literals.get(text), node.one if text else None)
    for child in ways:
        if child is not None:
            _add_methods(child, segments, depth + 1, verb, methods)


def _pick(method: str, methods: _Methods[RouteT]) -> RouteT | None:
    route = methods.get(method)
    if route is None and method == "HEAD":
        # RFC 9110 section 9.3.2: HEAD is GET without the content.
        route = methods.get("GET")
    return methods.get(ANY_METHOD) if route is None else route


def _literals(segments: list[str]) -> list[str]:
    """Normalises the encoded segments of a path, so that they compare with literals."""
    return [_literal(text) for text in segments]


def _literal(text: str) -> str:
    try:
        return percent.decode(text)
    except percent.BadEscape:
        # It is data, if anything; whoever decodes it refuses it.
        return text
