"""Opening accounts, signing in and staying signed in: steps over passwords, tokens and stores."""

from uuid import UUID

from services.mesh import ids
from services.mesh.audit import AuditLog
from services.mesh.client_address import client_address
from services.user import attempt_store
from services.user.access_tokens import AccessTokens
from services.user.attempt_store import AttemptStore
from services.user.domain import (
    Credentials,
    CredentialsInvalid,
    PasswordWrong,
    Role,
    SessionTokens,
    TooManyAttempts,
    User,
    UserState,
)
from services.user.passwords import Passwords
from services.user.session_store import RefreshToken, SessionStore
from services.user.store import UserStore


class Accounts:
    """People's accounts and sessions."""

    def __init__(
        self,
        *,
        attempts: AttemptStore,
        audit_log: AuditLog,
        users: UserStore,
        sessions: SessionStore,
        passwords: Passwords,
        access_tokens: AccessTokens,
    ) -> None:
        self._attempts = attempts
        self._audit_log = audit_log
        self._users = users
        self._sessions = sessions
        self._passwords = passwords
        self._access_tokens = access_tokens

    async def register(self, *, email: str, password: str, display_name: str) -> User:
        """Open an account. Raises EmailTaken."""
        return await self._users.insert(
            ids.new_id(),
            email=email,
            display_name=display_name,
            password_hash=await self._passwords.hash(password),
        )

    async def create_first_admin(self, *, email: str, password: str) -> bool:
        """Open an admin's account if there is no admin; say whether it did. Raises EmailTaken."""
        if await self._users.has_admin():
            return False
        await self._users.insert(
            ids.new_id(),
            email=email,
            display_name="Admin",
            password_hash=await self._passwords.hash(password),
            roles=[Role.ADMIN],
        )
        return True

    async def login(self, *, email: str, password: str) -> SessionTokens:
        """Begin a session.

        Raises CredentialsInvalid, the same way whatever is wrong, and TooManyAttempts.
        """
        address = client_address()
        await self._count_attempt(attempt_store.named(email), address)
        found = await self._users.credentials_of_email(email)
        matches = await self._passwords.matches(password, found.password_hash if found else None)
        if found is None or not matches or found.user.state is not UserState.ACTIVE:
            error = CredentialsInvalid("e-mail address or password is wrong")
            resource = f"users/{found.user.user_id}" if found else ""
            await self._audit_log.refused(error, resource=resource)
            raise error
        password_hash = await self._up_to_date_hash(found, password)
        refresh_token = await self._sessions.begin(found.user.user_id, password_hash=password_hash)
        await self._attempts.succeeded(attempt_store.named(email), address=address)
        return self._tokens(found.user, refresh_token)

    async def _count_attempt(self, account: str, address: str, *, resource: str = "") -> None:
        """Count a try; of those that are too many, the first one of a window is written down."""
        try:
            await self._attempts.take(account, address=address)
        except TooManyAttempts as error:
            if error.is_first:
                await self._audit_log.refused(error, resource=resource)
            raise

    async def refresh(self, refresh_token: str) -> SessionTokens:
        """Go on with a session. Raises RefreshTokenInvalid."""
        following = await self._sessions.rotate(refresh_token)
        return self._tokens(await self._users.get(following.user_id), following)

    async def change_password(
        self, user_id: UUID, *, session_id: UUID | None, current: str, new: str
    ) -> None:
        """Replace the password and end all sessions but this one.

        Raises PasswordWrong and TooManyAttempts.
        """
        address = client_address()
        account = attempt_store.signed_in(user_id)
        await self._count_attempt(account, address, resource=f"users/{user_id}")
        credentials = await self._users.credentials_of_user(user_id)
        changed = await self._passwords.matches(
            current, credentials.password_hash
        ) and await self._sessions.change_password(
            user_id,
            former=credentials.password_hash,
            password_hash=await self._passwords.hash(new),
            keep=session_id,
        )
        if not changed:
            error = PasswordWrong("the present password is wrong")
            await self._audit_log.refused(error, resource=f"users/{user_id}")
            raise error
        await self._attempts.succeeded(account, address=address)

    async def _up_to_date_hash(self, found: Credentials, password: str) -> str:
        """Return the stored hash, made anew at today's cost if it was cheaper."""
        if not self._passwords.is_outdated(found.password_hash):
            return found.password_hash
        password_hash = await self._passwords.hash(password)
        await self._users.replace_hash(
            found.user.user_id, former=found.password_hash, password_hash=password_hash
        )
        return password_hash

    def _tokens(self, user: User, refresh_token: RefreshToken) -> SessionTokens:
        access_token, expire_time = self._access_tokens.issue(
            user.user_id,
            session_id=refresh_token.session_id,
            roles=user.roles,
            issue_time=refresh_token.issue_time,
        )
        return SessionTokens(
            access_token=access_token,
            refresh_token=refresh_token.token,
            expire_time=expire_time,
            refresh_expire_time=refresh_token.expire_time,
        )
