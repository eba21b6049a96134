"""A method that is served by its name, and what its calls share with all others."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from gateway.transcoding.body import Limits
from gateway.transcoding.descriptors import Method
from gateway.transcoding.http import HttpRequest
from gateway.transcoding.rpc import call_metadata
from gateway.transcoding.rpc.message_codec import MessageCodec
from gateway.transcoding.terms import Terms
from gateway.transcoding.transport import Call, Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What every endpoint reads and writes by."""

    messages: MessageCodec
    limits: Limits
    denied_metadata: re.Pattern[str] | None = None
    """Metadata keys that a client must not set, besides those nobody lets it set."""
    secret: Collection[str] = ()
    """The full names of methods whose answers are not compressed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A method that is served by its name."""

    shared: Shared
    method: Method
    transport: Transport
    terms: Terms

    @property
    def packs(self) -> bool:
        """Whether answers may be compressed."""
        return self.method.full_name not in self.shared.secret

    async def admitted(self, request: HttpRequest, timeout_seconds: float | None) -> Call:
        """Gives the call to make. Raises StatusError if the client may not make it."""
        if self.terms.admission is not None:
            await self.terms.admission.admit(request)
        denied = self.shared.denied_metadata
        return Call(
            path=self.method.path,
            metadata=call_metadata.from_request(request, denied),
            timeout_seconds=timeout_seconds,
        )


def endpoints(
    methods: Iterable[Method],
    shared: Shared,
    transport: Callable[[str], Transport],
    terms: Callable[[Method], Terms],
) -> Iterator[Endpoint]:
    """Makes the endpoints of methods. `transport` reaches a service by its full name."""
    for method in methods:
        yield Endpoint(
            shared=shared, method=method, transport=transport(method.service), terms=terms(method)
        )
