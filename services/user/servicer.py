"""The RPCs of the user service. Who may call them stands in the contract."""

from typing import Any
from uuid import UUID

from services.mesh import field_mask, identity, ids, paging
from services.mesh.audit import AuditLog
from services.mesh.errors import FieldViolation, InvalidArgument
from services.user import convert
from services.user.address_store import AddressStore
from services.user.session_store import SessionStore
from services.user.signing_keys import SigningKeys, base64url
from services.user.store import UserStore
from services.user.workflow import Accounts
from souk.mesh.v1 import keys_pb2
from souk.user.v1 import user_service_pb2 as pb
from souk.user.v1 import user_service_pb2_grpc


class UserServicer(user_service_pb2_grpc.UserServiceServicer):
    """Serves `souk.user.v1.UserService`."""

    def __init__(
        self,
        *,
        audit_log: AuditLog,
        accounts: Accounts,
        users: UserStore,
        addresses: AddressStore,
        sessions: SessionStore,
        signing_keys: SigningKeys,
    ) -> None:
        self._audit_log = audit_log
        self._accounts = accounts
        self._users = users
        self._addresses = addresses
        self._sessions = sessions
        self._signing_keys = signing_keys

    async def Register(self, request: pb.RegisterRequest, context: Any) -> pb.RegisterResponse:
        """Open an account."""
        user = await self._accounts.register(
            email=request.email, password=request.password, display_name=request.display_name
        )
        return pb.RegisterResponse(user=convert.user_to_proto(user))

    async def Login(self, request: pb.LoginRequest, context: Any) -> pb.LoginResponse:
        """Begin a session."""
        tokens = await self._accounts.login(email=request.email, password=request.password)
        return convert.login_response_from_tokens(tokens)

    async def RefreshSession(
        self, request: pb.RefreshSessionRequest, context: Any
    ) -> pb.RefreshSessionResponse:
        """Go on with a session."""
        tokens = await self._accounts.refresh(request.refresh_token)
        return convert.refresh_response_from_tokens(tokens)

    async def Logout(self, request: pb.LogoutRequest, context: Any) -> pb.LogoutResponse:
        """End the caller's session."""
        session_id = _session_id()
        if session_id:
            await self._sessions.revoke(session_id, user_id=_user_id())
        return pb.LogoutResponse()

    async def GetUser(self, request: pb.GetUserRequest, context: Any) -> pb.GetUserResponse:
        """Return the user asked for, or the caller."""
        user = await self._users.get(_user_id(request.user_id))
        return pb.GetUserResponse(user=convert.user_to_proto(user))

    async def UpdateUser(
        self, request: pb.UpdateUserRequest, context: Any
    ) -> pb.UpdateUserResponse:
        """Change the caller's name."""
        fields = field_mask.updated_fields(
            request.update_mask, request.user, updatable=["display_name"]
        )
        if fields and not request.user.display_name:
            message = "the name can't be empty"
            violation = FieldViolation("user.display_name", message, "REQUIRED")
            raise InvalidArgument(message, violations=[violation])
        user = await self._users.rename(
            _user_id(request.user.user_id),
            display_name=request.user.display_name if fields else None,
            expected_etag=request.user.etag,
        )
        return pb.UpdateUserResponse(user=convert.user_to_proto(user))

    async def ChangePassword(
        self, request: pb.ChangePasswordRequest, context: Any
    ) -> pb.ChangePasswordResponse:
        """Replace the caller's password."""
        await self._accounts.change_password(
            _user_id(),
            session_id=_session_id(),
            current=request.current_password,
            new=request.new_password,
        )
        return pb.ChangePasswordResponse()

    async def DeactivateUser(
        self, request: pb.DeactivateUserRequest, context: Any
    ) -> pb.DeactivateUserResponse:
        """Close an account."""
        user = await self._users.deactivate(_user_id(request.user_id), by=_user_id())
        return pb.DeactivateUserResponse(user=convert.user_to_proto(user))

    async def ListUsers(self, request: pb.ListUsersRequest, context: Any) -> pb.ListUsersResponse:
        """Return a page of users."""
        page = paging.read(request, cursor=UUID)
        users = await self._users.page(email=request.email, before=page.cursor, size=page.limit)
        return pb.ListUsersResponse(
            users=[convert.user_to_proto(user) for user in page.kept(users)],
            next_page_token=page.next_token(users, lambda user: user.user_id),
        )

    async def AssignRole(
        self, request: pb.AssignRoleRequest, context: Any
    ) -> pb.AssignRoleResponse:
        """Set the roles of a user."""
        user = await self._users.assign_roles(
            _user_id(request.user_id), convert.roles_from_proto(request.roles), by=_user_id()
        )
        return pb.AssignRoleResponse(user=convert.user_to_proto(user))

    async def CreateAddress(
        self, request: pb.CreateAddressRequest, context: Any
    ) -> pb.CreateAddressResponse:
        """Add an address to the caller's."""
        address = await self._addresses.insert(
            ids.new_id(),
            user_id=_user_id(),
            label=request.address.label,
            postal_address=convert.postal_address_from_proto(request.address.postal_address),
        )
        return pb.CreateAddressResponse(address=convert.address_to_proto(address))

    async def ListAddresses(
        self, request: pb.ListAddressesRequest, context: Any
    ) -> pb.ListAddressesResponse:
        """Return a page of the caller's addresses."""
        page = paging.read(request, cursor=UUID)
        addresses = await self._addresses.page(_user_id(), before=page.cursor, size=page.limit)
        return pb.ListAddressesResponse(
            addresses=[convert.address_to_proto(address) for address in page.kept(addresses)],
            next_page_token=page.next_token(addresses, lambda address: address.address_id),
        )

    async def DeleteAddress(
        self, request: pb.DeleteAddressRequest, context: Any
    ) -> pb.DeleteAddressResponse:
        """Delete one of the caller's addresses."""
        address_id = ids.parse_id(request.address_id, field="address_id")
        await self._addresses.delete(address_id, user_id=_user_id())
        return pb.DeleteAddressResponse()

    async def GetJwks(self, request: pb.GetJwksRequest, context: Any) -> pb.GetJwksResponse:
        """Return the public keys of access tokens."""
        public = await self._signing_keys.public()
        return pb.GetJwksResponse(
            keys=[
                keys_pb2.JsonWebKey(
                    kty="OKP", crv="Ed25519", x=base64url(x), kid=kid, alg="EdDSA", use="sig"
                )
                for kid, x in public.items()
            ]
        )

    async def ListAuditEvents(
        self, request: pb.ListAuditEventsRequest, context: Any
    ) -> pb.ListAuditEventsResponse:
        """Return a page of the audit log."""
        return await self._audit_log.page(request, pb.ListAuditEventsResponse)


def _user_id(asked_for: str = "") -> UUID:
    """Return the id of the user asked for, or else of the caller.

    Raises InvalidArgument if there is neither: a service has no account of its own.
    """
    return ids.parse_id(asked_for or identity.caller().subject or "", field="user_id")


def _session_id() -> UUID | None:
    session = identity.caller().session
    return ids.parse_id(session, field="sid") if session else None
