"""A server for Connect's conformance suite: the gateway in front of the suite's own server.

    connectconformance --mode server --
        python -m tests.integration.gateway.connect_conformance.server TOOLS

TOOLS is the folder with `referenceserver` and with `conformance.binpb`, the suite's contract. As
the suite wants it, what server it asks for comes on standard input, where the server is goes to
standard output, and SIGTERM ends it.
"""

import asyncio
import json
import signal
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.transcoding import descriptors
from tests.integration.gateway.process import running

_LENGTH = struct.Struct(">I")
_GATEWAY = "tests.integration.gateway.connect_conformance.gateway"
_PACKAGE = "connectrpc.conformance.v1"


@asynccontextmanager
async def backend(tools: Path, limit_bytes: int) -> AsyncIterator[str]:
    """Runs the suite's server for gRPC, which takes messages up to a limit; yields its address."""
    process = await asyncio.create_subprocess_exec(
        *(tools / "referenceserver", "-json"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    wanted = {
        "protocol": "PROTOCOL_GRPC",
        "httpVersion": "HTTP_VERSION_2",
        "messageReceiveLimit": limit_bytes,
    }
    process.stdin.write(json.dumps(wanted).encode())
    process.stdin.close()
    try:
        text = b""
        async with asyncio.timeout(30):
            while b"}" not in text:
                text += await process.stdout.read(1000)
        where = json.loads(text)
        yield f"{where['host']}:{where['port']}"
    finally:
        process.terminate()
        await process.wait()


async def serve(tools: Path) -> None:
    """Runs both until SIGTERM."""
    contract = tools / "conformance.binpb"
    messages: Any = descriptors.from_set(descriptors.read_files([contract]))
    [length] = _LENGTH.unpack(sys.stdin.buffer.read(_LENGTH.size))
    wanted = messages.message_class(f"{_PACKAGE}.ServerCompatRequest").FromString(
        sys.stdin.buffer.read(length)
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with backend(tools, wanted.message_receive_limit) as address:
        arguments = ("--descriptors", str(contract), "--upstream", f"*={address}")
        async with running(*arguments, "--access", "open", module=_GATEWAY) as gateway:
            response = messages.message_class(f"{_PACKAGE}.ServerCompatResponse")
            told = response(host=gateway.host, port=gateway.port).SerializeToString()
            sys.stdout.buffer.write(_LENGTH.pack(len(told)) + told)
            sys.stdout.buffer.flush()
            await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
