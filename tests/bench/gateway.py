"""What the gateway costs beside Envoy and FastAPI: `make bench-gateway`.

    load + backend (core 1) ──HTTP/1.1──▶ one of the gateways (core 0)
           ▲                                        │
           `─────────────── gRPC ───────────────────'

In each round every gateway has a turn of each case at each number of connections, in turns, so
that whatever else the machine does hits all of them; ratios are those of turns in the same round,
and medians count. Load and backend are one process: it prints how busy it was, since where it is
the bottleneck the figures are its own. docs/decisions/0074 says what is compared and why.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import uvloop

from services.local import ports
from tests import envoy
from tests.bench import (
    gateway_interpreter,
    gateway_processes,
    gateway_report,
    gateway_servers,
    gateway_targets,
    gateway_turn,
)
from tests.bench.gateway_backend import Answering, Backend
from tests.bench.gateway_cases import PROTO, Case, cases
from tests.bench.gateway_report import Sample, Samples
from tests.bench.gateway_servers import Place, Server, Start
from tests.bench.gateway_turn import Contender
from tests.unit.gateway.protos import compiled

_GATEWAY_CORE: Final = 0
_OTHER_CORE: Final = 1
_CONNECTIONS: Final = (1, 16, 64)

_GATEWAYS: Final[dict[str, Start]] = {
    "fastapi": gateway_servers.fastapi,
    "envoy": gateway_servers.envoy,
    "gateway": gateway_servers.gateway,
}


def main() -> None:
    """Runs the benchmark and prints its figures."""
    parser = argparse.ArgumentParser(description="Measure the gateway beside Envoy and FastAPI.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--connections", type=int, nargs="+", default=_CONNECTIONS)
    parser.add_argument("--only", nargs="+", choices=_GATEWAYS, default=list(_GATEWAYS))
    parser.add_argument("--cases", nargs="+", metavar="CASE", default=["product", "list", "create"])
    parser.add_argument(
        "--python",
        default=sys.executable,
        help="runs FastAPI and the gateway: of an environment as users have",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every turn's figures")
    options = parser.parse_args()
    missing = envoy.unavailable()
    if missing is not None and gateway_report.ENVOY in options.only:
        print(f"without Envoy: {missing}")
        options.only.remove(gateway_report.ENVOY)
    print(gateway_interpreter.described(options.python))
    uvloop.run(_run(options))


async def _run(options: argparse.Namespace) -> None:
    backend = Backend()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Answering(backend), "127.0.0.1", 0)
    descriptors = compiled(PROTO.read_text()).SerializeToString()
    chosen = [case for case in cases(descriptors) if case.name in options.cases]
    with TemporaryDirectory() as folder:
        place = Place(
            upstream=ports.address(listening.sockets[0].getsockname()[1]),
            descriptors=Path(folder) / "bench.binpb",
            logs=Path(folder),
            python=options.python,
        )
        place.descriptors.write_bytes(descriptors)
        samples = Samples(await _measure(place, backend, chosen, options))
        print(gateway_report.table(samples), *gateway_targets.verdicts(samples), sep="\n")
        if options.json is not None:
            options.json.write_text(json.dumps([sample.to_json() for sample in samples], indent=1))
        if gateway_report.GATEWAY in options.only:
            pairs = await gateway_processes.measure(
                place, backend, chosen[0], rounds=options.rounds, seconds=options.seconds
            )
            print(*gateway_processes.report(pairs), sep="\n")


async def _measure(
    place: Place, backend: Backend, chosen: Iterable[Case], options: argparse.Namespace
) -> list[Sample]:
    with ExitStack() as stack:
        # A process has the cores of the one that starts it.
        os.sched_setaffinity(0, {_GATEWAY_CORE})
        servers = {name: stack.enter_context(_GATEWAYS[name](place)) for name in options.only}
        os.sched_setaffinity(0, {_OTHER_CORE})
        turns = await _turns(chosen, options.connections, servers, backend)
        return [
            await gateway_turn.measure(
                contender, backend, connections=connections, seconds=options.seconds, number=number
            )
            for number in range(options.rounds)
            for contender, connections in turns
        ]


async def _turns(
    chosen: Iterable[Case],
    connections: Iterable[int],
    servers: Mapping[str, Server],
    backend: Backend,
) -> list[tuple[Contender, int]]:
    """Lists the turns of a round, those to compare one after the other."""
    for server in servers.values():
        await gateway_turn.until_open(server)
    turns: list[tuple[Contender, int]] = []
    for case in chosen:
        contenders = [
            await gateway_turn.check(name, server, backend, case)
            for name, server in servers.items()
        ]
        turns += [(each, number) for number in connections for each in contenders]
    return turns


if __name__ == "__main__":
    main()
