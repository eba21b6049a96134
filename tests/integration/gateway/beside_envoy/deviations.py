"""Where our gateway and Envoy's transcoder differ on purpose, and which rule makes ours right.

The rules are those of the gateway, in the order in which its documentation has them:

| rule | of                    | rule | of                                |
|-----:|-----------------------|-----:|-----------------------------------|
|    1 | binding               |    5 | the query                         |
|    3 | matching              |    6 | JSON                              |
|    4 | methods (405, HEAD)   |   10 | the update mask of a PATCH        |

`test_envoy_table.py` shows each by its examples, so that none stays when Envoy has changed.
`test_envoy_generated.py` meets them by their traits.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from tests.integration.gateway.beside_envoy.outcomes import Outcome

Example = tuple[str, str]
"""Method and target, and the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """One difference. Both statuses being 200, what is sent on differs."""

    trait: str
    rule: int
    because: str
    ours: frozenset[int]
    envoys: frozenset[int]
    examples: tuple[Example, ...]

    def explains(self, ours: Outcome, envoys: Outcome) -> bool:
        """Says whether this is why they differ."""
        return ours.status in self.ours and envoys.status in self.envoys


def _get(*targets: str) -> tuple[Example, ...]:
    return tuple((f"GET {target}", "") for target in targets)


def _post(*bodies: str) -> tuple[Example, ...]:
    return tuple(("POST /v1/everything", body) for body in bodies)


def _row(
    trait: str, rule: int, ours: Collection[int] | int, envoys: Collection[int] | int,
    because: str, *examples: tuple[Example, ...],
) -> Deviation:  # fmt: skip
    return Deviation(
        trait=trait,
        rule=rule,
        because=because,
        ours=frozenset([ours] if isinstance(ours, int) else ours),
        envoys=frozenset([envoys] if isinstance(envoys, int) else envoys),
        examples=tuple(example for group in examples for example in group),
    )


