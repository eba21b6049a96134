"""A binding with all that is built for it at start."""

from dataclasses import dataclass

from gateway.transcoding.bindings import Binding
from gateway.transcoding.request import RequestBinder
from gateway.transcoding.response import ResponseWriter
from gateway.transcoding.terms import Terms
from gateway.transcoding.transport import Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Who reads a binding's requests, makes its calls and writes its answers."""

    binding: Binding
    binder: RequestBinder
    writer: ResponseWriter
    transport: Transport
    terms: Terms

    name: str
    """Of the method, in full."""
    path: str
    """Of the method on the wire."""
    is_stream: bool
    """Whether more than one message may go either way."""
