"""Lists what is routed where."""

import json
from collections.abc import Sequence
from typing import Any

from gateway.transcoding import fields
from gateway.transcoding.bindings import Binding
from gateway.transcoding.descriptors import Method


def to_json(bindings: Sequence[Binding]) -> str:
    """Writes the routes as an array, one object a route, sorted by path and method."""
    return json.dumps([_entry(binding) for binding in _sorted(bindings)], indent=2)


def to_table(bindings: Sequence[Binding]) -> str:
    """Writes the routes as a table for people, sorted by path and method."""
    rows = [("METHOD", "PATH", "BODY", "RPC")]
    rows += [
        (each.http_method, each.template.text, each.body or "", _rpc(each.method))
        for each in _sorted(bindings)
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = (
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
        for row in rows
    )
    return "\n".join(lines)


def _sorted(bindings: Sequence[Binding]) -> list[Binding]:
    return sorted(bindings, key=lambda each: (each.template.text, each.http_method))


def _rpc(method: Method) -> str:
    arguments = "stream" if method.client_streaming else ""
    returns = " returns (stream)" if method.server_streaming else ""
    return f"{method.full_name}({arguments}){returns}"


def _entry(binding: Binding) -> dict[str, Any]:
    return {
        "method": binding.http_method,
        "path": binding.template.text,
        "rpc": binding.method.full_name,
        "pathFields": [fields.dotted(path) for path in binding.path_fields],
        "body": binding.body,
        "responseBody": binding.response_body,
        "clientStreaming": binding.method.client_streaming,
        "serverStreaming": binding.method.server_streaming,
    }
