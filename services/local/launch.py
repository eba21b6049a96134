"""Turns the topology into programs: the command line and the environment of each process.

A process is told what it needs and nothing more: its own database, its own certificate, the
addresses of the services it calls. What is secret of it is in files (`secret_files`), which
`write_secrets` writes before anything is started.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from services.local import contract, readiness, secret_files, topology
from services.local.data_folder import DataFolder
from services.local.demo.accounts import Account
from services.local.endpoints import Endpoints
from services.local.program import Program
from services.local.topology import Service

_RATE_FACTOR = "100"
_PROVIDER_WEBHOOK = "/v1/payments:providerEvent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Everything the programs are made from.

    `databases`: the URL of each service's own database. `admin`: the account that the user service
    makes when nobody could give roles yet. `provider_api_key` and `provider_webhook_secret`: what
    the payment service and its provider know of each other. `options`: variables that every process
    gets, such as `SOUK_LOG_FORMAT`.
    """

    folder: DataFolder
    endpoints: Endpoints
    databases: Mapping[str, str]
    admin: Account
    provider_api_key: str
    provider_webhook_secret: str
    options: Mapping[str, str]

    def service(self, service: Service) -> Program:
        """Describes a service; ready once it says SERVING on its probe port."""
        probe = self.endpoints.probes[service.name]
        return Program(
            name=service.name,
            argv=(sys.executable, "-m", f"services.{service.name}", "serve"),
            environment=self.environment(service.name),
            check=lambda: readiness.check_grpc(probe),
        )

    def sandbox(self) -> Program:
        """Describes the payment provider's stand-in, which tells the gateway of its events."""
        address = self.endpoints.sandbox.removeprefix("http://")
        ledger = self.folder.store("sandbox") / "ledger.sqlite3"

        async def prepare() -> None:
            ledger.parent.mkdir(parents=True, exist_ok=True)

        return Program(
            name="sandbox",
            argv=(sys.executable, "-m", "services.sandbox"),
            environment={
                **self.options,
                **secret_files.variables(self.folder, "sandbox", self._secrets("sandbox")),
                "SOUK_SANDBOX_LISTEN": address,
                "SOUK_SANDBOX_LEDGER": str(ledger),
                "SOUK_SANDBOX_WEBHOOK_URL": f"{self.endpoints.gateway}{_PROVIDER_WEBHOOK}",
            },
            prepare=prepare,
            check=lambda: readiness.check_http(address, "/healthz"),
        )

    def gateway(self) -> Program:
        """Describes the gateway with the shop's contracts and the storefront."""
        address = self.endpoints.gateway.removeprefix("http://")
        return Program(
            name="gateway",
            argv=(
                *(sys.executable, "-m", "gateway", "serve"),
                *("--descriptors", str(contract.DESCRIPTORS), "--listen", address),
                *(part for pair in self._upstreams() for part in ("--upstream", pair)),
                *("--upstream-ca", str(self.folder.certs / "ca.pem")),
                *("--upstream-cert", str(self.folder.certs / "gateway.pem")),
                *("--upstream-key", str(self.folder.certs / "gateway-key.pem")),
            ),
            environment={
                **self.options,
                **self._identity("gateway"),
                **secret_files.variables(self.folder, "gateway", self._secrets("gateway")),
                "SOUK_LISTEN": self.endpoints.grpc["storefront"],
                "SOUK_METRICS_LISTEN": self.endpoints.metrics["gateway"],
                "SOUK_TARGETS": self._targets([service.name for service in topology.SERVICES]),
                # Here everybody has one address, and a person tries in a minute what takes a day.
                "SOUK_RATE_FACTOR": os.environ.get("SOUK_RATE_FACTOR") or _RATE_FACTOR,
            },
            check=lambda: readiness.check_http(address, "/readyz"),
        )

    def _upstreams(self) -> list[str]:
        return [
            f"{name}={address}"
            for service, address in self.endpoints.grpc.items()
            for name in contract.grpc_services(service)
        ]

    def environment(self, name: str) -> dict[str, str]:
        """Returns the variables of the service `name`."""
        environment = {
            **self.options,
            **self._identity(name),
            **secret_files.variables(self.folder, name, self._secrets(name)),
            "SOUK_LISTEN": self.endpoints.grpc[name],
            "SOUK_PROBE_LISTEN": self.endpoints.probes[name],
            "SOUK_METRICS_LISTEN": self.endpoints.metrics[name],
            "SOUK_TARGETS": self._targets(contract.callees(name)),
        }
        if name == "payment":
            environment["SOUK_PROVIDER_URL"] = self.endpoints.sandbox
        if name == "user":
            environment["SOUK_SIGNING_KEYS"] = str(self.folder.signing_keys)
            environment["SOUK_SIGNING_KEY_LIFE"] = "30d"
            # On one machine everybody has one address.
            environment["SOUK_LOGIN_ATTEMPTS_PER_ADDRESS"] = "1000000"
            environment["SOUK_BOOTSTRAP_ADMIN_EMAIL"] = self.admin.email
        return environment

    def write_secrets(self, *names: str) -> None:
        """Writes the secrets of these processes, or of all."""
        for name in names or ("sandbox", "gateway", *(each.name for each in topology.SERVICES)):
            secret_files.write(self.folder, name, self._secrets(name))

    def _secrets(self, name: str) -> dict[str, str]:
        """Returns the secret settings of a process by field."""
        found = {
            "payment": {
                "provider_api_key": self.provider_api_key,
                "provider_webhook_secret": self.provider_webhook_secret,
            },
            "sandbox": {
                "sandbox_api_key": self.provider_api_key,
                "sandbox_webhook_secret": self.provider_webhook_secret,
            },
            "gateway": {"redis_url": self.endpoints.redis},
            "user": {"bootstrap_admin_password": self.admin.password},
        }.get(name, {})
        if name in topology.services_with("postgres"):
            found["database_url"] = self.databases[name]
        if name in topology.services_with("redis"):
            found["redis_url"] = self.endpoints.redis
        if name in topology.services_with("mongo"):
            found["mongo_url"] = self.endpoints.mongo
        return found

    def _identity(self, name: str) -> dict[str, str]:
        certs = self.folder.certs
        return {
            "SOUK_TLS_CA": str(certs / "ca.pem"),
            "SOUK_TLS_CERT": str(certs / f"{name}.pem"),
            "SOUK_TLS_KEY": str(certs / f"{name}-key.pem"),
        }

    def _targets(self, names: list[str]) -> str:
        return ",".join(f"{name}={self.endpoints.grpc[name]}" for name in names)
