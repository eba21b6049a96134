"""Every RPC of the user service answers, and every error that its contract tells of is given."""

from dataclasses import fields
from typing import Any
from uuid import UUID

import grpc
import pytest
from google.type.postal_address_pb2 import PostalAddress

from services.mesh.ids import new_id
from services.user.domain import MOST_ADDRESSES, Role
from services.user.settings import Settings
from souk.user.v1 import user_pb2
from souk.user.v1 import user_service_pb2 as pb
from souk.user.v1.user_service_pb2_grpc import UserServiceStub
from tests.contract.conftest import ChannelAs
from tests.contract.shop import ADMIN_EMAIL, ADMIN_PASSWORD, Shop
from tests.contract.tables import (
    Desk,
    Entry,
    check_is_answered,
    check_is_complete,
    check_is_refused,
)

PASSWORD = "open sesame"

_ATTEMPTS: Any = {each.name: each.default for each in fields(Settings)}[
    "login_attempts_per_account"
]
HOME = PostalAddress(region_code="DE", address_lines=["Hauptstr. 1"])


@pytest.fixture(scope="module")
def process() -> str:
    """Tests the user service."""
    return "user"


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[UserServiceStub]:
    """Calls it by its generated stub."""
    return UserServiceStub


@pytest.fixture(scope="module")
def desk(shop: Shop, grpc_stub: UserServiceStub, channel_as: ChannelAs) -> Desk:
    """Gives the desk to call from."""
    return Desk(shop=shop, stub=grpc_stub, channel_as=channel_as)


def register(desk: Desk, email: str = "") -> user_pb2.User:
    """Open an account."""
    email = email or f"{new_id()}@example.com"
    request = pb.RegisterRequest(email=email, password=PASSWORD, display_name="Ada")
    user: user_pb2.User = desk.call("Register", request).user
    return user


def login(desk: Desk, email: str, password: str = PASSWORD) -> pb.LoginResponse:
    """Sign in."""
    response: pb.LoginResponse = desk.call("Login", pb.LoginRequest(email=email, password=password))
    return response


def customer(desk: Desk) -> list[tuple[str, str]]:
    """Return the metadata of a new customer who has signed in."""
    token = login(desk, register(desk).email).access_token
    return [("authorization", f"Bearer {token}")]


def admin(desk: Desk) -> list[tuple[str, str]]:
    """Return the metadata of the first admin."""
    token = login(desk, ADMIN_EMAIL, ADMIN_PASSWORD).access_token
    return [("authorization", f"Bearer {token}")]


def update(desk: Desk, **changes: str) -> pb.UpdateUserResponse:
    """Change a customer."""
    request = pb.UpdateUserRequest(user=user_pb2.User(**changes))  # type: ignore[arg-type]  # texts
    response: pb.UpdateUserResponse = desk.call("UpdateUser", request, customer(desk))
    return response


def add_address(desk: Desk, owner: list[tuple[str, str]]) -> pb.CreateAddressResponse:
    """Add an address."""
    request = pb.CreateAddressRequest(address=user_pb2.Address(postal_address=HOME))
    response: pb.CreateAddressResponse = desk.call("CreateAddress", request, owner)
    return response


def delete_address(desk: Desk) -> pb.DeleteAddressResponse:
    """Add an address and delete it."""
    owner = customer(desk)
    address_id = add_address(desk, owner).address.address_id
    response: pb.DeleteAddressResponse = desk.call(
        "DeleteAddress", pb.DeleteAddressRequest(address_id=address_id), owner
    )
    return response


def change_password(desk: Desk, current: str) -> pb.ChangePasswordResponse:
    """Replace a customer's password."""
    request = pb.ChangePasswordRequest(current_password=current, new_password="a new password")
    response: pb.ChangePasswordResponse = desk.call("ChangePassword", request, customer(desk))
    return response


def refresh(desk: Desk, token: str = "") -> pb.RefreshSessionResponse:
    """Refresh a session, by its own token if none is given."""
    token = token or login(desk, register(desk).email).refresh_token
    response: pb.RefreshSessionResponse = desk.call(
        "RefreshSession", pb.RefreshSessionRequest(refresh_token=token)
    )
    return response


def deactivate_the_admin(desk: Desk) -> pb.DeactivateUserResponse:
    """Close the account of the only admin."""
    metadata = admin(desk)
    admin_id = desk.call("GetUser", pb.GetUserRequest(), metadata).user.user_id
    response: pb.DeactivateUserResponse = desk.call(
        "DeactivateUser", pb.DeactivateUserRequest(user_id=admin_id), metadata
    )
    return response


