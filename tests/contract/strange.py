"""Builds, for any request type, requests with a value that nobody sends by accident.

Whether it is right or wrong, the contract says; here it only matters that no service fails over it.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from services.mesh import page_token
from services.mesh.ids import new_id
from tests.contract.valid import fill, is_message

Path = tuple[FieldDescriptor, ...]

_TEXTS = (
    "\0",
    "a\0b",
    "\N{RIGHT-TO-LEFT OVERRIDE}\N{ZERO WIDTH JOINER}",
    "\N{FACE WITH TEARS OF JOY}" * 30,
    "' OR 1=1 --",
    "%s{0}",
    "$where",
    "price.units",
    "*",
    "(",
)
_NUMBERS = (0, -1, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))
_CURSORS: tuple[object, ...] = (
    None,
    [],
    {},
    {"before": 1, "after": [], "value": {}, "id": None, "create_time": 0, "order_id": 0},
    {"before": "\0", "after": "-1", "value": "\0", "create_time": "0001-01-01"},
    {"before": str(new_id()), "after": "9" * 30, "value": "9" * 30, "create_time": "0001-01-01"},
    {"after": "1e9", "value": "NaN", "create_time": "9999-12-31T23:59:59-23:59"},
)

# What a valid value of these would be, no descriptor tells; a wrong one would hide the strange one.
_LEFT_EMPTY = ("etag", "filter", "order_by", "page_token")


def strange_requests(request_type: type[Message], *, user_id: str) -> Iterator[Message]:
    """Tell requests that are valid but for one field; users in them are the caller, `user_id`."""
    for path in _paths(request_type.DESCRIPTOR):
        texts = path[-1].type == FieldDescriptor.TYPE_STRING
        for value in _TEXTS if texts else _NUMBERS:
            request = _valid(request_type, user_id)
            if _set(request, path, value):
                yield request
    if "page_token" in request_type.DESCRIPTOR.fields_by_name:
        yield from _forged_pages(request_type, user_id)


def _valid(request_type: type[Message], user_id: str) -> Message:
    request = fill(request_type())
    for path in _paths(request_type.DESCRIPTOR):
        if path[-1].name in _LEFT_EMPTY:
            _holder(request, path).ClearField(path[-1].name)
        if path[-1].name == "user_id":
            _set(request, path, user_id)
    return request


def _paths(message: Any) -> Iterator[Path]:
    """Tell the path of every field that is no message."""
    for field in message.fields:
        if is_message(field):
            yield from ((field, *path) for path in _paths(field.message_type))
        else:
            yield (field,)


def _holder(message: Any, path: Path) -> Any:
    for field in path[:-1]:
        child = getattr(message, field.name)
        message = child[0] if field.is_repeated else child
    return message


def _set(message: Message, path: Path, value: object) -> bool:
    """Set the field, or add to it; return whether it can hold such a value."""
    holder, name = _holder(message, path), path[-1].name
    try:
        if path[-1].is_repeated:
            getattr(holder, name).append(value)
        else:
            setattr(holder, name, value)
    except ValueError:
        return False
    return True


def _forged_pages(request_type: type[Message], user_id: str) -> Iterator[Message]:
    """Tell requests with page tokens that are sealed rightly around what we never put there."""
    orders = ["", "title"] if "order_by" in request_type.DESCRIPTOR.fields_by_name else [None]
    for cursor in _CURSORS:
        for order in orders:
            request: Any = _valid(request_type, user_id)
            if order is not None:
                request.order_by = order
            body = json.dumps(cursor).encode()
            seal = hashlib.sha256(page_token.binding(request) + body).digest()[:12]
            request.page_token = base64.urlsafe_b64encode(seal + body).rstrip(b"=").decode()
            yield request
