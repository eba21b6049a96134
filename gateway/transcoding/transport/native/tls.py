"""The TLS of connections: HTTP/2 by ALPN, the server's name checked, our certificate shown."""

import ssl
from pathlib import Path


def client_context(
    ca: bytes, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """Makes what a client trusts and shows; `ca` is PEM.

    Raises OSError if the files cannot be read, and ssl.SSLError, which is one, if they do not
    belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    context.load_verify_locations(cadata=ca.decode())
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context
