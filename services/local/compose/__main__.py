"""The steps of `compose.yaml` and of `make k3d` that are ours.

    python -m services.local.compose prepare    FOLDER    secrets and certificates, before all else
    python -m services.local.compose databases  FOLDER    a role and a database for each service
    python -m services.local.compose demo       FOLDER    products and accounts
    python -m services.local.compose accounts   FOLDER    who can sign in, with passwords
    python -m services.local.compose buy        FOLDER    one purchase, step by step, as `souk demo`

Each but the last may run again and changes only what is missing.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.local import databases, topology
from services.local.compose.materials import Materials
from services.local.console import Console
from services.local.demo import accounts, loading
from services.local.demo.purchase import buy
from services.local.endpoints import Endpoints
from services.mesh.settings import GRPC_PORT


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the containers are: their materials, and how they are reached from here.

    `at` has the address of each that is not reached by its name.
    """

    materials: Materials
    at: Mapping[str, str]

    @property
    def endpoints(self) -> Endpoints:
        """What loading and buying ask for; the rest is left empty."""
        grpc = {each.name: f"{each.name}:{GRPC_PORT}" for each in topology.SERVICES}
        return Endpoints(
            gateway=f"http://{self.at.get('gateway', 'gateway:8080')}",
            grpc={name: self.at.get(name, address) for name, address in grpc.items()},
            probes={},
            metrics={},
            sandbox="",
            postgres="",
            redis=self.materials.redis_url(self.at.get("redis", "")),
            mongo="",
            certs=str(self.materials.authority.certs),
            supervisor=0,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Does one step and returns the exit code; what cannot be done raises."""
    parser = argparse.ArgumentParser(
        prog="services.local.compose",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("step", choices=sorted(_STEPS))
    parser.add_argument("folder", type=Path, help="where the materials are")
    parser.add_argument(
        "--stores-domain", default="", help="what follows the stores' names, such as .stores"
    )
    parser.add_argument(
        "--at",
        metavar="NAME=HOST:PORT",
        action="append",
        default=[],
        help="where a container is reached, if not by its name; may be repeated",
    )
    options = parser.parse_args(arguments)
    materials = Materials(root=options.folder, domain=options.stores_domain)
    at = dict(pair.split("=", 1) for pair in options.at)
    _STEPS[options.step](Place(materials=materials, at=at))
    return 0


def _prepare(place: Place) -> None:
    _say(f"prepared {', '.join(place.materials.prepare())}")


def _databases(place: Place) -> None:
    services = topology.services_with("postgres")
    materials = place.materials
    asyncio.run(databases.provision(materials.postgres_url, materials.authority, services))
    _say(f"databases of {', '.join(services)} are there")


def _demo(place: Place) -> None:
    folder = place.materials.authority
    asyncio.run(loading.load(place.endpoints, folder, accounts.ensure(folder)))
    _say("demo products and accounts are there")


def _accounts(place: Place) -> None:
    for account in accounts.ensure(place.materials.authority).values():
        _say(f"{account.email:<28} {account.password:<26} {account.role or 'customer'}")


def _buy(place: Place) -> None:
    asyncio.run(buy(place.endpoints, Console()))
    _say("The purchase went through.")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


_STEPS: Mapping[str, Callable[[Place], None]] = {
    "accounts": _accounts,
    "buy": _buy,
    "databases": _databases,
    "demo": _demo,
    "prepare": _prepare,
}


if __name__ == "__main__":
    sys.exit(main())
