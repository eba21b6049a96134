"""The grammar of path templates (google/api/http.proto) and its errors."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.transcoding import path_template
from gateway.transcoding.path_template import TemplateError, Variable, Wildcard
from gateway.transcoding.percent import Decoding

ONE, REST = Wildcard.ONE, Wildcard.REST


def variable(path: str, start: int, end: int | None) -> Variable:
    """Makes a variable of a dotted path."""
    return Variable(field_path=tuple(path.split(".")), start=start, end=end)


@pytest.mark.parametrize(
    ("text", "segments", "verb", "variables"),
    [
        ("/", (), None, ()),
        ("/v1/products", ("v1", "products"), None, ()),
        ("/v1/*/b/**", ("v1", ONE, "b", REST), None, ()),
        ("/v1/{id}", ("v1", ONE), None, (variable("id", 1, 2),)),
        ("/v1/{id=*}", ("v1", ONE), None, (variable("id", 1, 2),)),
        ("/v1/{id=me}", ("v1", "me"), None, (variable("id", 1, 2),)),
        ("/{a.b=x/*/y/**}", ("x", ONE, "y", REST), None, (variable("a.b", 0, None),)),
        ("/{a=x/*}/z/{b}", ("x", ONE, "z", ONE), None, (variable("a", 0, 2), variable("b", 3, 4))),
        ("/v1/sessions:refresh", ("v1", "sessions"), "refresh", ()),
        ("/v1/{id}:cancel", ("v1", ONE), "cancel", (variable("id", 1, 2),)),
        ("/v1/{name=**}:watch", ("v1", REST), "watch", (variable("name", 1, None),)),
        ("/.well-known/jwks.json", (".well-known", "jwks.json"), None, ()),
        ("/a%2Fb/%c3%a9", ("a/b", "é"), None, ()),
        ("/$all/it's;v=1,2@x", ("$all", "it's;v=1,2@x"), None, ()),
    ],
)
def test_a_template_is_parsed(text, segments, verb, variables):
    """A template of the grammar gives its segments, verb and variables."""
    parsed = path_template.parse(text)
    assert (segments, verb, variables) == (parsed.segments, parsed.verb, parsed.variables)
    assert text == parsed.text


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "column 1: expected '/', got end of template"),
        ("v1", "column 1: expected '/', got 'v'"),
        ("/v1/", "column 5: expected a segment, got end of template"),
        ("/v1//x", "column 5: expected a segment, got '/'"),
        ("/v1/{id-x}", "column 8: expected '}', got '-'"),
        ("/v1/{id", "column 8: expected '}', got end of template"),
        ("/v1/{}", "column 6: expected a field name, got '}'"),
        ("/v1/{1a}", "column 6: expected a field name, got '1'"),
        ("/v1/{a.}", "column 8: expected a field name, got '}'"),
        ("/v1/{a=}", "column 8: expected a segment, got '}'"),
        ("/v1/{a=/x}", "column 8: expected a segment, got '/'"),
        ("/v1/{a={b}}", "column 8: a variable cannot contain another"),
        ("/v1/**/x", "column 7: '**' must be the last segment"),
        ("/v1/{a=**}/x", "column 11: '**' must be the last segment"),
        ("/v1/{a=**/x}", "column 10: '**' must be the last segment"),
        ("/v1/***", "column 7: expected '/', ':' or end of template, got '*'"),
        ("/v1/{a}b", "column 8: expected '/', ':' or end of template, got 'b'"),
        ("/v1/a b", "column 6: expected '/', ':' or end of template, got ' '"),
        ("/v1/a?b", "column 6: expected '/', ':' or end of template, got '?'"),
        ("/v1/é", "column 5: expected a segment, got 'é'"),
        ("/v1/%zz", "column 5: expected a segment, got '%'"),
        ("/v1/%ff", "column 5: the escapes are not UTF-8"),
        ("/v1/a:", "column 7: expected a verb, got end of template"),
        ("/v1/a:b:c", "column 8: expected '/', ':' or end of template, got ':'"),
        ("/v1/a:b/c", "column 8: expected '/', ':' or end of template, got '/'"),
    ],
)
def test_a_bad_template_tells_the_column(text, error):
    """What is not in the grammar is refused with the column, the expected and the found."""
    with pytest.raises(TemplateError, match=f"^{re.escape('syntax error at ' + error)}$"):
        path_template.parse(text)


@given(st.text(alphabet="/{}=*.:a%2F_é ", max_size=40))
def test_any_text_parses_or_is_refused(text):
    """Whatever the text, the parser returns a template or raises TemplateError."""
    with contextlib.suppress(TemplateError):
        assert text == path_template.parse(text).text


@pytest.mark.parametrize(
    ("template", "path", "decoding", "value"),
    [
        ("/v1/{id}", "v1/a%2Fb+%20c", Decoding.EXCEPT_SLASH, "a/b+ c"),
        ("/v1/{id=me}", "v1/%6De", Decoding.EXCEPT_SLASH, "me"),
        ("/{name=v1/*}", "v1/a%2Fb%3F%20", Decoding.EXCEPT_SLASH, "v1/a%2Fb? "),
        ("/{name=v1/*}", "v1/a%2fb%3F%20", Decoding.EXCEPT_RESERVED, "v1/a%2fb%3F "),
        ("/{name=v1/*}", "v1/a%2Fb%3F%20", Decoding.ALL, "v1/a/b? "),
        ("/v1/{name=**}", "v1/a/b/", Decoding.EXCEPT_SLASH, "a/b/"),
        ("/v1/{name=**}", "v1", Decoding.EXCEPT_SLASH, ""),
    ],
)
def test_a_variable_decodes_what_it_captures(template, path, decoding, value):
    """One segment decodes fully; several keep the escapes that the reading says."""
    [captured] = path_template.parse(template).variables
    assert value == captured.value(path.split("/"), decoding)
