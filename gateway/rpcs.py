"""Decides which methods are served by their names, and makes what serves them.

of the services with a binding, or named by --upstream    every method
with --access open and --upstream '*=..'                  those of every other service, too
with --access policy                                      none that is internal
"""

import re
from collections.abc import Callable, Collection, Iterable
from typing import Final

from gateway.settings import ANY_SERVICE, Options
from gateway.transcoding.bindings import Binding
from gateway.transcoding.body import Limits
from gateway.transcoding.codec import Codec
from gateway.transcoding.descriptors import Descriptors, Method
from gateway.transcoding.json_message import JsonReader
from gateway.transcoding.router import Match, Router
from gateway.transcoding.rpc.endpoint import Shared, endpoints
from gateway.transcoding.rpc.message_codec import MessageCodec
from gateway.transcoding.rpc.server import RpcServer
from gateway.transcoding.terms import Terms
from gateway.transcoding.transport import Transport

# Health and reflection: for machines, which ask the service itself.
_OWN: Final = "grpc."


def services(options: Options, descriptors: Descriptors, bound: Collection[str]) -> set[str]:
    """Names the services to serve. `bound` are those with a binding."""
    found = set(bound)
    for service in descriptors.services():
        is_meant = ANY_SERVICE in options.upstreams and options.access == "open"
        if service in options.upstreams or (is_meant and not service.startswith(_OWN)):
            found.add(service)
    return found


def shared(
    options: Options, codec: Codec, denied_metadata: re.Pattern[str], secret: Collection[str]
) -> Shared:
    """Makes what every endpoint reads and writes by."""
    reader = JsonReader(codec=codec, ignore_unknown_fields=options.ignore_unknown_fields)
    return Shared(
        messages=MessageCodec(codec=codec, reader=reader),
        limits=Limits(),
        denied_metadata=denied_metadata,
        secret=secret,
    )


def server(
    methods: Iterable[Method],
    shared: Shared,
    transport: Callable[[str], Transport],
    terms: Callable[[Method], Terms],
    router: Router[Binding],
) -> RpcServer:
    """Makes what serves methods by their names, in front of the routes of `router`."""
    made = list(endpoints(methods, shared, transport, terms))
    paths = (endpoint.method.path for endpoint in made)
    return RpcServer(made, [path for path in paths if _is_bound(router, path)])


def _is_bound(router: Router[Binding], path: str) -> bool:
    return any(isinstance(router.match(method, path), Match) for method in ("GET", "POST"))
