"""Turns the topology into programs: the command line and the environment of each process.

A process is told what it needs and nothing more: its own database, its own certificate, the
addresses of the services it calls.
"""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
from grpc_health.v1 import health_pb2

from services.local import topology
from services.local.data_folder import DataFolder
from services.local.demo.accounts import Account
from services.local.endpoints import Endpoints
from services.local.ports import LOOPBACK
from services.local.program import Program, StartFailed, spawn
from services.local.topology import Service

ROOT = Path(__file__).parents[2]
DESCRIPTORS = ROOT / "proto" / "gen" / "souk.binpb"

_MIGRATE_SECONDS = 60


class NotServing(Exception):
    """A process answers its health check, but not with SERVING."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Everything the programs are made from.

    `databases`: the URL of each service's own database. `admin`: the account that the user service
    makes when nobody could give roles yet. `options`: variables that every process gets, such as
    `SOUK_LOG_FORMAT`.
    """

    folder: DataFolder
    endpoints: Endpoints
    databases: Mapping[str, str]
    admin: Account
    options: Mapping[str, str]

    def service(self, service: Service) -> Program:
        """Describes a service; ready once it says SERVING on its probe port."""
        probe = self.endpoints.probes[service.name]
        return Program(
            name=service.name,
            argv=(sys.executable, "-m", f"services.{service.name}", "serve"),
            environment=self._service_environment(service),
            check=lambda: _check_health(probe),
        )

    def migration(self, service: Service) -> Program:
        """Describes the run that brings a service's database up to date, then exits."""
        return Program(
            name=service.name,
            argv=(sys.executable, "-m", f"services.{service.name}", "migrate"),
            environment=self._service_environment(service),
        )

    def sandbox(self) -> Program:
        """Describes the payment provider's stand-in."""
        address = self.endpoints.sandbox.removeprefix("http://")
        return Program(
            name="sandbox",
            argv=(sys.executable, "-m", "services.sandbox"),
            environment={
                **self.options,
                "SOUK_LISTEN": address,
                "SOUK_LEDGER": str(self.folder.store("sandbox") / "ledger.sqlite3"),
            },
            prepare=self._prepare_sandbox,
            check=lambda: _check_http(address, "/healthz"),
        )

    def gateway(self) -> Program:
        """Describes the gateway with the shop's contracts and the storefront."""
        address = self.endpoints.gateway.removeprefix("http://")
        return Program(
            name="gateway",
            argv=(
                *(sys.executable, "-m", "gateway", "serve"),
                *("--descriptors", str(DESCRIPTORS), "--listen", address),
                *(part for pair in self._upstreams() for part in ("--upstream", pair)),
                *("--upstream-ca", str(self.folder.certs / "ca.pem")),
                *("--upstream-cert", str(self.folder.certs / "gateway.pem")),
                *("--upstream-key", str(self.folder.certs / "gateway-key.pem")),
            ),
            environment={
                **self.options,
                **self._identity("gateway"),
                "SOUK_LISTEN": self.endpoints.grpc["storefront"],
                "SOUK_TARGETS": self._targets([service.name for service in topology.SERVICES]),
            },
            check=lambda: _check_http(address, "/readyz"),
        )

    def _upstreams(self) -> list[str]:
        pairs = [
            f"{name}={self.endpoints.grpc[service.name]}"
            for service in topology.SERVICES
            for name in service.grpc_services
        ]
        return [*pairs, f"{topology.STOREFRONT_SERVICE}={self.endpoints.grpc['storefront']}"]

    def _service_environment(self, service: Service) -> dict[str, str]:
        environment = {
            **self.options,
            **self._identity(service.name),
            "SOUK_LISTEN": self.endpoints.grpc[service.name],
            "SOUK_PROBE_LISTEN": self.endpoints.probes[service.name],
            "SOUK_METRICS_LISTEN": self.endpoints.metrics[service.name],
            "SOUK_TARGETS": self._targets(service.calls),
        }
        if "postgres" in service.stores:
            environment["SOUK_DATABASE_URL"] = self.databases[service.name]
        if "redis" in service.stores:
            environment["SOUK_REDIS_URL"] = self.endpoints.redis
        if "mongo" in service.stores:
            environment["SOUK_MONGO_URL"] = self.endpoints.mongo
        if service.name == "payment":
            environment["SOUK_PROVIDER_URL"] = self.endpoints.sandbox
        if service.name == "user":
            environment |= {
                "SOUK_SIGNING_KEYS": str(self.folder.signing_keys),
                "SOUK_BOOTSTRAP_ADMIN_EMAIL": self.admin.email,
                "SOUK_BOOTSTRAP_ADMIN_PASSWORD": self.admin.password,
            }
        return environment

    def _identity(self, name: str) -> dict[str, str]:
        certs = self.folder.certs
        return {
            "SOUK_TLS_CA": str(certs / "ca.pem"),
            "SOUK_TLS_CERT": str(certs / f"{name}.pem"),
            "SOUK_TLS_KEY": str(certs / f"{name}-key.pem"),
        }

    def _targets(self, names: list[str] | tuple[str, ...]) -> str:
        return ",".join(f"{name}={self.endpoints.grpc[name]}" for name in names)

    async def _prepare_sandbox(self) -> None:
        self.folder.store("sandbox").mkdir(parents=True, exist_ok=True)


async def run_to_end(program: Program) -> None:
    """Runs a program that ends by itself; raises StartFailed with its output if it fails."""
    process = await spawn(program, output=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(_MIGRATE_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        message = f"{program.name} {program.argv[-1]} did not end in {_MIGRATE_SECONDS} s"
        raise StartFailed(message) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        message = (
            f"{program.name} {program.argv[-1]} exited with code {process.returncode}:\n"
            f"{output.decode(errors='replace')}"
        )
        raise StartFailed(message)


async def _check_health(address: str) -> None:
    """Asks for the overall health (gRPC health checking protocol, empty service name)."""
    await _connect(address)
    async with grpc.aio.insecure_channel(address) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        answer = await check(health_pb2.HealthCheckRequest(), timeout=2)
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise NotServing(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


async def _check_http(address: str, path: str) -> None:
    async with asyncio.timeout(2):
        reader, writer = await asyncio.open_connection(*address.split(":"))
        try:
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode()
            )
            status = await reader.readline()
        finally:
            writer.close()
    if b" 200 " not in status:
        raise NotServing(status.decode(errors="replace").strip() or "no answer")


async def _connect(address: str) -> None:
    """Fails fast while nothing listens yet, where a gRPC channel would wait to reconnect."""
    async with asyncio.timeout(1):
        _, writer = await asyncio.open_connection(*address.split(":"))
        writer.close()


def loopback(port: int) -> str:
    """Returns the loopback address with a port."""
    return f"{LOOPBACK}:{port}"
