"""MongoDB, through the operations that every server we run on has in common.

MongoDB               in compose and in clusters
the embedded server   by `make up` and in tests (services/local/stores/mongo.py)

One document is the unit of atomicity: no transactions, `$text`, positional operators or array
filters. `findAndModify` is left out, since the embedded server reports its failures as "no match".
Times are whole milliseconds, since that server cannot sort dates.

| what fails                               | becomes          |
|------------------------------------------|------------------|
| no server, or it was lost                | Unavailable      |
| it took too long                         | DeadlineExceeded |
| a unique key is taken                    | False            |

A write that was lost may stand all the same. Against a replica set the driver repeats it under its
transaction number, so that it happens once; elsewhere it is never repeated.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import pymongo
import structlog
from motor.motor_asyncio import (
    AsyncIOMotorClient,
    AsyncIOMotorCollection,
    AsyncIOMotorDatabase,
)
from pymongo import ASCENDING, IndexModel
from pymongo.errors import (
    CollectionInvalid,
    ConnectionFailure,
    DuplicateKeyError,
    NetworkTimeout,
    PyMongoError,
)

from services.mesh import background, rotation
from services.mesh.errors import DeadlineExceeded, DomainError, Unavailable
from services.mesh.settings import Secret

Document: TypeAlias = dict[str, Any]
Filter: TypeAlias = Mapping[str, Any]

_log = structlog.get_logger(__name__)

_DATABASE = "product"
_RETRY_AFTER = timedelta(milliseconds=200)
_MIGRATE_SECONDS = 100  # a service that sees to it at its start has two minutes to start
_FAREWELL_SECONDS = 1
_SORT_KEYS = ("create_ms", "title_key", "price_minor", "stock")

# The id that breaks ties is not in them: the embedded server cannot index it.
_INDEXES = (
    IndexModel([("sku", ASCENDING)], name="sku", unique=True),
    IndexModel([("tags", ASCENDING)], name="tags"),
    IndexModel([("due_ms", ASCENDING)], name="due"),
    *(IndexModel([("state", ASCENDING), (key, ASCENDING)], name=key) for key in _SORT_KEYS),
)


class Collection:
    """A collection of documents with text ids."""

    def __init__(self, collection: Callable[[], AsyncIOMotorCollection[Document]]) -> None:
        """`collection` gives that of the client in use."""
        self._current = collection

    @property
    def _collection(self) -> AsyncIOMotorCollection[Document]:
        return self._current()

    async def find_one(
        self, filter_: Filter, projection: Mapping[str, int] | None = None
    ) -> Document | None:
        """Return a document that meets the filter, None if there is none."""
        with _failures():
            return await self._collection.find_one(filter_, projection)

    async def find(
        self,
        filter_: Filter,
        projection: Mapping[str, int] | None = None,
        *,
        sort: Sequence[tuple[str, int]] = (),
        limit: int,
    ) -> list[Document]:
        """Return at most `limit` documents that meet the filter."""
        with _failures():
            cursor = self._collection.find(filter_, projection, limit=limit)
            return await (cursor.sort(list(sort)) if sort else cursor).to_list(limit)

    async def insert(self, document: Document) -> bool:
        """Add a document; return False if one of its unique keys is taken."""
        with _failures():
            try:
                await self._collection.insert_one(document)
            except DuplicateKeyError:
                return False
        return True

    async def update(self, filter_: Filter, change: Mapping[str, Any]) -> bool:
        """Change a document that meets the filter, as one step; return False if none does."""
        with _failures():
            result = await self._collection.update_one(filter_, change)
        return result.matched_count > 0

    async def delete(self, document_id: str) -> None:
        """Remove the document with this id, if there is one."""
        with _failures():
            await self._collection.delete_one({"_id": document_id})


class Database:
    """The service's own database. Made by `connect`."""

    def __init__(self, database: AsyncIOMotorDatabase[Document]) -> None:
        self._database = database
        self.products = Collection(lambda: self._database["products"])
        self.commitments = Collection(lambda: self._database["commitments"])

    def exchange(self, database: AsyncIOMotorDatabase[Document]) -> AsyncIOMotorDatabase[Document]:
        """Let operations from now on go to another client's; returns that of before."""
        former, self._database = self._database, database
        return former

    async def now(self) -> datetime:
        """Return the server's time, by which everything here is decided."""
        with _failures():
            # Asked of `admin`, since the embedded server serves a database's calls one by one.
            answer = await self._database.client.admin.command("hello")
        time: datetime = answer["localTime"]
        return time.replace(tzinfo=UTC)

    async def close(self) -> None:
        """Hang up."""
        await _hang_up(self._database)

    async def ready(self) -> None:
        """Return if the database answers; raises Unavailable or DeadlineExceeded otherwise."""
        with _failures():
            await self._database.command("ping")

    async def migrate(self) -> None:
        """Create what is missing of collections and indexes; done again, it changes nothing.

        An index of a large collection takes longer than an operation may: cut off, it would be
        given up by the server, and never be built.
        """
        with _failures(), pymongo.timeout(_MIGRATE_SECONDS):
            await self._database["products"].create_indexes(list(_INDEXES))
            try:
                await self._database.create_collection("commitments")
            except CollectionInvalid:
                _log.debug("the collections are there")


@asynccontextmanager
async def connect(
    url: Secret | str, *, operation_timeout: timedelta, name: str
) -> AsyncIterator[Database]:
    """Give the database that `url` names, else `product`; it connects when first used.

    Every operation but `migrate` ends within `operation_timeout`. `name` is what the server's logs
    show. When the URL comes from a file and changes, operations from then on go to a new client.
    """

    def opened(text: str) -> AsyncIOMotorDatabase[Document]:
        client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
            text, timeoutMS=operation_timeout // timedelta(milliseconds=1), appname=name
        )
        return client.get_default_database(_DATABASE)

    db = Database(opened(url if isinstance(url, str) else url.reveal()))
    async with background.Tasks() as retiring:

        async def exchange(text: str) -> None:
            fresh = opened(text)
            try:
                # A command that only those may give who are let in.
                await fresh.list_collection_names()
            except BaseException:
                await _hang_up(fresh)
                raise
            retiring.add(_retire(db.exchange(fresh), operation_timeout), name="retired client")

        try:
            async with rotation.following(url, exchange, name="mongodb"):
                yield db
        finally:
            await db.close()


async def _retire(former: AsyncIOMotorDatabase[Document], operation_timeout: timedelta) -> None:
    """Close a client when the operations begun on it have ended."""
    try:
        await asyncio.sleep(max(operation_timeout.total_seconds() * 2, rotation.DRAIN_SECONDS))
    finally:
        await _hang_up(former)


async def _hang_up(database: AsyncIOMotorDatabase[Document]) -> None:
    """Close a client in a thread: it says farewell, and waits for who may not answer any more."""
    with pymongo.timeout(_FAREWELL_SECONDS):
        await asyncio.to_thread(database.client.close)


@contextmanager
def _failures() -> Iterator[None]:
    """Say what a failure of the driver means to a caller."""
    try:
        yield
    except PyMongoError as error:
        mapped = _domain_error(error)
        if mapped is None:
            raise
        raise mapped from error


def _domain_error(error: PyMongoError) -> DomainError | None:
    if isinstance(error, NetworkTimeout) or (
        error.timeout and not isinstance(error, ConnectionFailure)
    ):
        return DeadlineExceeded("the database took too long")
    if isinstance(error, ConnectionFailure):
        _log.warning("database unavailable", error=f"{type(error).__name__}: {error}")
        return Unavailable("the database cannot be reached", retry_after=_RETRY_AFTER)
    return None
