"""The TLS of connections: HTTP/2 by ALPN, the server's name checked, our certificate shown."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import NamedTemporaryFile
from typing import IO


def client_context(ca: bytes, certificate: bytes = b"", key: bytes = b"") -> ssl.SSLContext:
    """Makes what a client trusts and shows, all of it PEM.

    Raises ssl.SSLError if certificate and key do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    context.load_verify_locations(cadata=ca.decode())
    if certificate:
        # Python loads a pair from files alone, and those it was read from may have changed since.
        with _private_file() as (file, path):
            file.write(key + b"\n" + certificate)
            file.flush()
            context.load_cert_chain(path)
    return context


@contextmanager
def _private_file() -> Iterator[tuple[IO[bytes], str]]:
    """Lends a file that nobody else may read, and its path; in memory where the system has such."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("pair"), "wb") as file:
            yield file, f"/proc/self/fd/{file.fileno()}"
    else:
        with NamedTemporaryFile() as named:
            yield named, named.name
