"""Users, their addresses and sessions, and what can be wrong with them.

An account is ACTIVE until it is closed, then DEACTIVATED for good.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from services.mesh.errors import (
    AlreadyExists,
    FailedPrecondition,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)

MOST_ADDRESSES = 20


class Role(StrEnum):
    """What a person may do beyond buying, as access tokens name it."""

    ADMIN = "admin"
    MERCHANDISER = "merchandiser"
    FULFILMENT = "fulfilment"
    SUPPORT = "support"


class UserState(StrEnum):
    """Whether an account can be used."""

    ACTIVE = "active"
    DEACTIVATED = "deactivated"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person with an account. `version` counts the changes, from 1."""

    user_id: UUID
    email: str
    display_name: str
    roles: tuple[Role, ...]
    state: UserState
    create_time: datetime
    update_time: datetime
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a login is checked against."""

    user: User
    password_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PostalAddress:
    """A postal address, with the fields of google.type.PostalAddress."""

    region_code: str
    address_lines: tuple[str, ...]
    language_code: str = ""
    postal_code: str = ""
    sorting_code: str = ""
    administrative_area: str = ""
    locality: str = ""
    sublocality: str = ""
    recipients: tuple[str, ...] = ()
    organization: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A place to send orders to."""

    address_id: UUID
    label: str
    postal_address: PostalAddress
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTokens:
    """What a person gets when they sign in or refresh."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expire_time: datetime
    refresh_expire_time: datetime


class EmailTaken(AlreadyExists):
    """An account with this e-mail address exists."""

    reason = "EMAIL_TAKEN"


class CredentialsInvalid(Unauthenticated):
    """E-mail address or password is wrong, or the account can't be used."""

    reason = "CREDENTIALS_INVALID"


class TooManyAttempts(ResourceExhausted):
    """The account, whether it exists or not, or the address has failed too often of late.

    `is_first`: no other try of the window was refused before.
    """

    reason = "TOO_MANY_ATTEMPTS"

    def __init__(self, message: str, *, retry_after: timedelta, is_first: bool) -> None:
        super().__init__(message, retry_after=retry_after)
        self.is_first = is_first


class RefreshTokenInvalid(Unauthenticated):
    """The refresh token is unknown, used, expired or revoked."""

    reason = "REFRESH_TOKEN_INVALID"


class UserNotFound(NotFound):
    """There is no such user."""

    reason = "USER_NOT_FOUND"


class AddressNotFound(NotFound):
    """There is no such address, or it is another's."""

    reason = "ADDRESS_NOT_FOUND"


class TooManyAddresses(FailedPrecondition):
    """The user has as many addresses as one can have."""

    reason = "TOO_MANY_ADDRESSES"


class LastAdmin(FailedPrecondition):
    """Nobody would be left who could undo it."""

    reason = "LAST_ADMIN"


class RoleWithdrawn(PermissionDenied):
    """The caller's account has lost the role since the access token was issued, or is closed."""

    reason = "ROLE_WITHDRAWN"


class PasswordWrong(PermissionDenied):
    """The present password is wrong."""

    reason = "PASSWORD_WRONG"
