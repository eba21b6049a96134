"""Where a running mesh can be reached; `souk up` writes it when ready and removes it at the end."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from services.local.data_folder import DataFolder

_FILE = "endpoints.json"


class NotRunning(Exception):
    """No mesh is running on the data folder; the message says how to start one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """URLs and addresses of a running mesh.

    `gateway`: the REST base URL. `grpc`: `host:port` by service, the storefront included. `probes`:
    the plaintext health addresses by service, `metrics`: the `/metrics` addresses, the gateway's
    included.
    `postgres`: the administrator's URL. `certs`: the folder with the identities.
    `supervisor`: the process id of `souk up`.
    """

    gateway: str
    grpc: dict[str, str]
    probes: dict[str, str]
    metrics: dict[str, str]
    sandbox: str
    postgres: str
    redis: str
    mongo: str
    certs: str
    supervisor: int

    @property
    def certs_folder(self) -> Path:
        """The folder with the identities as a path."""
        return Path(self.certs)


def save(folder: DataFolder, endpoints: Endpoints) -> None:
    """Tells other commands that the mesh is ready."""
    folder.write(_FILE, asdict(endpoints))


def forget(folder: DataFolder) -> None:
    """Tells other commands that the mesh is not ready any more."""
    folder.remove(_FILE)


def load(folder: DataFolder) -> Endpoints:
    """Returns the endpoints of the mesh that runs on `folder`.

    Raises NotRunning when there is none.
    """
    content: dict[str, Any] | None = folder.read(_FILE)
    if content is None:
        message = f"no mesh is running on {folder.path}: start one with `souk up`"
        raise NotRunning(message)
    return Endpoints(**content)
