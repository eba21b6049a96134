"""The product service's documents, as BSON one after the other, by the driver alone."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.database import Database

_DATABASE = "product"
_TIMEOUT_SECONDS = 1800
_BATCH = 500
_OPTIONS: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)


async def dump(url: str, into: Path) -> None:
    """Writes every collection to a file of its own. Raises pymongo's errors."""
    into.mkdir()
    await asyncio.wait_for(asyncio.to_thread(_dump, url, into), _TIMEOUT_SECONDS)


async def restore(url: str, source: Path) -> None:
    """Replaces what the database holds by what the files hold. Raises pymongo's errors."""
    await asyncio.wait_for(asyncio.to_thread(_restore, url, source), _TIMEOUT_SECONDS)


def _dump(url: str, into: Path) -> None:
    with _client(url) as client:
        database = _database(client)
        for name in sorted(database.list_collection_names()):
            with (into / f"{name}.bson").open("wb") as file:
                for document in database.get_collection(name, _OPTIONS).find():
                    file.write(document.raw)


def _restore(url: str, source: Path) -> None:
    with _client(url) as client:
        database = _database(client)
        for name in database.list_collection_names():
            database.drop_collection(name)
        for path in sorted(source.glob("*.bson")):
            collection = database.get_collection(path.stem, _OPTIONS)
            for batch in _batches(path):
                collection.insert_many(batch)


def _batches(path: Path) -> Iterator[list[RawBSONDocument]]:
    with path.open("rb") as file:
        batch: list[RawBSONDocument] = []
        for document in bson.decode_file_iter(file, _OPTIONS):
            batch.append(document)
            if len(batch) == _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


def _client(url: str) -> MongoClient[Any]:
    return MongoClient(url, serverSelectionTimeoutMS=10_000)


def _database(client: MongoClient[Any]) -> Database[Any]:
    return client.get_default_database(_DATABASE)
