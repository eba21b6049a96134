"""The provider port over HTTP, as `services.sandbox.server` speaks it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from urllib.parse import quote
from uuid import UUID

import aiohttp
import structlog

from services.mesh.amount import Amount
from services.mesh.errors import DomainError
from services.mesh.settings import Secret
from services.payment.domain import (
    Declined,
    OperationPage,
    Outcome,
    ProviderOperation,
    ProviderUnavailable,
    Succeeded,
    TransactionType,
    Unknown,
)

_log = structlog.get_logger(__name__)

_NOT_FOUND = 404


class SandboxProvider:
    """The stand-in behind `session`, which has its base URL.

    `api_key` goes with every call, as it is then. `timeout` bounds the operations, `lookup_timeout`
    the looking up.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        api_key: Secret,
        timeout: timedelta,
        lookup_timeout: timedelta,
    ) -> None:
        self._session = session
        self._api_key = api_key
        self._timeout = aiohttp.ClientTimeout(total=timeout.total_seconds())
        self._lookup_timeout = aiohttp.ClientTimeout(total=lookup_timeout.total_seconds())

    async def authorize(
        self, key: str, *, payment_id: UUID, amount: Amount, payment_token: str
    ) -> Outcome:
        """Sets money aside."""
        body = {"payment": str(payment_id), "token": payment_token, "amount": _json(amount)}
        return await self._post("/v1/authorizations", key, body)

    async def capture(self, key: str, *, authorization: str, amount: Amount) -> Outcome:
        """Takes money that was set aside."""
        body = {"authorization": authorization, "amount": _json(amount)}
        return await self._post("/v1/captures", key, body)

    async def void(self, key: str, *, authorization: str) -> Outcome:
        """Undoes an authorization, or keeps it from being done."""
        return await self._post("/v1/voids", key, {"authorization": authorization})

    async def refund(self, key: str, *, capture: str, amount: Amount) -> Outcome:
        """Gives back money that was taken."""
        return await self._post("/v1/refunds", key, {"capture": capture, "amount": _json(amount)})

    async def lookup(self, key: str) -> Outcome | None:
        """Returns what became of an operation; None if the provider has not seen it."""
        path = f"/v1/operations/{quote(key, safe='')}"
        try:
            async with self._session.get(
                path, headers=self._authorization, timeout=self._lookup_timeout
            ) as answer:
                return None if answer.status == _NOT_FOUND else await _outcome(answer)
        except (aiohttp.ClientError, TimeoutError) as error:
            return _unanswered(key, error)

    async def list_operations(self, *, since: datetime, page: str) -> OperationPage:
        """Returns a page of all operations; raises ProviderUnavailable."""
        query = {"since": since.isoformat(), "page": page}
        try:
            async with self._session.get(
                "/v1/operations",
                params=query,
                headers=self._authorization,
                timeout=self._timeout,
            ) as answer:
                answer.raise_for_status()
                return _page(await answer.json())
        except (aiohttp.ClientError, TimeoutError, *_UNREADABLE) as error:
            _log.warning("provider did not tell its operations", error=type(error).__name__)
            raise ProviderUnavailable("the payment provider has not answered") from error

    @property
    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._api_key.reveal()}"}

    async def _post(self, path: str, key: str, body: Mapping[str, Any]) -> Outcome:
        headers = {**self._authorization, "Idempotency-Key": key}
        try:
            async with self._session.post(
                path, json=body, headers=headers, timeout=self._timeout
            ) as answer:
                return await _outcome(answer)
        except (aiohttp.ClientError, TimeoutError) as error:
            return _unanswered(key, error)


def _json(amount: Amount) -> dict[str, Any]:
    return {"currency": amount.currency, "minor": amount.minor}


def _unanswered(key: str, error: Exception) -> Unknown:
    _log.warning("provider did not answer", key=key, error=type(error).__name__)
    return Unknown()


_TYPES: Mapping[str, TransactionType] = MappingProxyType(
    {
        "authorization": TransactionType.AUTHORIZE,
        "capture": TransactionType.CAPTURE,
        "void": TransactionType.VOID,
        "refund": TransactionType.REFUND,
    }
)


_UNREADABLE = (LookupError, TypeError, ValueError, DomainError)
"""What reading an answer raises that is not as it should be."""


def _page(found: Mapping[str, Any]) -> OperationPage:
    """Returns a page from JSON. Raises _UNREADABLE."""
    return OperationPage(
        operations=tuple(_operation(each) for each in found["operations"]),
        next_page=found["next_page"],
    )


def _operation(found: Mapping[str, Any]) -> ProviderOperation:
    """Returns an operation from JSON. Raises _UNREADABLE."""
    is_done = found["outcome"] == "succeeded"
    create_time = datetime.fromisoformat(found["create_time"])
    if create_time.tzinfo is None:
        raise ValueError("the time has no zone")
    return ProviderOperation(
        key=found["key"],
        type=_TYPES[found["type"]],
        follows=found["follows"],
        amount=Amount(**found["amount"]) if found["amount"] else None,
        outcome=(Succeeded if is_done else Declined)(found["reference"]),
        create_time=create_time,
    )


async def _outcome(answer: aiohttp.ClientResponse) -> Outcome:
    if not answer.ok:
        # It says that nothing was done now, not what became of an earlier call with this key.
        _log.error("provider refused to look at the call", status=answer.status)
        return Unknown()
    try:
        told = await answer.json()
    except ValueError:
        told = None
    match told:
        case {"outcome": "succeeded", "reference": str(reference)}:
            return Succeeded(reference)
        case {"outcome": "declined", "reference": str(reference)}:
            return Declined(reference)
        case _:
            _log.error("provider answered in an unknown form")
            return Unknown()
