"""Copies of what a run has left, for a test to break by hand."""

import itertools
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
from motor.motor_asyncio import AsyncIOMotorClient
from redis.asyncio import Redis

from tests.chaos.books import STREAM
from tests.chaos.sources import Sources

_DATABASES = ("order", "payment", "notification")
_COLLECTIONS = ("products", "commitments")
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """A copy of all stores, the ledger and the history."""

    sources: Sources
    history: Path

    async def sql(self, service: str, statement: str) -> None:
        """Changes a service's database, whatever its triggers and constraints say."""
        conn = await asyncpg.connect(self.sources.database(service))
        try:
            await conn.execute("SET session_replication_role = replica")
            done = await conn.execute(statement)
        finally:
            await conn.close()
        assert not done.endswith(" 0"), f"nothing to break: {statement}"

    def ledger(self, statement: str) -> None:
        """Changes the payment provider's ledger."""
        with closing(sqlite3.connect(self.sources.ledger)) as connection, connection:
            assert connection.execute(statement).rowcount, f"nothing to break: {statement}"

    async def product(self, change: Callable[[dict[str, Any]], Mapping[str, Any] | None]) -> None:
        """Changes the first product for which `change` returns an update."""
        client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(self.sources.mongo)
        try:
            products = client[self.sources.mongo_database]["products"]
            for product in await products.find().to_list(None):
                update = change(product)
                if update is not None:
                    await products.update_one({"_id": product["_id"]}, update)
                    return
        finally:
            client.close()
        raise AssertionError("nothing to break")

    async def stream(self, change: Callable[["Redis"], Any]) -> None:
        """Changes the event stream: `change` gets a client and returns what is to be awaited."""
        async with Redis.from_url(self.sources.redis) as redis:
            await change(redis)

    def tell(self, line: str) -> None:
        """Adds a line to the history."""
        with self.history.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


@asynccontextmanager
async def copied(sources: Sources, history: Path, folder: Path) -> AsyncIterator[Scratch]:
    """Copies everything into places of its own, and forgets the databases again at the end."""
    number = next(_numbers)
    prefix = f"scratch{number}_"
    conn = await asyncpg.connect(sources.postgres)
    try:
        for service in _DATABASES:
            await conn.execute(f"CREATE DATABASE {prefix}{service} TEMPLATE souk_{service}")
        ledger, told = folder / "ledger.sqlite3", folder / "history.ndjson"
        _copy_ledger(sources.ledger, ledger)
        shutil.copyfile(history, told)
        yield Scratch(
            sources=replace(
                sources,
                prefix=prefix,
                mongo_database=await _copy_documents(sources, number),
                redis=await _copy_stream(sources, number),
                ledger=ledger,
            ),
            history=told,
        )
    finally:
        for service in _DATABASES:
            await conn.execute(f"DROP DATABASE IF EXISTS {prefix}{service} WITH (FORCE)")
        await conn.close()


def _copy_ledger(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


async def _copy_documents(sources: Sources, number: int) -> str:
    name = f"scratch{number}"
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(sources.mongo)
    try:
        for collection in _COLLECTIONS:
            documents = await client[sources.mongo_database][collection].find().to_list(None)
            if documents:
                await client[name][collection].insert_many(documents)
    finally:
        client.close()
    return name


async def _copy_stream(sources: Sources, number: int) -> str:
    database = str(1 + number % 15)
    async with Redis.from_url(sources.redis) as redis:
        await redis.copy(STREAM, STREAM, destination_db=database, replace=True)
    return f"{sources.redis.rpartition('/')[0]}/{database}"
