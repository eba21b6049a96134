"""What the gateway is told: by its command line, and by the environment.

The command line says what is served and from where; it is all that a foreign set of protos needs.
The environment (`SOUK_*`) says how the process lives in the mesh, as for every other process.
"""

import argparse
import ipaddress
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

from gateway.transcoding.descriptors import Faults
from gateway.transcoding.percent import Decoding
from services.mesh.address import host_and_port
from services.mesh.setting_bounds import ZeroOrMore
from services.mesh.settings import MeshSettings, Secret, SettingsError

Command = Literal["serve", "openapi", "routes"]

NAME: Final = "gateway"
"""The gateway's identity in the mesh."""

# As browsers write it (RFC 6454 section 6.2); "null" is every page that hides where it is from.
_is_origin = re.compile(r"[a-z][a-z0-9+.\-]*://[a-z0-9.\-\[\]:]+").fullmatch

ANY_SERVICE: Final = "*"
"""The upstream of every service that has none of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings(MeshSettings):
    """The environment. `listen` is where services in the gateway's own process serve gRPC.

    `cors_origins`: the origins whose pages may call the gateway, or "*".
    `allowed_hosts`: the names that requests may have as their Host; any, if none is given.
    `hsts`: for how long browsers shall come by TLS alone, where a proxy in front speaks it.
    `trusted_proxies`: the networks, like 10.0.0.0/8, whose `forwarded_field` says who the client
    is, and whose `x-souk-partner` which partner; from anybody else they say nothing.
    `max_connections`: of HTTP, of one process; `max_connections_per_address`: of them, from one
    client address.
    `redis_url`: where the processes of the gateway share what callers have called; without it each
    counts alone.
    `rate_factor`: multiplies the numbers of the rate classes, for machines where all callers are
    one.
    `worker`: which of several processes on one port this is; their parent sets it.
    """

    listen: str = "127.0.0.1:50050"
    cors_origins: tuple[str, ...] = ()
    max_connections: int = 10_000
    max_connections_per_address: int = 1_000
    allowed_hosts: tuple[str, ...] = ()
    hsts: ZeroOrMore[timedelta | None] = None
    trusted_proxies: tuple[str, ...] = ()
    forwarded_field: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    redis_url: Secret | None = None
    rate_factor: float = 1
    worker: ZeroOrMore[int | None] = None

    def __post_init__(self) -> None:
        """Refuses what is no origin and no network."""
        faults = [
            f"SOUK_CORS_ORIGINS: {origin!r} is neither * nor an origin like https://shop.example"
            for origin in self.cors_origins
            if origin != "*" and not _is_origin(origin)
        ]
        for text in self.trusted_proxies:
            try:
                ipaddress.ip_network(text)
            except ValueError as error:
                faults.append(f"SOUK_TRUSTED_PROXIES: {error}")
        if faults:
            raise SettingsError(faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line."""

    command: Command
    descriptors: tuple[Path, ...] = ()
    reflect: str | None = None
    reflect_seconds: float = 30
    """How often the server is asked again; 0 means never."""
    service_config: Path | None = None
    upstreams: Mapping[str, str] = field(default_factory=dict)
    """`HOST:PORT` by the full name of a service, or by ANY_SERVICE."""
    listen: str = "127.0.0.1:8080"
    access: Literal["policy", "open"] = "policy"
    ignore_unknown_fields: bool = False
    decoding: Decoding = Decoding.EXCEPT_SLASH
    transport: Literal["native", "grpc-aio"] = "native"
    max_message_bytes: int = 4 * 1024 * 1024
    """Of each message that a service answers."""
    upstream_ca: Path | None = None
    upstream_cert: Path | None = None
    upstream_key: Path | None = None
    deadline_seconds: float = 60
    """Of unary calls of methods without a policy."""
    workers: int = 1
    """How many processes serve."""
    json: bool = False
    """Whether `routes` prints JSON."""


def of_worker(environment: GatewaySettings) -> GatewaySettings:
    """Gives each of several processes a port of its own for /metrics: it counts what it serves."""
    if not environment.worker or environment.metrics_listen is None:
        return environment
    host, _, port = environment.metrics_listen.rpartition(":")
    own = int(port) and int(port) + environment.worker
    return replace(environment, metrics_listen=f"{host}:{own}")


