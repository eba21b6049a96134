"""What the contracts mark `debug_redact` (google/protobuf/descriptor.proto) and nobody may read."""

from collections.abc import Iterable

from google.protobuf.descriptor import Descriptor


def is_redacted(message: Descriptor, path: Iterable[str]) -> bool:
    """Say whether the field at `path` below `message`, or anything that holds it, is redacted."""
    holder: Descriptor | None = message
    for name in path:
        field = holder.fields_by_name.get(name) if holder else None
        if field is None:
            return False
        if field.GetOptions().debug_redact:
            return True
        holder = field.message_type
    return False
