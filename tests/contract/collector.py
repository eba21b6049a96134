"""Takes exported spans, as OpenTelemetry's collector does, and keeps what they say in a file."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"


@contextmanager
def collecting(file: Path) -> Iterator[str]:
    """Collects until the block is left; yields the URL to export to."""
    with file.open("wb", buffering=0) as spans, ThreadPoolExecutor(1) as threads:

        def export(request: bytes, _context: Any) -> bytes:
            # All texts of a message are in its bytes as they are.
            spans.write(request)
            return b""

        server = grpc.server(threads)
        handler: Any = grpc.unary_unary_rpc_method_handler(export)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(_SERVICE, {"Export": handler}),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.stop(None).wait()