def parse(argv: Sequence[str] | None = None) -> Options:
    """Reads the command line.

    Exits with 2 where it is malformed, raises Faults where it is wrong.
    """
    given = vars(_parser().parse_args(argv))
    faults: list[str] = []
    given["descriptors"] = tuple(given["descriptors"])
    given["upstreams"] = _upstreams(given.pop("upstream", ()), faults)
    given["ignore_unknown_fields"] = given.pop("unknown_fields", "reject") == "ignore"
    given["decoding"] = Decoding(given.get("decoding", Decoding.EXCEPT_SLASH))
    options = Options(**given)
    if not options.descriptors and options.reflect is None:
        faults.append("give --descriptors, --reflect or both")
    faults.extend(_bad_address("--listen", options.listen))
    if options.reflect is not None:
        faults.extend(_bad_address("--reflect", options.reflect))
    if options.max_message_bytes <= 0:
        faults.append("--max-message-bytes: must be positive")
    if not 0 < options.deadline_seconds < math.inf:
        faults.append("--deadline-seconds: must be positive")
    if options.reflect_seconds < 0:
        faults.append("--reflect-seconds: must not be negative")
    if options.workers < 1:
        faults.append("--workers: expected at least 1")
    if (options.upstream_cert is None) != (options.upstream_key is None):
        faults.append("--upstream-cert and --upstream-key belong together")
    if options.upstream_cert is not None and options.upstream_ca is None:
        faults.append("--upstream-cert needs --upstream-ca: without it upstreams are plaintext")
    if faults:
        raise Faults(faults)
    return options


def _upstreams(pairs: Sequence[str], faults: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        service, equals, address = pair.partition("=")
        if not equals or not service:
            faults.append(f"--upstream {pair}: expected pkg.Service=HOST:PORT")
        elif service in found:
            faults.append(f"--upstream {pair}: {service} is given twice")
        else:
            faults.extend(_bad_address(f"--upstream {service}", address))
            found[service] = address
    return found


def _bad_address(option: str, address: str) -> list[str]:
    try:
        host_and_port(address)
    except ValueError as error:
        return [f"{option}: {error}"]
    return []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gateway",
        description="Serves gRPC services as HTTP/JSON, as their google.api.http annotations say.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="serve HTTP until SIGTERM",
        epilog="The environment says how the process lives: SOUK_LOG_FORMAT=console writes logs for"
        " people, SOUK_METRICS_LISTEN=HOST:PORT serves /metrics, SOUK_CORS_ORIGINS lets pages"
        " call; docs/gateway.md has the others.",
    )
    openapi = commands.add_parser("openapi", help="print the OpenAPI document")
    routes = commands.add_parser("routes", help="print what is routed where")
    for command in (serve, openapi, routes):
        _add_source(command)
    _add_serving(serve)
    routes.add_argument("--json", action="store_true", help="print JSON, one array")
    return parser


def _add_source(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        *("--descriptors", "-d"),
        metavar="FILE.binpb",
        type=Path,
        action="append",
        default=[],
        help="a FileDescriptorSet made with --include_imports; may be repeated",
    )
    command.add_argument(
        "--reflect", metavar="HOST:PORT", help="ask this server for its descriptors"
    )
    command.add_argument(
        "--service-config",
        metavar="FILE.yaml",
        type=Path,
        help="a google.api.Service whose http.rules override annotations",
    )
    tls = command.add_argument_group("TLS to upstreams, plaintext without")
    tls.add_argument(
        "--upstream-ca", metavar="FILE", type=Path, help="whom to trust: root certificates, PEM"
    )
    tls.add_argument("--upstream-cert", metavar="FILE", type=Path, help="what to show")
    tls.add_argument("--upstream-key", metavar="FILE", type=Path, help="its private key")


def _add_serving(serve: argparse.ArgumentParser) -> None:
    serve.add_argument(
        "--access",
        choices=("policy", "open"),
        default="policy",
        help="enforce souk.mesh.v1.policy and refuse methods without one, the default; or serve"
        " any method",
    )
    serve.add_argument(
        "--upstream",
        metavar="SERVICE=HOST:PORT",
        action="append",
        default=[],
        help="where a service is, by its full name, or * for every other; may be repeated",
    )
    serve.add_argument(
        "--listen",
        metavar="HOST:PORT",
        default="127.0.0.1:8080",
        help="where to serve HTTP (127.0.0.1:8080)",
    )
    serve.add_argument(
        "--workers",
        metavar="N",
        type=int,
        default=1,
        help="how many processes serve the address, one for each core (1)",
    )
    serve.add_argument(
        "--deadline-seconds",
        metavar="SECONDS",
        type=float,
        default=60,
        help="how long a unary call of a method without a policy may take (60); callers can ask"
        " for less",
    )
    serve.add_argument(
        "--unknown-fields",
        choices=("reject", "ignore"),
        default="reject",
        help="what to do with JSON members and query parameters that are no fields (reject)",
    )
    serve.add_argument(
        "--multi-segment-decoding",
        dest="decoding",
        choices=[each.value for each in Decoding],
        default=Decoding.EXCEPT_SLASH.value,
        help="which escapes stay in a path variable of several segments (except-slash)",
    )
    serve.add_argument(
        "--reflect-seconds",
        metavar="SECONDS",
        type=float,
        default=30,
        help="how often the server of --reflect is asked again (30), 0 for never",
    )
    serve.add_argument(
        "--max-message-bytes",
        metavar="BYTES",
        type=int,
        default=4 * 1024 * 1024,
        help="what one message of a service's answer may measure (4 MiB)",
    )
    serve.add_argument(
        "--transport",
        choices=("native", "grpc-aio"),
        default="native",
        help="how upstreams are called: by our own HTTP/2, the default, or by grpc.aio",
    )
