"""Writes what each container needs to know into a folder of its own.

    <root>/authority/      the data folder: authority, passwords, demo accounts; only for setup
    <root>/<service>/      ca.pem  cert.pem  key.pem, and each secret under its setting's name
    <root>/<store>/        what the store's own image reads at its first start
    <root>/kong/           likewise, and kong.yaml with the keys that verify access tokens

Whatever is there stays: a second run changes nothing but certificates that are due.
"""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from services.local import certs, credentials, databases, kong_keys, topology
from services.local.data_folder import DataFolder
from services.local.demo import accounts
from services.user import signing_keys

_KONG = "kong"
_IDENTITIES = (*topology.IDENTITIES, _KONG)
_KONG_CONFIGURATION = Path(__file__).parents[3] / "kong" / "kong.yaml"
# Nobody renews them while the containers run: `docker compose up` and `make k3d` do, given again.
_CERTIFICATE_LIFE = timedelta(days=30)
_CONTAINER_USER = 65532
_USERS = {"postgres": 999, "redis": 999, "mongo": 999, _KONG: 1000}
"""By the images of others, which change to these users before they read their secrets."""
_SETTINGS = {"postgres": "database_url", "redis": "redis_url", "mongo": "mongo_url"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Materials:
    """The materials below `root`. `domain` follows the stores' names: `.stores`, or nothing."""

    root: Path
    domain: str = ""

    @property
    def authority(self) -> DataFolder:
        """The folder from which all that is secret comes."""
        return DataFolder(self.root / "authority")

    @property
    def postgres_url(self) -> str:
        """The URL of the role that may make roles and databases."""
        return (
            f"postgresql://postgres:{self._secret('store/postgres')}@postgres{self.domain}/postgres"
        )

    def redis_url(self, address: str = "") -> str:
        """Returns the URL of Redis, by its name or at another address."""
        address = address or f"redis{self.domain}:6379"
        return f"redis://:{self._secret('store/redis')}@{address}/0"

    def prepare(self) -> list[str]:
        """Writes everything; returns the names of those for whom there is something."""
        folder = self.authority
        folder.check()
        folder.create()
        certs.ensure(folder.certs, _IDENTITIES, life=_CERTIFICATE_LIFE)
        signing = self.root / "user" / "signing_keys"
        _prepare_signing_keys(signing)
        given = self._by_container()
        given[_KONG]["kong.yaml"] = _kong_configuration(signing).encode()
        for name, files in given.items():
            for file, content in files.items():
                _write(self.root / name / file, content, _USERS.get(name, _CONTAINER_USER))
        return sorted(given)

    def _by_container(self) -> dict[str, dict[str, bytes]]:
        """Returns the files of each container, the signing keys aside."""
        given = {name: self._identity(name) for name in _IDENTITIES if name != "developer"}
        for service in topology.SERVICES:
            for store in service.stores:
                given[service.name][_SETTINGS[store]] = self._url(store, service.name).encode()
        given[_KONG]["redis-password"] = self._secret("store/redis").encode()
        given["gateway"]["redis_url"] = self.redis_url().encode()
        key, webhook = (
            self._secret(f"provider/{name}").encode() for name in ("api-key", "webhook")
        )
        given["payment"] |= {"provider_api_key": key, "provider_webhook_secret": webhook}
        given["sandbox"] |= {"sandbox_api_key": key, "sandbox_webhook_secret": webhook}
        admin = accounts.ensure(self.authority)["admin"]
        given["user"] |= {
            "bootstrap_admin_email": admin.email.encode(),
            "bootstrap_admin_password": admin.password.encode(),
        }
        return given | self._stores()

    def _url(self, store: str, service: str) -> str:
        """Returns the URL by which a service reaches a store; Redis has one user for all."""
        if store == "postgres":
            return databases.urls(self.postgres_url, self.authority, [service])[service]
        if store == "redis":
            return self.redis_url()
        return (
            f"mongodb://{service}:{self._secret('store/mongo')}@mongo{self.domain}:27017/{service}"
        )

    def _stores(self) -> dict[str, dict[str, bytes]]:
        redis = self._secret("store/redis")
        user = {
            "user": "product",
            "pwd": self._secret("store/mongo"),
            "roles": [{"role": "readWrite", "db": "product"}],
        }
        create = f"db.getSiblingDB('product').createUser({json.dumps(user)})\n"
        return {
            "postgres": {"password": self._secret("store/postgres").encode()},
            "redis": {"redis.conf": f"requirepass {redis}\nappendonly yes\n".encode()},
            "mongo": {
                "root-password": self._secret("store/mongo-root").encode(),
                "product.js": create.encode(),
            },
        }

    def _identity(self, name: str) -> dict[str, bytes]:
        folder = self.authority.certs
        pair: Mapping[str, str] = {"cert.pem": f"{name}.pem", "key.pem": f"{name}-key.pem"}
        files = {file: (folder / source).read_bytes() for file, source in pair.items()}
        return {"ca.pem": (folder / "ca.pem").read_bytes(), **files}

    def _secret(self, name: str) -> str:
        return credentials.ensure(self.authority, name)


def _kong_configuration(signing: Path) -> str:
    """Returns Kong's configuration with the public half of every signing key."""
    public = signing_keys.read(signing).public
    keys = [
        {"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": signing_keys.base64url(raw)}
        for kid, raw in public.items()
    ]
    configuration = _KONG_CONFIGURATION.read_text(encoding="utf-8")
    return kong_keys.declarative(configuration, kong_keys.credentials({"keys": keys}))


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
    temporary.touch(mode=0o600)
    temporary.write_bytes(content)
    _give(temporary, owner)
    temporary.replace(path)


def _give(path: Path, owner: int) -> None:
    """Hands the path to the user of a container, as only root can; others write for themselves."""
    if os.geteuid() == 0:
        os.chown(path, owner, owner)
