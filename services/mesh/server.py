"""Serves an app: its RPCs behind the interceptors, health and reflection beside them.

listen          gRPC over mTLS: the app, health, reflection
probe_listen    gRPC in plaintext: health alone, since Kubernetes' probes speak no TLS
metrics_listen  HTTP: /metrics
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health_pb2_grpc

from services.mesh import (
    background,
    certificate_metrics,
    certificates,
    jwks,
    metrics,
    reflection,
    tls,
)
from services.mesh.access_token import Verifier
from services.mesh.address import CannotListen, host_and_port, is_loopback
from services.mesh.app import App, Mesh
from services.mesh.concurrency_limit import ConcurrencyLimit
from services.mesh.handlers import Handlers
from services.mesh.health import Health
from services.mesh.in_flight import InFlight
from services.mesh.interceptors import Interceptor
from services.mesh.interceptors.admission import admission
from services.mesh.interceptors.deadline import deadline
from services.mesh.interceptors.decoding import decoding
from services.mesh.interceptors.errors import errors
from services.mesh.interceptors.identity import certified_peers, claimed_peer, identity
from services.mesh.interceptors.metadata_size import metadata_size
from services.mesh.interceptors.policy import policy
from services.mesh.interceptors.stream_limit import stream_limit
from services.mesh.interceptors.telemetry import telemetry
from services.mesh.interceptors.token_life import token_life
from services.mesh.interceptors.validation import validation
from services.mesh.settings import MeshSettings, SettingsError

MAX_MESSAGE_BYTES = 256 * 1024
MAX_METADATA_BYTES = 8 * 1024

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.max_concurrent_streams", 1000),
    # Two processes on one port would share the calls by chance; the second shall fail instead.
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    # Connections end now and then, so that a withdrawn certificate does not live on in one, and so
    # that clients look up the addresses anew (gRFC A9).
    ("grpc.max_connection_age_ms", 1_800_000),
    ("grpc.max_connection_age_grace_ms", 300_000),
)
SETTLING_SECONDS = 5.0
_FOR_EVER_SECONDS = 86_400.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where a process answers, with the ports it really has."""

    address: str
    probe_address: str
    metrics_port: int | None


@asynccontextmanager
async def serving(app: App, mesh: Mesh) -> AsyncIterator[Listening]:
    """Serve `app` until the block is left, then drain: not ready, wait, let the calls end.

    Raises ContractError, SettingsError or CannotListen.
    """
    settings = mesh.settings
    in_flight = InFlight()
    metrics.count_in_flight(in_flight.__len__)
    certificate_metrics.publish()
    services = [service.full_name for service in app.servicers]
    health = Health(services, app.checks)
    await health.begin()
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers(
        (
            Handlers(app.servicers, _interceptors(app, mesh, in_flight)),
            *reflection.handlers(services),
        )
    )
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
    address = _listen(server, mesh)
    probe = grpc.aio.server(options=_OPTIONS)
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, probe)
    probe_address = _bind(probe, settings.probe_listen, None)
    async with metrics.listening(settings.metrics_listen) as metrics_port:
        await server.start()
        await probe.start()
        await health.update()
        _log.info("serving", address=address, probe=probe_address, metrics_port=metrics_port)
        try:
            async with background.running(health.watch(), name="health"):
                yield Listening(
                    address=address, probe_address=probe_address, metrics_port=metrics_port
                )
        finally:
            await _drain(server, health, in_flight, settings)
            await probe.stop(None)


def _interceptors(app: App, mesh: Mesh, in_flight: InFlight) -> Sequence[Interceptor]:
    settings = mesh.settings
    return (
        in_flight.tracked,
        telemetry,
        errors,
        in_flight.ended_by_drain,
        metadata_size(MAX_METADATA_BYTES),
        admission(ConcurrencyLimit(highest=settings.max_concurrency)),
        identity(
            claimed_peer if settings.tls == "off" else certified_peers(), _verifier(app, mesh)
        ),
        stream_limit(settings.max_streams_per_caller),
        token_life,
        decoding,
        policy(frozenset(settings.edge_services)),
        deadline,
        validation,
    )


def _verifier(app: App, mesh: Mesh) -> Verifier:
    settings = mesh.settings
    source = app.keys or jwks.remote_keys(_asking(mesh, settings.jwks_method))
    keys = jwks.KeySet(source)
    verifier = Verifier(keys.key, issuer=settings.token_issuer, audience=settings.token_audience)
    keys.on_withdrawal(verifier.forget)
    return verifier


def _asking(mesh: Mesh, method: str) -> jwks.Ask:
    call = mesh.channel(_service_of(method)).unary_unary(
        method, request_serializer=bytes, response_deserializer=bytes
    )

    async def ask() -> bytes:
        try:
            answer: bytes = await call(b"")
        except grpc.aio.AioRpcError as error:
            raise jwks.NotAnswered(repr(error)) from error
        return answer

    return ask


def _service_of(method: str) -> str:
    """Return `user` for `/souk.user.v1.UserService/GetJwks`."""
    package, _, _ = method.removeprefix("/").rpartition("/")[0].rpartition(".")
    return package.split(".")[-2]


def _listen(server: grpc.aio.Server, mesh: Mesh) -> str:
    settings = mesh.settings
    files = certificates.credential_files(settings)
    if files is not None:
        # Handshakes look for themselves; metrics tell of what was looked at.
        mesh.follow(files)
    if files is None and not is_loopback(settings.listen):
        raise SettingsError([f"SOUK_TLS is off, so SOUK_LISTEN={settings.listen} must be loopback"])
    return _bind(server, settings.listen, files)


def _bind(server: grpc.aio.Server, address: str, files: certificates.CredentialFiles | None) -> str:
    host, _ = host_and_port(address)
    try:
        if files is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, tls.server_credentials(files))
    except RuntimeError as error:
        raise CannotListen(f"cannot listen on {address}; is another process there?") from error
    return f"{host}:{port}"


async def _drain(
    server: grpc.aio.Server, health: Health, in_flight: InFlight, settings: MeshSettings
) -> None:
    """Stop without breaking a call, as far as the grace allows.

    Watchers of health would hold up `stop` for the whole grace, so what is waited for is the app's
    own calls.
    """
    grace = settings.drain_grace.total_seconds()
    _log.info("draining")
    await health.drain()
    await asyncio.sleep(settings.drain_wait.total_seconds())
    in_flight.end_streams()
    # For as long as it takes: beside a second `stop`, one whose time is up crashes gRPC's core.
    stopping = asyncio.create_task(server.stop(_FOR_EVER_SECONDS))
    await asyncio.sleep(0)
    await in_flight.settled(grace)
    await server.stop(None)
    await stopping
    if not await in_flight.settled(SETTLING_SECONDS):
        _log.error("handlers did not end when they were cancelled")