def register_twice(desk: Desk) -> None:
    """Open two accounts with one address, in another case."""
    register(desk, register(desk).email.upper())


def add_too_many_addresses(desk: Desk) -> None:
    """Add one address more than one can have."""
    owner = customer(desk)
    for _ in range(MOST_ADDRESSES + 1):
        add_address(desk, owner)


def guess_too_often(desk: Desk) -> None:
    """Guess the password of an account until no more guesses are taken."""
    email = register(desk).email
    for _ in range(_ATTEMPTS):
        with pytest.raises(grpc.RpcError, match="e-mail address or password is wrong"):
            login(desk, email, "a wrong password")
    login(desk, email)


def assign_by_an_old_token(desk: Desk) -> pb.AssignRoleResponse:
    """Make oneself an admin by a token from when one was one."""
    user_id = register(desk).user_id
    response: pb.AssignRoleResponse = desk.call(
        "AssignRole",
        pb.AssignRoleRequest(user_id=user_id, roles=[user_pb2.ROLE_ADMIN]),
        desk.person(Role.ADMIN, user_id=UUID(user_id)),
    )
    return response


ANSWERS: dict[str, Entry] = {
    "Register": register,
    "Login": lambda desk: login(desk, register(desk).email),
    "RefreshSession": refresh,
    "Logout": lambda desk: desk.call("Logout", pb.LogoutRequest(), customer(desk)),
    "GetUser": lambda desk: desk.call("GetUser", pb.GetUserRequest(), customer(desk)),
    "UpdateUser": lambda desk: update(desk, display_name="Countess"),
    "ChangePassword": lambda desk: change_password(desk, PASSWORD),
    "DeactivateUser": lambda desk: desk.call(
        "DeactivateUser", pb.DeactivateUserRequest(user_id=register(desk).user_id), admin(desk)
    ),
    "ListUsers": lambda desk: desk.call("ListUsers", pb.ListUsersRequest(), admin(desk)),
    "AssignRole": lambda desk: desk.call(
        "AssignRole",
        pb.AssignRoleRequest(user_id=register(desk).user_id, roles=[user_pb2.ROLE_SUPPORT]),
        admin(desk),
    ),
    "CreateAddress": lambda desk: add_address(desk, customer(desk)),
    "ListAddresses": lambda desk: desk.call(
        "ListAddresses", pb.ListAddressesRequest(), customer(desk)
    ),
    "DeleteAddress": delete_address,
    "GetJwks": lambda desk: desk.call("GetJwks", pb.GetJwksRequest()),
    "ListAuditEvents": lambda desk: desk.call(
        "ListAuditEvents", pb.ListAuditEventsRequest(), desk.person(Role.ADMIN)
    ),
}

ERRORS: dict[str, Entry] = {
    "EMAIL_TAKEN": register_twice,
    "CREDENTIALS_INVALID": lambda desk: login(desk, "nobody@example.com"),
    "REFRESH_TOKEN_INVALID": lambda desk: refresh(desk, "never issued"),
    "USER_NOT_FOUND": lambda desk: desk.call(
        "GetUser", pb.GetUserRequest(user_id=str(new_id())), desk.person(Role.SUPPORT)
    ),
    "ADDRESS_NOT_FOUND": lambda desk: desk.call(
        "DeleteAddress", pb.DeleteAddressRequest(address_id=str(new_id())), customer(desk)
    ),
    "ETAG_MISMATCH": lambda desk: update(desk, display_name="Countess", etag="stale"),
    "TOO_MANY_ADDRESSES": add_too_many_addresses,
    "LAST_ADMIN": deactivate_the_admin,
    "ROLE_WITHDRAWN": assign_by_an_old_token,
    "TOO_MANY_ATTEMPTS": guess_too_often,
    "PASSWORD_WRONG": lambda desk: change_password(desk, "not the password"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_rpc_answers(desk: Desk, name: str):
    """The RPC is there and does what it is for."""
    check_is_answered(desk, ANSWERS[name])


@pytest.mark.parametrize("reason", ERRORS)
def test_an_error_is_given_as_the_contract_tells(desk: Desk, process: str, reason: str):
    """The reason comes with its code."""
    check_is_refused(desk, ERRORS[reason], process=process, reason=reason)


def test_nothing_is_left_out(process: str):
    """Every RPC and every reason of the contract is tested."""
    check_is_complete(process, answers=ANSWERS, errors=ERRORS)