DEVIATIONS: Final = (
    # Binding.
    _row(
        "bound field in the query", 1, 400, {200, 400},
        "Envoy lets the query replace what the path names, so that what was authorized by its "
        "path is not what is served",
        _get("/v1/texts/a?text=b", "/v1/texts/a?text=a", "/v1/numbers/1?int32=2"),
    ),
    _row(
        "body field in the query", 1, 400, {200, 400},
        "Envoy merges a query into the field that is the body",
        ((("POST /v1/texts/a:child?child.number=1"), '{"text":"x"}'),),
    ),
    _row(
        "parameter beside a whole body", 1, 400, {200, 400},
        "Envoy takes a query beside a body that has every field",
        (("POST /v1/everything?text=a", '{"int32":1}'),),
    ),
    _row(
        "bound field in the body", 1, 200, 400,
        "Envoy compares what the path and the body say as texts, so that an enum's name and its "
        "number are two values",
        (("POST /v1/enums/1/true", '{"kind":"KIND_ONE"}'),),
        (("POST /v1/enums/KIND_ONE/true", '{"kind":1}'),),
    ),
    _row(
        "JSON name of a bound choice", 1, 200, 400,
        "Envoy looks in the body for the message that the path enters by its proto name alone, and "
        "takes its JSON name for another member of the oneof",
        (("POST /v1/chosen/a", '{"choiceChild":{"number":1}}'),),
    ),
    _row(
        "body where none is declared", 1, 400, 200,
        "Envoy reads a body that no binding declares",
        (("GET /v1/everything", '{"text":"a"}'), ("GET /v1/everything", "{}")),
    ),
    _row(
        "no body for a field", 1, 200, {200, 400},
        "Envoy reads no body as `{}`, which sets the field or is refused for a scalar; for us it "
        "leaves the field unset",
        (("POST /v1/texts/a:child", ""), ("PUT /v1/int64", "")),
    ),
    # Matching.
    _row(
        "empty segment", 3, {200, 404, 405}, {200, 400},
        "Envoy lets `*` stand for nothing",
        _get("/v1/children//7", "/v1/rooms//beds/2"),
    ),
    _row(
        "trailing slash", 3, {200, 404, 405}, {200, 400},
        "Envoy drops the slash at the end of a path",
        _get("/v1/texts/a/"),
    ),
    _row(
        "trailing slash of the rest", 3, 200, 200,
        "Envoy drops it from what `**` takes, too",
        _get("/v1/rooms/1/beds/"),
    ),
    _row(
        "colon of data", 3, {200, 400}, 404,
        "Envoy takes for a verb what is one on any other path, and then finds no route",
        _get("/v1/texts/a:child", "/v1/resources/a:watch", "/v1/numbers/1:child"),
    ),
    _row(
        "encoded literal", 3, 200, {200, 400, 404},
        "Envoy compares literals as they are written, not what they stand for",
        _get("/v1/%74exts/a"),
    ),
    _row(
        "bad escape in the path", 3, 400, {200, 400},
        "Envoy takes what is no escape for text",
        _get("/v1/texts/%zz", "/v1/texts/a%2"),
    ),
    _row(
        "octets that are not text in the path", 3, 400, {200, 400},
        "Envoy sends services strings that are not UTF-8",
        _get("/v1/texts/%ff", "/v1/texts/%c3%28"),
    ),
    # Methods.
    _row(
        "another method", 4, 405, 404,
        "Envoy knows no 405",
        (("PUT /v1/everything", ""), ("DELETE /v1/everything", "")),
    ),
    _row(
        "HEAD", 4, 200, 404,
        "Envoy does not answer HEAD where GET is",
        (("HEAD /v1/everything", ""),),
    ),
    # The query.
    _row(
        "scalar given twice", 5, 400, 200,
        "Envoy takes the last one",
        _get("/v1/everything?text=a&text=b", "/v1/everything?int32=1&int32=1"),
    ),
    _row(
        "parameter without a value", 5, 200, 200,
        "Envoy ignores `?opt`; a name alone is one with an empty value (WHATWG URL), so it gives "
        "presence",
        _get("/v1/everything?maybe"),
    ),
    _row(
        "repeated message in the query", 5, 400, {200, 400},
        "Envoy makes one message of the parameters of a list",
        _get("/v1/everything?children.text=1"),
    ),
    _row(
        "bad escape in the query", 5, 400, {200, 400},
        "Envoy takes what is no escape for text",
        _get("/v1/everything?text=%zz"),
    ),
    _row(
        "octets that are not text in the query", 5, 400, {200, 400},
        "Envoy sends services strings that are not UTF-8",
        _get("/v1/everything?text=%ff"),
    ),
    _row(
        "unknown enum number", 5, 200, 400,
        "Envoy refuses numbers of an enum that it has no name for, though proto3's are open",
        _get("/v1/everything?kind=9", "/v1/enums/7/true"),
    ),
    _row(
        "plus of an offset", 5, 200, 400,
        "Envoy makes the offset of a timestamp a space",
        _get("/v1/everything?time=2026-01-02T03:04:05+01:00"),
    ),
    _row(
        "JSON in the query", 5, 200, 400,
        "Envoy has no text for messages whose JSON is not a string",
        _get(
            "/v1/everything?struct=%7B%22a%22:1%7D", "/v1/everything?list=%5B1%5D",
            "/v1/everything?any=%7B%7D", "/v1/everything?empty=%7B%7D",
        ),
    ),
    _row(
        "JSON value in the query", 5, 200, 200,
        "Envoy takes whatever a Value is given for a string",
        _get("/v1/everything?value=1", "/v1/everything?value=%7B%7D"),
    ),
    _row(
        "snake_case in a mask", 5, 400, 200,
        "Envoy takes the paths of a mask in snake_case",
        _get("/v1/everything?mask=a_b"),
    ),
    _row(
        "loose boolean", 5, 400, 200,
        "Envoy takes more texts for booleans than true and false",
        _get("/v1/everything?flag=1", "/v1/everything?flag=True", "/v1/enums/1/yes"),
    ),
    _row(
        "number that JSON has not", 5, 400, 200,
        "Envoy takes numbers that JSON has not",
        _get("/v1/everything?int32=01", "/v1/everything?int32=%2B1", "/v1/numbers/01"),
        _post('{"int32":"01"}'),
    ),
    _row(
        "whole number in another form", 5, 200, 400,
        "Envoy refuses quoted integers with a fraction of zero or an exponent, which JSON's are",
        _get("/v1/everything?int32=1.0", "/v1/everything?int32=1e2"), _post('{"int32":"1.0"}'),
    ),
    _row(
        "shortest largest float", 6, 200, 400,
        "Envoy refuses the shortest text of the largest float where it is quoted",
        _get("/v1/everything?float=3.4028235e38"), _post('{"float":"3.4028235e38"}'),
    ),
    # JSON.
    _row("unknown member", 6, 400, 200, "Envoy ignores it", _post('{"nope":1}')),
    _row(
        "member given twice", 6, 400, 200,
        "Envoy takes the last",
        _post('{"text":"a","text":"b"}'),
    ),
    _row("trailing comma", 6, 400, 200, "Envoy reads more than JSON", _post('{"text":"a",}')),
    _row(
        "JavaScript", 6, 400, 200,
        "Envoy reads more than JSON",
        _post("{'text':'a'}", '{text:"a"}'),
    ),
    _row(
        "quoted boolean", 6, 400, 200,
        "Envoy reads booleans in quotes",
        _post('{"flag":"true"}'),
    ),
    _row(
        "quoted enum number", 6, 400, 200,
        "Envoy reads numbers of enums in quotes",
        _post('{"kind":"1"}'),
    ),
    _row("no list", 6, 400, 200, "Envoy takes one value for a list of it", _post('{"tags":"a"}')),
    _row(
        "null in a list", 6, 400, 200,
        "Envoy leaves out what is null in a list or a map",
        _post('{"children":[null]}', '{"numbers":[null]}', '{"labels":{"a":null}}'),
    ),
    _row(
        "same key of a map", 6, 400, 200,
        "Envoy takes two spellings of a key",
        _post('{"byNumber":{"1":{},"01":{}}}'),
    ),
    _row(
        "short date", 6, 400, 200,
        "Envoy reads timestamps that RFC 3339 has not",
        _post('{"time":"2026-1-02T03:04:05Z"}'),
    ),
    # PATCH.
    _row(
        "no update mask", 10, 200, 200,
        "Envoy leaves an unset mask of a PATCH empty",
        (("PATCH /v1/resources/r", '{"title":"x"}'),),
    ),
)  # fmt: skip

BY_TRAIT: Final = {each.trait: each for each in DEVIATIONS}
