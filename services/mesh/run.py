"""The one way to start a process of the mesh.

    # services/order/__main__.py
    run.main(app.PROCESS)

    python -m services.order [serve|migrate]

exits with 0 after a drain, 1 when serving failed, 2 when the command or the settings are wrong.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.mesh.app import App, Check, KeySource, Mesh, Worker
from services.mesh.settings import MeshSettings

__all__ = ["App", "Check", "KeySource", "Mesh", "Process", "Worker", "main"]

S = TypeVar("S", bound=MeshSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process(Generic[S]):
    """A service as a process.

    `name` is its identity in the mesh. `settings` is the dataclass read from the environment.
    `build` opens what the service needs, yields the app, and closes it again after the drain.
    `migrate` brings the service's store to the present schema; None if it has none.
    """

    name: str
    settings: type[S]
    build: Callable[[S, Mesh], AbstractAsyncContextManager[App]]
    migrate: Callable[[S], Awaitable[None]] | None = None


def main(process: Process[S], argv: Sequence[str] | None = None) -> None:
    """Run the process as the command line says and exit."""
    raise NotImplementedError
