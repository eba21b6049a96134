"""Reads the table and joins it with the topology."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from services.local import topology

TABLE = Path(__file__).parents[4] / "deploy" / "vault" / "access.yaml"

PREFIX = "souk-"
"""Begins the name of everything of ours in a Vault that others use too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """How long something is good for unless renewed, and at most; as Vault writes durations."""

    life: str
    longest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What logs in with one ServiceAccount.

    `account`: the ServiceAccount. `service`: whose secrets these are. `database`: the Vault role
    that makes its PostgreSQL account; None without one. `certificate`: whether it has an identity
    in the mesh. `secrets`: the key-value secrets that it reads.
    """

    account: str
    service: str
    database: str | None
    certificate: bool
    secrets: tuple[str, ...]

    @property
    def role(self) -> str:
        """The name of its login role and of its policy."""
        return f"{PREFIX}{self.account}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The whole table."""

    namespace: str
    audience: str
    token: Span
    run: Span
    migration: Span
    certificate_life: str
    workloads: tuple[Workload, ...]


def read(path: Path = TABLE) -> Access:
    """Returns the table at `path`.

    Raises ValueError when it names a service that is none; KeyError or TypeError when something is
    missing or not as it should be.
    """
    table: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    secrets: dict[str, list[str]] = table["secrets"]
    deployed = [name for name in topology.IDENTITIES if name not in _ONLY_LOCAL]
    if strangers := secrets.keys() - set(deployed):
        names = ", ".join(sorted(strangers))
        raise ValueError(f"{path.name}: {names} is no service (services/local/topology.py)")
    workloads = []
    for service in deployed:
        keeps_rows = service in topology.services_with("postgres")
        workloads.append(
            Workload(
                account=service,
                service=service,
                database=f"{PREFIX}{service}" if keeps_rows else None,
                certificate=True,
                secrets=tuple(secrets.get(service, ())),
            )
        )
        if keeps_rows:
            workloads.append(
                Workload(
                    account=f"{service}-migration",
                    service=service,
                    database=f"{PREFIX}{service}-migration",
                    certificate=False,
                    secrets=(),
                )
            )
    return Access(
        namespace=table["namespace"],
        audience=table["audience"],
        token=Span(**table["token"]),
        run=Span(**table["database"]["run"]),
        migration=Span(**table["database"]["migration"]),
        certificate_life=table["certificate"]["life"],
        workloads=tuple(workloads),
    )


_ONLY_LOCAL = ("sandbox", "developer")
"""Identities of `make up`: the provider's stand-in and the person at the keyboard."""
