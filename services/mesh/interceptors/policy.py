"""Decides by the contract's policy who may call an RPC, and on whose data; the default is no."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from google.protobuf.message import Message

from services.mesh.errors import NotFound, PermissionDenied, Unauthenticated
from services.mesh.identity import Caller, caller
from services.mesh.interceptors import Context, Handler, Interceptor
from services.mesh.policy import Method
from souk.mesh.v1.policy_pb2 import Access


class CallerNotAllowed(PermissionDenied):
    """The service that calls is not among those that may."""

    reason = "CALLER_NOT_ALLOWED"


class NotSignedIn(Unauthenticated):
    """The RPC is for people, and no valid access token came with the call."""

    reason = "NOT_SIGNED_IN"


class RoleMissing(PermissionDenied):
    """The person holds none of the roles that the RPC asks for."""

    reason = "ROLE_MISSING"


def policy(edge_services: frozenset[str]) -> Interceptor:
    """Return the interceptor; `edge_services` are those that face people."""

    def intercept(method: Method, handler: Handler) -> Handler:
        admit = admission(method, edge_services)

        async def handle(request: Any, context: Context) -> Any:
            who = caller()
            admit(who)
            if method.owner_field:
                check_owner(method, who, request)
            return await handler(request, context)

        async def handle_stream(requests: Any, context: Context) -> Any:
            who = caller()
            admit(who)
            if method.owner_field:
                requests = _each(requests, lambda request: check_owner(method, who, request))
            return await handler(requests, context)

        return handle_stream if method.client_streaming else handle

    return intercept


def admission(method: Method, edge_services: frozenset[str]) -> Callable[[Caller], None]:
    """Return what decides whether a caller may call the RPC.

    It returns, or raises CallerNotAllowed, NotSignedIn or RoleMissing.
    """
    is_internal = method.access == Access.ACCESS_INTERNAL
    needs_person = method.access in (Access.ACCESS_USER, Access.ACCESS_ROLE)
    senders = method.callers if is_internal else method.callers | edge_services
    callers, roles = method.callers, method.roles

    def admit(who: Caller) -> None:
        if who.service not in senders:
            raise CallerNotAllowed("this service may not call this method")
        if not needs_person:
            return
        if who.subject is None:
            # A listed service that brings no token acts on its own behalf.
            if who.service not in callers:
                raise NotSignedIn("an access token is needed")
        elif roles and roles.isdisjoint(who.roles):
            raise RoleMissing("none of your roles allows this")

    return admit


def check_owner(method: Method, who: Caller, request: Message) -> None:
    """Return if the owner that the request names is the caller, or is left empty.

    Services that act on their own behalf and people with an excepted role may name anybody.
    Raises NotFound, as if what is asked for did not exist.
    """
    is_own_behalf = who.subject is None and who.service in method.callers
    if is_own_behalf or not method.owner_except_roles.isdisjoint(who.roles):
        return
    owner: Any = request
    for name in method.owner_field:
        owner = getattr(owner, name)
    if owner not in ("", who.subject):
        raise NotFound("there is no such resource")


async def _each(
    requests: AsyncIterator[Message], check: Callable[[Message], None]
) -> AsyncIterator[Message]:
    async for request in requests:
        check(request)
        yield request
