"""Which route a method and path find."""

import itertools
import time

import pytest

from gateway.transcoding import path_template
from gateway.transcoding.router import DuplicateRoute, Match, NoMatch, Router


def router(*routes: str) -> Router[str]:
    """Builds a router whose routes are their own text, such as `GET /v1/{id}`."""
    built = Router[str]()
    for route in routes:
        method, template = route.split()
        built.add(method, path_template.parse(template), route)
    return built


def found(built: Router[str], request: str) -> str | list[str]:
    """Gives the route of `GET /path`, or the sorted methods allowed."""
    answer = built.match(*request.split(" "))
    return answer.route if isinstance(answer, Match) else sorted(answer.allow)


@pytest.mark.parametrize(
    ("template", "path", "matches"),
    [
        ("/", "/", True),
        ("/v1", "/v1", True),
        ("/v1", "/v1/", False),
        ("/v1", "v1", False),
        ("/v1", "", False),
        ("/v1/*", "/v1/a", True),
        ("/v1/*", "/v1/", False),
        ("/v1/*", "/v1/a/b", False),
        ("/v1/*", "/v1/a%2Fb", True),
        ("/v1/a%2Fb", "/v1/a%2fb", True),
        ("/v1/a%2Fb", "/v1/a/b", False),
        ("/v1/abc", "/v1/%61bc", True),
        ("/v1/abc", "/v1/ABC", False),
        ("/v1/**", "/v1", True),
        ("/v1/**", "/v1/", True),
        ("/v1/**", "/v1/a//b/", True),
        ("/v1/**", "/v2", False),
        ("/**", "/", True),
        ("/v1/{id}:cancel", "/v1/a:cancel", True),
        ("/v1/{id}:cancel", "/v1/a:b:cancel", True),
        ("/v1/{id}:cancel", "/v1/a%3Acancel", False),
        ("/v1/{id}:cancel", "/v1/a:canc%65l", True),
        ("/v1/{id}:cancel", "/v1/:cancel", False),
        ("/v1/{id}:cancel", "/v1/a", False),
        ("/v1/{id}:cancel", "/v1/a:ship", False),
        ("/v1/{id}", "/v1/a:ship", True),
        ("/v1/{id}", "/v1/%zz", True),
        ("/v1/**:x", "/v1/a/b:x", True),
        ("/v1/**:x", "/v1:x", True),
    ],
)
def test_a_template_matches_a_path(template, path, matches):
    """A path matches by its encoded segments, literals compared decoded."""
    answer = router(f"GET {template}").match("GET", path)
    assert matches == isinstance(answer, Match)


SHOP = (
    "GET /v1/products",
    "POST /v1/products",
    "GET /v1/products/{id}",
    "DELETE /v1/products/{id}",
    "GET /v1/products/featured",
    "POST /v1/products/{id}:ship",
    "GET /v1/{name=**}",
    "GET /v1/*/featured/x",
    "* /v1/any/{id}",
    "GET /v1/any/{id}",
)


@pytest.mark.parametrize(
    ("request_line", "route"),
    [
        ("GET /v1/products/featured", "GET /v1/products/featured"),
        ("GET /v1/products/1", "GET /v1/products/{id}"),
        ("DELETE /v1/products/featured", "DELETE /v1/products/{id}"),
        ("GET /v1/products/1/2", "GET /v1/{name=**}"),
        ("GET /v1/products/featured/x", "GET /v1/*/featured/x"),
        ("POST /v1/products/1:ship", "POST /v1/products/{id}:ship"),
        ("GET /v1/products/1:ship", "GET /v1/products/{id}"),
        ("GET /v1/products/1:sail", "GET /v1/products/{id}"),
        ("HEAD /v1/products", "GET /v1/products"),
        ("GET /v1/any/1", "GET /v1/any/{id}"),
        ("HEAD /v1/any/1", "GET /v1/any/{id}"),
        ("PURGE /v1/any/1", "* /v1/any/{id}"),
        ("PUT /v1/products", ["GET", "HEAD", "POST"]),
        ("POST /v1/products/1", ["DELETE", "GET", "HEAD"]),
        ("PUT /v1/products/1:ship", ["DELETE", "GET", "HEAD", "POST"]),
        ("GET /v2", []),
        ("get /v1/products", ["GET", "HEAD", "POST"]),
    ],
)
def test_the_most_specific_route_wins(request_line, route):
    """A literal is before `*`, `*` before `**`, whatever the order; else the methods are told."""
    assert route == found(router(*SHOP), request_line)
    assert route == found(router(*reversed(SHOP)), request_line)


def test_the_segments_of_a_match_leave_the_verb_out():
    """What variables capture comes without the verb, and still encoded."""
    answer = router("POST /v1/{id}:ship").match("POST", "/v1/a%2Fb:c:ship")
    assert Match(route="POST /v1/{id}:ship", segments=["v1", "a%2Fb:c"]) == answer


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("GET /v1/{a}", "GET /v1/{b.c}"),
        ("GET /v1/*", "GET /v1/{a}"),
        ("GET /v1/**", "GET /v1/{a=**}"),
        ("GET /v1/{a}:x", "GET /v1/*:x"),
        ("GET /v1/%61", "GET /v1/a"),
    ],
)
def test_a_duplicate_is_refused(first, second):
    """The same method and pattern twice is an error, whatever the variables are called."""
    built = router(first)
    method, template = second.split()
    with pytest.raises(DuplicateRoute) as refused:
        built.add(method, path_template.parse(template), second)
    assert first == refused.value.existing


def test_a_look_up_does_not_pay_for_the_number_of_routes():
    """With a hundred times the routes, a look-up costs less than ten times as much."""

    def cost(services: int) -> float:
        built = router(
            *(
                f"GET /v1/service{n}/{{a}}/{kind}/{{b}}"
                for n, kind in itertools.product(range(services), ("x", "y", "z"))
            )
        )
        path = f"/v1/service{services - 1}/1/z/2"
        runs = []
        for _ in range(20):
            started = time.perf_counter()
            for _ in range(50):
                assert not isinstance(built.match("GET", path), NoMatch)
            runs.append(time.perf_counter() - started)
        return min(runs)

    assert cost(1000) < 10 * cost(10)
