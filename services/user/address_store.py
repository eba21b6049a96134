"""The queries over addresses."""

import dataclasses
import json
from typing import Any
from uuid import UUID

import asyncpg

from services.mesh.database import Database
from services.user.domain import (
    MOST_ADDRESSES,
    Address,
    AddressNotFound,
    PostalAddress,
    TooManyAddresses,
    UserNotFound,
)

_ADDRESS = "address_id, label, postal_address, create_time"


class AddressStore:
    """Addresses."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def insert(
        self, address_id: UUID, *, user_id: UUID, label: str, postal_address: PostalAddress
    ) -> Address:
        """Add an address to the user's. Raises UserNotFound, TooManyAddresses."""
        async with self._db.transaction() as conn:
            # Locking the user makes two additions at once count one after the other.
            if not await conn.fetchval(
                "SELECT true FROM users WHERE user_id = $1 FOR UPDATE", user_id
            ):
                raise UserNotFound("there is no such user")
            count = await conn.fetchval(
                "SELECT count(*) FROM addresses WHERE user_id = $1", user_id
            )
            if count >= MOST_ADDRESSES:
                raise TooManyAddresses(
                    f"an account can have {MOST_ADDRESSES} addresses; delete one first"
                )
            row = await conn.fetchrow(
                f"""
                INSERT INTO addresses (address_id, user_id, label, postal_address)
                VALUES ($1, $2, $3, $4::jsonb)
                RETURNING {_ADDRESS}
                """,  # noqa: S608  # only our own column names
                address_id,
                user_id,
                label,
                json.dumps(dataclasses.asdict(postal_address)),
            )
        return _address(row)

    async def page(self, user_id: UUID, *, before: UUID | None, size: int) -> list[Address]:
        """Return up to `size` addresses, the newest first, those before `before` in that order."""
        async with self._db.connection() as conn:
            rows = await conn.fetch(
                f"""
                SELECT {_ADDRESS} FROM addresses
                WHERE user_id = $1 AND ($2::uuid IS NULL OR address_id < $2)
                ORDER BY address_id DESC LIMIT $3
                """,  # noqa: S608  # only our own column names
                user_id,
                before,
                size,
            )
        return [_address(row) for row in rows]

    async def delete(self, address_id: UUID, *, user_id: UUID) -> None:
        """Delete one of the user's addresses. Raises AddressNotFound."""
        async with self._db.connection() as conn:
            deleted = await conn.fetchval(
                "DELETE FROM addresses WHERE address_id = $1 AND user_id = $2 RETURNING true",
                address_id,
                user_id,
            )
        if not deleted:
            raise AddressNotFound("there is no such address")


def _address(row: "asyncpg.Record | None") -> Address:
    if row is None:
        raise AddressNotFound("there is no such address")
    place: dict[str, Any] = json.loads(row["postal_address"])
    place["address_lines"] = tuple(place["address_lines"])
    place["recipients"] = tuple(place["recipients"])
    return Address(
        address_id=UUID(int=row["address_id"].int),
        label=row["label"],
        postal_address=PostalAddress(**place),
        create_time=row["create_time"],
    )
