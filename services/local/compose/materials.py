"""Writes what each container needs to know into a folder of its own.

    <root>/authority/      the data folder: authority, passwords, demo accounts; only for setup
    <root>/<service>/      ca.pem  cert.pem  key.pem  database-url  redis-url  …
    <root>/<store>/        what the store's own image reads at its first start

Whatever is there stays: a second run changes nothing but certificates that are due.
"""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from services.local import certs, credentials, topology
from services.local.data_folder import DataFolder
from services.local.demo import accounts
from services.user import signing_keys

AUTHORITY = "authority"
STORES = ("postgres", "redis", "mongo")

_CONTAINER_USER = 65532
_STORES_USER = {"postgres": 999, "redis": 999, "mongo": 999}
"""By the images of the stores, which change to these users before they read their secrets."""


def authority(root: Path) -> DataFolder:
    """Returns the folder from which all that is secret comes."""
    return DataFolder(root / AUTHORITY)


def prepare(root: Path) -> list[str]:
    """Writes all materials below `root`; returns the names of the containers that have some."""
    folder = authority(root)
    folder.check()
    folder.create()
    certs.ensure(folder.certs, topology.IDENTITIES)
    given = _by_container(folder)
    for name, files in given.items():
        owner = _STORES_USER.get(name, _CONTAINER_USER)
        for file, content in files.items():
            _write(root / name / file, content, owner)
    _prepare_signing_keys(root / "user" / "signing-keys")
    return sorted(given)


def postgres_url(folder: DataFolder) -> str:
    """Returns the URL of the role that may make roles and databases."""
    return f"postgresql://postgres:{credentials.ensure(folder, 'store/postgres')}@postgres/postgres"


def _by_container(folder: DataFolder) -> dict[str, dict[str, bytes]]:
    """Returns each container's files, the signing keys aside."""
    given: dict[str, dict[str, bytes]] = {
        name: _identity(folder, name) for name in topology.IDENTITIES if name != "developer"
    }
    for service in topology.SERVICES:
        for store in service.stores:
            url = store_url(folder, store, service.name)
            given[service.name][_URL_FILES[store]] = url.encode()
    api_key = credentials.ensure(folder, "provider/api-key").encode()
    webhook = credentials.ensure(folder, "provider/webhook").encode()
    for name in ("payment", "sandbox"):
        given[name] |= {"provider-api-key": api_key, "provider-webhook-secret": webhook}
    admin = accounts.ensure(folder)["admin"]
    given["user"]["bootstrap-admin-password"] = admin.password.encode()
    return given | _stores(folder)


_URL_FILES = {"postgres": "database-url", "redis": "redis-url", "mongo": "mongo-url"}


def store_url(folder: DataFolder, store: str, service: str) -> str:
    """Returns the URL by which a service reaches a store; only PostgreSQL tells services apart."""
    if store == "postgres":
        password = credentials.ensure(folder, f"database/{service}")
        return f"postgresql://souk_{service}:{password}@postgres/souk_{service}"
    password = credentials.ensure(folder, f"store/{store}")
    if store == "redis":
        return f"redis://:{password}@redis:6379/0"
    return f"mongodb://{service}:{password}@mongo:27017/{service}"


def _stores(folder: DataFolder) -> dict[str, dict[str, bytes]]:
    redis = credentials.ensure(folder, "store/redis")
    mongo = {
        "user": "product",
        "pwd": credentials.ensure(folder, "store/mongo"),
        "roles": [{"role": "readWrite", "db": "product"}],
    }
    return {
        "postgres": {"password": credentials.ensure(folder, "store/postgres").encode()},
        "redis": {"redis.conf": f"requirepass {redis}\nappendonly yes\n".encode()},
        "mongo": {
            "root-password": credentials.ensure(folder, "store/mongo-root").encode(),
            "product.js": (
                f"db.getSiblingDB('product').createUser({json.dumps(mongo)})\n".encode()
            ),
        },
    }


def _identity(folder: DataFolder, name: str) -> dict[str, bytes]:
    pair: Mapping[str, str] = {"cert.pem": f"{name}.pem", "key.pem": f"{name}-key.pem"}
    files = {file: (folder.certs / source).read_bytes() for file, source in pair.items()}
    return {"ca.pem": (folder.certs / "ca.pem").read_bytes(), **files}


def _prepare_signing_keys(folder: Path) -> None:
    if (folder / "current").exists():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    signing_keys.create(folder, secrets.token_hex(8))
    for path in (folder, *folder.iterdir()):
        _give(path, _CONTAINER_USER)


def _write(path: Path, content: bytes, owner: int) -> None:
    """Replaces the file as a whole if it has another content; only `owner` can read it."""
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _give(path.parent, owner)
    temporary = path.with_name(f".{path.name}")
    temporary.touch(mode=0o400)
    temporary.write_bytes(content)
    _give(temporary, owner)
    temporary.replace(path)


def _give(path: Path, owner: int) -> None:
    os.chown(path, owner, owner)
