"""Reads the google.rpc details of a failed call."""

from typing import Any, TypeVar

from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

M = TypeVar("M", bound=Message)


def details_of(error: Any, kind: type[M]) -> M:
    """Return the detail of this kind, empty if there is none."""
    found = kind()
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        if detail.Is(kind.DESCRIPTOR):
            detail.Unpack(found)
    return found


def reason_of(error: Any) -> str:
    """Return the reason that the error gives."""
    return details_of(error, error_details_pb2.ErrorInfo).reason
