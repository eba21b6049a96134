"""What is served: descriptors and bindings, and where they are read from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from google.api import http_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from gateway import upstream
from gateway.settings import Options
from gateway.transcoding import bindings, descriptors, reflection
from gateway.transcoding.bindings import Binding
from gateway.transcoding.descriptors import Descriptors, Faults
from gateway.transcoding.router import Router
from gateway.trust import Trust
from gateway.upstream import Link

Stamp = tuple[int, int, int]
"""What changes with a file, however it is replaced: inode, time of change, size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contracts:
    """What is served."""

    descriptors: Descriptors
    bindings: Sequence[Binding]
    router: Router[Binding]

    def services(self) -> set[str]:
        """Names the services that have a binding."""
        return {binding.method.service for binding in self.bindings}


class Sources:
    """The files of the command line, and the server to ask."""

    def __init__(self, options: Options, trust: Trust | None) -> None:
        self._options = options
        self._trust = trust
        config = options.service_config
        self._paths = options.descriptors if config is None else (*options.descriptors, config)

    def stamps(self) -> tuple[Stamp | None, ...]:
        """Tells the files' present states apart from others; None stands for a missing one."""
        return tuple(_stamp(path) for path in self._paths)

    async def fetch(self) -> FileDescriptorSet:
        """Asks the server for its descriptors; there are none without one. Raises Faults."""
        if self._options.reflect is None:
            return FileDescriptorSet()
        try:
            link = Link(
                address=self._options.reflect,
                trust=self._trust,
                max_message_bytes=self._options.max_message_bytes,
            )
            server = upstream.opened(self._options, link, {})
        except (OSError, ValueError) as error:
            raise Faults([f"--upstream-ca, -cert, -key: {error}"]) from None
        way = "in plaintext; --upstream-ca asks by TLS" if self._trust is None else "by TLS"
        try:
            return await reflection.fetch(server.transport)
        except Faults as error:
            asked = f"--reflect {self._options.reflect} ({way})"
            raise Faults(f"{asked}: {fault}" for fault in error.faults) from None
        finally:
            await server.close()

    def read(self, fetched: FileDescriptorSet) -> Contracts:
        """Makes contracts of the files and of what was fetched. Raises Faults.

        Takes seconds for thousands of routes.
        """
        files = descriptors.read_files(self._options.descriptors)
        files.MergeFrom(fetched)
        loaded = descriptors.from_set(files)
        overrides: Mapping[str, http_pb2.HttpRule] = {}
        if self._options.service_config is not None:
            overrides = bindings.read_service_config(self._options.service_config)
        read = bindings.read(loaded, overrides)
        return Contracts(descriptors=loaded, bindings=read, router=bindings.route(read))


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
