"""Calls an RPC through the gateway: by its REST route, or by its name if it has none."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Any, NamedTuple, cast
from urllib.parse import quote, urlencode

import grpc
from google.api import annotations_pb2, http_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from tests.contract.contracts import Rpc

_NOTHING = "0199a3c4-0000-7000-8000-000000000002"
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_VARIABLE = re.compile(r"\{([^}=]+)[^}]*\}")


class Answer(NamedTuple):
    """What came back: its code, and the beginning of its body."""

    code: grpc.StatusCode
    body: bytes

    @property
    def is_empty(self) -> bool:
        """Say whether nothing is told: no object, or one in which every value is empty."""
        return not any(json.loads(self.body or b"{}").values())


def call(
    gateway: str, rpc: Rpc, request: Message, headers: Iterable[tuple[str, str]], *, seconds: float
) -> Answer:
    """Return what the gateway answers; DEADLINE_EXCEEDED if it says nothing."""
    http = _request(gateway, rpc, request)
    for name, value in headers:
        # urllib keeps one field of each name; a repeated one would arrive joined like this.
        before = http.get_header(name.capitalize())
        http.add_header(name, f"{before}, {value}" if before else value)
    try:
        with urllib.request.urlopen(http, timeout=seconds) as answer:  # noqa: S310  # our gateway
            # A stream's first line is enough.
            return Answer(grpc.StatusCode.OK, answer.readline())
    except urllib.error.HTTPError as error:
        with error:
            body = error.read()
            return Answer(_code(body), body)
    except TimeoutError:
        return Answer(grpc.StatusCode.DEADLINE_EXCEEDED, b"")


def _code(body: bytes) -> grpc.StatusCode:
    """Return the code in an error's body: a google.rpc.Status, or Connect's own form."""
    told = json.loads(body)["code"]
    return _CODES[told] if isinstance(told, int) else grpc.StatusCode[str(told).upper()]


def least(rpc: Rpc) -> Message:
    """Return the emptiest request that a route can carry: its path names what is not there."""
    request = rpc.request_type()
    rule = _rule(rpc)
    for variable in _VARIABLE.findall(_path(rule)) if rule else ():
        *parents, last = variable.split(".")
        holder: Any = request
        for name in parents:
            holder = getattr(holder, name)
        setattr(holder, last, _NOTHING)
    if rule and rule.body not in {"", "*"}:
        getattr(request, rule.body).SetInParent()
    return request


def names_nothing(rpc: Rpc, request: Message) -> bool:
    """Say whether a request that `least` made names what is not there."""
    return _NOTHING in str(request) and _rule(rpc) is not None


def _request(gateway: str, rpc: Rpc, message: Message) -> urllib.request.Request:
    rule = _rule(rpc)
    if rule is not None:
        return _by_route(gateway, rule, message)
    body, headers = b"{}", {"content-type": "application/json"}
    return urllib.request.Request(f"{gateway}{rpc.path}", body, headers, method="POST")  # noqa: S310  # our gateway


def _rule(rpc: Rpc) -> http_pb2.HttpRule | None:
    options, extension = rpc.method.GetOptions(), cast("Any", annotations_pb2.http)
    if not options.HasExtension(extension):
        return None
    rule: http_pb2.HttpRule = options.Extensions[extension]
    return rule


def _path(rule: http_pb2.HttpRule) -> str:
    return str(getattr(rule, rule.WhichOneof("pattern") or ""))


def _by_route(gateway: str, rule: http_pb2.HttpRule, message: Message) -> urllib.request.Request:
    fields: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)

    def bound(match: re.Match[str]) -> str:
        value: Any = fields
        *parents, last = match[1].split(".")
        for name in parents:
            value = value[name]
        return quote(value.pop(last), safe="")

    path = _VARIABLE.sub(bound, _path(rule))
    body = None
    if rule.body:
        content = fields if rule.body == "*" else fields.pop(rule.body, {})
        body = json.dumps(content).encode()
    query = "" if rule.body == "*" else urlencode(fields)
    return urllib.request.Request(  # noqa: S310  # our gateway
        f"{gateway}{path}{'?' if query else ''}{query}",
        body,
        {"content-type": "application/json"} if body else {},
        method=(rule.WhichOneof("pattern") or "").upper(),
    )
