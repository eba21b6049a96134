"""Serves what the API server calls: over HTTPS, with a certificate of the cluster's authority."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from services.local import certs, ports


@asynccontextmanager
async def serving(app: web.Application, folder: Path, name: str) -> AsyncIterator[int]:
    """Serves on a free port, which it gives, until the block is left.

    `folder` holds the authority; the certificate is for `name` and 127.0.0.1.
    """
    port = ports.free()[0]
    certs.ensure(folder, [name])
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / f"{name}.pem", folder / f"{name}-key.pem")
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, ports.LOOPBACK, port, ssl_context=tls).start()
        yield port
    finally:
        await runner.cleanup()
