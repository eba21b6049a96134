"""Reads which HTTP requests stand for which RPCs, and checks that they can.

A binding comes from a method's `google.api.http` annotation or from the `http.rules` of a service
configuration, which overrides it; `additional_bindings` are bindings of their own.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from google.api import annotations_pb2, http_pb2
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor

from gateway.transcoding import fields, path_template
from gateway.transcoding.descriptors import Descriptors, Faults, Method
from gateway.transcoding.fields import FieldPath
from gateway.transcoding.path_template import PathTemplate, TemplateError
from gateway.transcoding.router import DuplicateRoute, Router

WHOLE_MESSAGE: Final = "*"
"""The `body` of a binding whose body is every field the path does not bind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """An HTTP request pattern that stands for a method."""

    method: Method
    http_method: str
    """An HTTP method, or `router.ANY_METHOD`."""
    template: PathTemplate
    path_fields: tuple[FieldPath, ...]
    """What each variable of the template binds."""
    body: str | None
    """A field of the request, WHOLE_MESSAGE, or None when the request has no body."""
    response_body: str | None
    """A field of the response, or None for all of it."""

    def __str__(self) -> str:
        return f"{self.method.full_name}: {self.http_method} {self.template.text}"


def read_service_config(path: Path) -> dict[str, http_pb2.HttpRule]:
    """Reads `http.rules` of a google.api.Service in YAML, by selector. Raises Faults."""
    try:
        document = yaml.safe_load(path.read_text()) or {}
        http = json_format.ParseDict(document.get("http") or {}, http_pb2.Http())
    except OSError as error:
        raise Faults([f"{path}: {error.strerror}"]) from None
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, json_format.ParseError) as error:
        raise Faults([f"{path}: {error}"]) from None
    # "All service configuration rules follow the last one wins order" (google/api/http.proto).
    return {rule.selector: rule for rule in http.rules}


def read(
    descriptors: Descriptors, overrides: Mapping[str, http_pb2.HttpRule] | None = None
) -> tuple[Binding, ...]:
    """Reads every binding of the set. Raises Faults with all that is wrong with them."""
    rules = dict(overrides or {})
    faults: list[str] = []
    bindings: list[Binding] = []
    for method in descriptors.methods:
        rule = rules.pop(method.full_name, None) or _annotation(method)
        if rule is not None:
            bindings.extend(_bindings(method, rule, faults))
    faults.extend(f"{selector}: no such method" for selector in rules)
    if faults:
        raise Faults(faults)
    return tuple(bindings)


def route(bindings: Iterable[Binding]) -> Router[Binding]:
    """Builds the router of the bindings. Raises Faults that name every duplicate."""
    router = Router[Binding]()
    faults: list[str] = []
    for binding in bindings:
        try:
            router.add(binding.http_method, binding.template, binding)
        except DuplicateRoute as duplicate:
            faults.append(f"{binding}: the same route as {duplicate.existing}")
    if faults:
        raise Faults(faults)
    return router


def _annotation(method: Method) -> http_pb2.HttpRule | None:
    extension: Any = annotations_pb2.http
    if not method.options.HasExtension(extension):
        return None
    rule: http_pb2.HttpRule = method.options.Extensions[extension]
    return rule


def _bindings(method: Method, rule: http_pb2.HttpRule, faults: list[str]) -> Iterator[Binding]:
    for additional in (rule, *rule.additional_bindings):
        if additional is not rule and additional.additional_bindings:
            faults.append(f"{method.full_name}: additional_bindings cannot nest")
        http_method, pattern = _pattern(additional)
        where = f"{method.full_name}: {http_method} {pattern}"
        problems: list[str] = []
        binding = _binding(method, additional, problems)
        faults.extend(f"{where}: {problem}" for problem in problems)
        if binding is not None and not problems:
            yield binding


def _pattern(rule: http_pb2.HttpRule) -> tuple[str, str]:
    kind = rule.WhichOneof("pattern")
    if kind is None:
        return "", ""
    if kind == "custom":
        return rule.custom.kind, rule.custom.path
    return kind.upper(), getattr(rule, kind)


# RFC 9110 section 5.6.2: a method is a token.
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def _binding(method: Method, rule: http_pb2.HttpRule, problems: list[str]) -> Binding | None:
    http_method, pattern = _pattern(rule)
    if not pattern:
        problems.append("the rule has no pattern")
        return None
    if not _TOKEN.fullmatch(http_method):
        problems.append(f"{http_method!r} is no HTTP method")
    try:
        template = path_template.parse(pattern)
    except TemplateError as error:
        problems.append(str(error))
        return None
    path_fields = _path_fields(method.input, template, problems)
    _check_body(method.input, rule.body, path_fields, problems)
    if rule.response_body and rule.response_body not in method.output.fields_by_name:
        problems.append(f"response_body: {method.output.full_name} has no {rule.response_body!r}")
    return Binding(
        method=method,
        http_method=http_method,
        template=template,
        path_fields=path_fields,
        body=rule.body or None,
        response_body=rule.response_body or None,
    )


def _path_fields(
    message: Descriptor, template: PathTemplate, problems: list[str]
) -> tuple[FieldPath, ...]:
    found: list[FieldPath] = []
    claims = fields.Claims()
    for variable in template.variables:
        name = ".".join(variable.field_path)
        path = fields.resolve(message, variable.field_path)
        if path is None:
            problems.append(f"{message.full_name} has no field {name!r}")
        elif path[-1].is_repeated:
            problems.append(f"{name!r} is repeated, which a path cannot bind")
        elif path[-1].message_type is not None:
            problems.append(f"{name!r} is a message, which a path cannot bind")
        else:
            problem = claims.take(path)
            if problem is not None:
                problems.append(f"{name!r} {problem}")
            found.append(path)
    return tuple(found)


def _check_body(
    message: Descriptor, body: str, path_fields: Iterable[FieldPath], problems: list[str]
) -> None:
    if body in ("", WHOLE_MESSAGE):
        return
    field = message.fields_by_name.get(body)
    if field is None:
        problems.append(f"body: {message.full_name} has no field {body!r}")
    elif (field,) in path_fields:
        problems.append(f"body: {body!r} is bound by the path")
