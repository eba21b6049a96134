"""Identifiers: UUIDs of version 7 (RFC 9562 section 5.7), which sort by the time they were made."""

from uuid import UUID

from uuid_utils import compat

from services.mesh.errors import FieldViolation, InvalidArgument


def new_id() -> UUID:
    """Returns a new identifier, greater than those this process made before."""
    return compat.uuid7()


def parse_id(text: str, *, field: str) -> UUID:
    """Returns the identifier that a request's `field` holds, in the form of RFC 9562 section 4.

    Raises InvalidArgument naming `field` when `text` is not one.
    """
    try:
        value = UUID(text)
    except ValueError:
        value = None
    if value is None or str(value) != text.lower():
        message = f"{field} is not an identifier"
        violation = FieldViolation(field, "must be a UUID in its hyphenated form", "INVALID_ID")
        raise InvalidArgument(message, violations=[violation])
    return value
