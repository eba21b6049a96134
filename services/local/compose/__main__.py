"""The one-shot containers of `compose.yaml`.

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
from pathlib import Path

from services.local import databases, topology
from services.local.compose import materials
from services.local.console import Console
from services.local.demo import accounts, loading
from services.local.demo.purchase import buy
from services.local.endpoints import Endpoints

_GRPC_PORT = 50051


def main(arguments: Sequence[str] | None = None) -> int:
    """Does one step and returns the exit code; what cannot be done raises."""
    parser = argparse.ArgumentParser(prog="services.local.compose", description=__doc__)
    parser.add_argument("step", choices=sorted(_STEPS))
    parser.add_argument("folder", type=Path, help="where the volumes are mounted")
    options = parser.parse_args(arguments)
    _STEPS[options.step](options.folder)
    return 0


def _prepare(root: Path) -> None:
    _say(f"prepared {', '.join(materials.prepare(root))}")


def _databases(root: Path) -> None:
    folder = materials.authority(root)
    services = topology.services_with("postgres")
    asyncio.run(databases.provision(materials.postgres_url(folder), folder, services))
    _say(f"databases of {', '.join(services)} are there")


def _demo(root: Path) -> None:
    folder = materials.authority(root)
    asyncio.run(loading.load(_endpoints(root), folder, accounts.ensure(folder)))
    _say("demo products and accounts are there")


def _accounts(root: Path) -> None:
    for account in accounts.ensure(materials.authority(root)).values():
        _say(f"{account.email:<28} {account.password:<26} {account.role or 'customer'}")


def _buy(root: Path) -> None:
    asyncio.run(buy(_endpoints(root), Console()))
    _say("The purchase went through.")


def _endpoints(root: Path) -> Endpoints:
    """Says where the containers are, for one of them; only what is asked for is filled in."""
    return Endpoints(
        gateway="http://gateway:8080",
        grpc={service.name: f"{service.name}:{_GRPC_PORT}" for service in topology.SERVICES},
        probes={},
        metrics={},
        sandbox="http://sandbox:50060",
        postgres="",
        redis=materials.store_url(materials.authority(root), "redis", "demo"),
        mongo="",
        certs=str(materials.authority(root).certs),
        supervisor=0,
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


_STEPS: Mapping[str, Callable[[Path], None]] = {
    "accounts": _accounts,
    "buy": _buy,
    "databases": _databases,
    "demo": _demo,
    "prepare": _prepare,
}


if __name__ == "__main__":
    sys.exit(main())
