"""moto's server: AWS on loopback, with S3 and STS, over real HTTP.

It comes with `make tools`, in an environment of its own (`tests.platform.tools`).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.local import ports, readiness
from services.local.program import Program, running

SERVER = Path(__file__).parents[1] / ".tools" / "bin" / "moto_server"
REGION = "eu-central-1"


@asynccontextmanager
async def server(folder: Path, **environment: str) -> AsyncIterator[str]:
    """Runs a server and yields its URL; skips the test where it is not installed."""
    if not SERVER.exists():
        pytest.skip("moto_server is not installed (make tools)")
    port = ports.free()[0]
    address = ports.address(port)
    described = Program(
        name="moto",
        argv=(str(SERVER), "--host", ports.LOOPBACK, "--port", str(port)),
        environment={"AWS_DEFAULT_REGION": REGION, **environment},
        check=lambda: readiness.check_http(address, "/moto-api/"),
        log=folder / "moto.log",
    )
    async with running(described):
        yield f"http://{address}"
