"""Writes the OpenAPI 3.1 document of a set of bindings."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from gateway.openapi import names, responses
from gateway.openapi.operation import Operation
from gateway.openapi.paths import Paths
from gateway.openapi.schemas import Schemas
from gateway.transcoding.bindings import Binding
from gateway.transcoding.descriptors import Descriptors, Method

RolesOf = Callable[[Method], Sequence[str] | None]
"""Tells who may call a method: anybody (None), any signed-in person (empty), or one with a role."""

# The methods that OpenAPI has words for; a binding of another is not described.
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_TOKEN: Final = "accessToken"  # noqa: S105  # the name of a scheme
_DESCRIPTION: Final = """\
gRPC services by HTTP and JSON, as their contracts bind them (`google.api.http`).

- Messages are [proto3 JSON](https://protobuf.dev/programming-guides/json/): 64-bit integers are
  strings, enums are names, bytes are base64, fields without a value are left out or have their
  default.
- What the path or a header gives is not repeated in the query or the body.
- Failures are `google.rpc.Status`, or problem details (RFC 9457) on
  `Accept: application/problem+json`.
- Streams are JSON values, one a line (`application/x-ndjson`), or server-sent events on
  `Accept: text/event-stream`.
- `Grpc-Timeout`, for example `500m`, bounds the time of any call.
"""


def write(
    descriptors: Descriptors, bindings: Iterable[Binding], *, roles_of: RolesOf
) -> dict[str, Any]:
    """Writes the document of the bindings, as the JSON value that it is."""
    described = [binding for binding in bindings if binding.http_method in _METHODS]
    comments = descriptors.comments()
    schemas = Schemas(comments, inputs=[binding.method.input for binding in described])
    paths = Paths()
    tags = names.tags(described)
    ids = names.operation_ids(described)
    operations: dict[str, dict[str, Any]] = {}
    for binding, operation_id in zip(described, ids, strict=True):
        path, wildcards = paths.name(binding)
        roles = roles_of(binding.method)
        asked = Operation(binding, schemas, comments, wildcards).describe()
        asked["description"] += _told(roles)
        operations.setdefault(path, {})[binding.http_method.lower()] = {
            "operationId": operation_id,
            "tags": [tags[binding.method.service]],
            **asked,
            "security": [] if roles is None else [{_TOKEN: []}],
            "responses": responses.all_of(
                binding, schemas, comments, is_signed_in=roles is not None
            ),
        }
    document = {
        "openapi": "3.1.0",
        "info": _info(described),
        "servers": [{"url": "/", "description": "Where this document comes from."}],
        "tags": [
            {"name": tag, "description": comments.get(service, service)}
            for service, tag in sorted(tags.items(), key=lambda pair: pair[1])
        ],
        "paths": operations,
        "components": {
            "responses": responses.components(operations, schemas, descriptors),
            "schemas": schemas.components,
            "securitySchemes": {
                _TOKEN: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The access token of a session.",
                }
            },
        },
    }
    return names.with_short_components(document)


def _info(bindings: list[Binding]) -> dict[str, Any]:
    packages = sorted({binding.method.service.rpartition(".")[0] for binding in bindings})
    roots = sorted({package.partition(".")[0] for package in packages} - {""})
    versions = {package.rpartition(".")[2] for package in packages}
    title = ", ".join(roots) or "Nothing"
    return {
        "title": title,
        "contact": {"name": title},
        "version": ", ".join(sorted(versions)) or "none",
        "description": _DESCRIPTION,
    }


def _told(roles: Sequence[str] | None) -> str:
    # Not as a security requirement's scopes, though OpenAPI 3.1 would have it: validators and
    # generators take those for scopes of OAuth.
    return f"\n\nNeeds the role {' or '.join(f'`{role}`' for role in roles)}." if roles else ""
