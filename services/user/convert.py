"""Between the contract and the domain."""

from collections.abc import Iterable
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from google.type import postal_address_pb2

from services.mesh import etag
from services.user.domain import Address, PostalAddress, Role, SessionTokens, User, UserState
from souk.user.v1 import user_pb2, user_service_pb2

_STATES = {
    UserState.ACTIVE: user_pb2.USER_STATE_ACTIVE,
    UserState.DEACTIVATED: user_pb2.USER_STATE_DEACTIVATED,
}
_ROLES_TO_PROTO = {
    Role.ADMIN: user_pb2.ROLE_ADMIN,
    Role.MERCHANDISER: user_pb2.ROLE_MERCHANDISER,
    Role.FULFILMENT: user_pb2.ROLE_FULFILMENT,
    Role.SUPPORT: user_pb2.ROLE_SUPPORT,
}
_ROLES_FROM_PROTO = {message: role for role, message in _ROLES_TO_PROTO.items()}


def user_to_proto(user: User) -> user_pb2.User:
    """Return the message that tells of `user`."""
    message = user_pb2.User(
        user_id=str(user.user_id),
        email=user.email,
        display_name=user.display_name,
        roles=[_ROLES_TO_PROTO[role] for role in user.roles],
        state=_STATES[user.state],
        etag=user_etag(user),
    )
    message.create_time.FromDatetime(user.create_time)
    message.update_time.FromDatetime(user.update_time)
    return message


def user_etag(user: User) -> str:
    """Return the etag of `user` as it is now."""
    return etag.of(user.user_id, user.version)


def roles_from_proto(messages: Iterable[user_pb2.Role.ValueType]) -> frozenset[Role]:
    """Return the roles that the contract's values name."""
    return frozenset(_ROLES_FROM_PROTO[message] for message in messages)


def address_to_proto(address: Address) -> user_pb2.Address:
    """Return the message that tells of `address`."""
    place = address.postal_address
    message = user_pb2.Address(
        address_id=str(address.address_id),
        label=address.label,
        postal_address=postal_address_pb2.PostalAddress(
            region_code=place.region_code,
            language_code=place.language_code,
            postal_code=place.postal_code,
            sorting_code=place.sorting_code,
            administrative_area=place.administrative_area,
            locality=place.locality,
            sublocality=place.sublocality,
            address_lines=place.address_lines,
            recipients=place.recipients,
            organization=place.organization,
        ),
    )
    message.create_time.FromDatetime(address.create_time)
    return message


def postal_address_from_proto(message: postal_address_pb2.PostalAddress) -> PostalAddress:
    """Return the postal address that `message` tells of."""
    return PostalAddress(
        region_code=message.region_code,
        language_code=message.language_code,
        postal_code=message.postal_code,
        sorting_code=message.sorting_code,
        administrative_area=message.administrative_area,
        locality=message.locality,
        sublocality=message.sublocality,
        address_lines=tuple(message.address_lines),
        recipients=tuple(message.recipients),
        organization=message.organization,
    )


def login_response_from_tokens(tokens: SessionTokens) -> user_service_pb2.LoginResponse:
    """Return the answer to a login."""
    return user_service_pb2.LoginResponse(
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        expire_time=_timestamp(tokens.expire_time),
        refresh_expire_time=_timestamp(tokens.refresh_expire_time),
    )


def refresh_response_from_tokens(tokens: SessionTokens) -> user_service_pb2.RefreshSessionResponse:
    """Return the answer to a refresh."""
    return user_service_pb2.RefreshSessionResponse(
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        expire_time=_timestamp(tokens.expire_time),
        refresh_expire_time=_timestamp(tokens.refresh_expire_time),
    )


def _timestamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message
