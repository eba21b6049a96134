"""What a policy says is audited is in the audit log, with who did it and how it ended."""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

import grpc
import pytest

from services.user.domain import Role
from souk.mesh.v1.audit_pb2 import AuditEvent, AuditFilter, AuditOutcome
from souk.storefront.v1 import storefront_service_pb2
from souk.user.v1 import user_service_pb2
from tests.contract import outside, test_user
from tests.contract.conftest import ChannelAs
from tests.contract.contracts import RPCS, Rpc, services
from tests.contract.shop import Shop
from tests.contract.tables import Desk

AUDITED = [rpc for rpc in RPCS if rpc.policy.audit]

At = Callable[[str], Desk]


@pytest.fixture(scope="module")
def process() -> str:
    """Begins with the user service; the others are called as well."""
    return "user"


@pytest.fixture(scope="module")
def at(shop: Shop, channel_as: ChannelAs) -> At:
    """Gives the desk at a service."""
    desk = Desk(shop=shop, stub=None, channel_as=channel_as)
    return lambda process: desk.at(process, _stub_class(process))


def _stub_class(process: str) -> Any:
    name = next(service.name for service in services(process) if service.name != "StockService")
    module: ModuleType = import_module(f"souk.{process}.v1.{process}_service_pb2_grpc")
    return getattr(module, f"{name}Stub")


def events(desk: Desk, **asked: Any) -> list[AuditEvent]:
    """Return the newest events of one service's log."""
    pb = import_module(f"souk.{desk.process}.v1.{desk.process}_service_pb2")
    request = pb.ListAuditEventsRequest(filter=AuditFilter(**asked))
    return list(desk.call("ListAuditEvents", request, desk.person(Role.ADMIN)).audit_events)


@pytest.mark.parametrize("audited", AUDITED, ids=str)
def test_what_is_audited_leaves_an_event(audited: Rpc, at: At):
    """A call that succeeds is told of once, with its RPC and the service that sent it."""
    desk, action = at(audited.process), audited.path.removeprefix("/")
    entry = import_module(f"tests.contract.test_{audited.process}").ANSWERS[audited.method.name]
    before = {event.audit_event_id for event in events(desk, action=action)}

    entry(desk)

    new = [each for each in events(desk, action=action) if each.audit_event_id not in before]
    if audited.method.name == "ListAuditEvents":
        # The look at the log before was one, too.
        new.pop()
    assert [(AuditOutcome.AUDIT_OUTCOME_SUCCEEDED, "", "developer")] == [
        (event.outcome, event.reason, event.actor_service) for event in new
    ]


def test_a_failed_login_is_told_without_what_was_typed(at: At):
    """The account is named by its id; neither the address nor the password is anywhere."""
    desk = at("user")
    user = test_user.register(desk)

    with pytest.raises(grpc.RpcError):
        test_user.login(desk, user.email, "wrong-password-1")

    newest = events(desk, outcome=AuditOutcome.AUDIT_OUTCOME_REFUSED)[0]
    assert (newest.reason, newest.resource) == ("CREDENTIALS_INVALID", f"users/{user.user_id}")
    assert user.email not in str(newest)
    assert "wrong-password-1" not in str(newest)


def test_a_refresh_token_that_is_used_again_is_told(at: At):
    """It is the trace that a stolen token leaves."""
    desk = at("user")
    user = test_user.register(desk)
    token = test_user.login(desk, user.email).refresh_token
    test_user.refresh(desk, token)

    with pytest.raises(grpc.RpcError):
        test_user.refresh(desk, token)

    newest = events(desk, resource=f"users/{user.user_id}")[0]
    assert (newest.reason, newest.action.rpartition("/")[2]) == (
        "REFRESH_TOKEN_REUSED",
        "RefreshSession",
    )


def test_who_signs_in_is_the_actor(at: At):
    """A login is by nobody until it succeeds; the log names who it turned out to be."""
    desk = at("user")
    user = test_user.register(desk)
    test_user.login(desk, user.email)

    assert [user.user_id] == [
        event.actor_user_id for event in events(desk, actor_user_id=user.user_id)
    ]


def test_all_logs_read_as_one(at: At):
    """The storefront merges the services' logs by time, page by page, without a gap or a double."""
    for process in ("user", "order", "payment", "notification"):
        events(at(process))
    desk = at("storefront")
    admin = desk.person(Role.ADMIN)
    pages, token = [], ""
    for _ in range(3):
        request = storefront_service_pb2.ListAuditEventsRequest(page_size=3, page_token=token)
        response = desk.call("ListAuditEvents", request, admin)
        pages.append([each.audit_event_id for each in response.audit_events])
        token = response.next_page_token
    found = [each for page in pages for each in page]

    assert [3, 3, 3] == [len(page) for page in pages]
    assert sorted(set(found), reverse=True) == found


def test_an_address_is_the_one_that_the_gateway_saw(at: At, http_gateway: str):
    """Whatever the client says of its own address, in whatever field."""
    desk = at("user")
    user = test_user.register(desk)
    login = next(rpc for rpc in RPCS if str(rpc) == "UserService.Login")
    claims = [
        ("x-souk-client-address", "6.6.6.6"),
        ("grpc-metadata-x-souk-client-address", "6.6.6.6"),
        ("x-forwarded-for", "6.6.6.6"),
    ]
    request = user_service_pb2.LoginRequest(email=user.email, password=test_user.PASSWORD)

    outside.call(http_gateway, login, request, claims, seconds=30)

    newest = events(desk, actor_user_id=user.user_id)[0]
    assert ("127.0.0.1", "gateway") == (newest.client_address, newest.actor_service)
