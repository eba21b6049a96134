"""What an answer says, read from its body: over REST as JSON, over gRPC as a message."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import grpc.aio
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2

from souk.order.v1 import order_service_pb2
from tests.chaos.history import Attempt

_HTTP = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


def from_rest(attempt: Attempt, status: int, raw: bytes) -> Attempt:
    """Returns the attempt with the answer to a request."""
    try:
        body = json.loads(raw)
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    return replace(
        attempt,
        status=status,
        reason="" if status < 400 else _reason(body) or f"HTTP {status}",
        order=str(body.get("orderId", "")) or attempt.order,
        digest=digest(raw),
        told=_told(body) if status < 400 else {},
    )


def from_grpc(attempt: Attempt, response: order_service_pb2.CreateOrderResponse) -> Attempt:
    """Returns the attempt with the answer to a call."""
    return replace(
        attempt,
        status=200,
        order=response.order.order_id,
        digest=digest(response.SerializeToString(deterministic=True)),
        told=_told(json_format.MessageToDict(response.order)),
    )


def from_grpc_error(attempt: Attempt, error: grpc.aio.AioRpcError) -> Attempt:
    """Returns the attempt with the failure of a call."""
    code = error.code().name
    return replace(attempt, status=_HTTP.get(code, 500), reason=_grpc_reason(error) or code)


def _told(body: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a checker needs: states, sums, and whose the things are."""
    told = {name: body[name] for name in ("state", "userId", "total", "productId") if name in body}
    lists = (("orders", "orderId"), ("notifications", "orderId"), ("products", "productId"))
    for name, identity in lists:
        if name in body:
            told[name] = [each.get(identity, "") for each in body[name]]
    return told


def _reason(body: Mapping[str, Any]) -> str:
    """Returns the reason of the ErrorInfo in a google.rpc.Status, wherever it stands."""
    status = body.get("error", body)
    details = status.get("details", []) if isinstance(status, dict) else []
    return next((str(each["reason"]) for each in details if "reason" in each), "")


def _grpc_reason(error: grpc.aio.AioRpcError) -> str:
    for name, value in error.trailing_metadata():
        if name == "grpc-status-details-bin" and isinstance(value, bytes):
            details = status_pb2.Status.FromString(value).details
            for detail in details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info):
                    return info.reason
    return ""


def digest(raw: bytes) -> str:
    """Returns the beginning of the SHA-256 of a body."""
    return hashlib.sha256(raw).hexdigest()[:16]
