"""Update masks: which fields of a resource an update writes (AIP-134, AIP-161).

    empty        the updatable fields that are populated in the resource sent
    "*"          every updatable field: those not populated are cleared
    paths        those fields, in the names of the contract

A path is one whole field of the resource: `price`, not `price.units`. An output-only field that is
named is ignored (AIP-203); whatever else cannot be updated is refused.
"""

from collections.abc import Collection
from collections.abc import Set as AbstractSet
from typing import Any, TypeVar

from google.api import field_behavior_pb2
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from services.mesh.errors import FieldViolation, InvalidArgument

M = TypeVar("M", bound=Message)

_EVERYTHING = "*"


def updated_fields(mask: FieldMask, sent: Message, *, updatable: Collection[str]) -> frozenset[str]:
    """Returns the names of the fields to write, a subset of `updatable`.

    `sent` is the resource in the request. Raises InvalidArgument naming `update_mask` when a path
    is unknown or cannot be updated.
    """
    if not mask.paths:
        populated = {field.name for field, _ in sent.ListFields()}
        return frozenset(populated.intersection(updatable))
    if _EVERYTHING in mask.paths:
        if len(mask.paths) > 1:
            message = "the path * stands alone"
            raise _invalid(message, [_EVERYTHING])
        return frozenset(updatable)
    wrong = [path for path in mask.paths if not _acceptable(path, sent, updatable)]
    if wrong:
        raise _invalid("the update mask names what cannot be updated", wrong)
    return frozenset(mask.paths).intersection(updatable)


def merged(current: M, sent: M, *, fields: AbstractSet[str]) -> M:
    """Returns `current` with the named `fields` taken from `sent`; neither is changed."""
    result = type(current)()
    result.CopyFrom(current)
    for name in fields:
        result.ClearField(name)
    chosen = type(sent)()
    chosen.CopyFrom(sent)
    for field in sent.DESCRIPTOR.fields:
        if field.name not in fields:
            chosen.ClearField(field.name)
    result.MergeFrom(chosen)
    return result


def _acceptable(path: str, sent: Message, updatable: Collection[str]) -> bool:
    known = path in sent.DESCRIPTOR.fields_by_name
    return known and (path in updatable or _is_output_only(sent, path))


def _is_output_only(sent: Message, path: str) -> bool:
    options = sent.DESCRIPTOR.fields_by_name[path].GetOptions()
    # The stubs know no extension of this type.
    extension: Any = field_behavior_pb2.field_behavior
    behaviors: Any = options.Extensions[extension]
    return field_behavior_pb2.OUTPUT_ONLY in behaviors


def _invalid(message: str, paths: Collection[str]) -> InvalidArgument:
    return InvalidArgument(
        message,
        violations=[
            FieldViolation("update_mask", f"the path {path!r} cannot be updated", "INVALID_PATH")
            for path in paths
        ],
    )
