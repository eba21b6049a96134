"""A turn of one gateway: checked before, so that none wins by answering wrongly, then measured."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Final

import aiohttp

from tests.bench import gateway_load
from tests.bench.gateway_backend import Backend
from tests.bench.gateway_cases import Case
from tests.bench.gateway_report import Sample
from tests.bench.gateway_servers import Server

_WARMUP_SECONDS: Final = 0.25
_START_SECONDS: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A gateway that has answered a case rightly."""

    name: str
    server: Server
    case: Case
    body: bytes
    """Its answer, which later ones are compared with."""
    asked: bytes
    """Its call, likewise."""


async def check(name: str, server: Server, backend: Backend, case: Case) -> Contender:
    """Asks once. Raises AssertionError if the call or the answer is not the case's."""
    backend.reply(case.answer.SerializeToString())
    url = f"http://127.0.0.1:{server.port}{case.request.target}"
    content = {"content-type": "application/json"} if case.request.body else {}
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            case.request.method, url, data=case.request.body or None, headers=content
        ) as response,
    ):
        body = await response.read()
        assert response.status == 200, f"{name} answers {response.status} {body!r}"  # OK
    assert json.loads(body) == case.json(), f"{name} answers {body!r}"
    [asked] = backend.requests
    assert type(case.asked).FromString(asked) == case.asked, f"{name} asks {asked!r}"
    assert backend.paths == {case.path}, f"{name} calls {backend.paths}"
    return Contender(name=name, server=server, case=case, body=body, asked=asked)


async def until_open(server: Server) -> None:
    """Waits until a gateway takes connections. Raises TimeoutError."""
    async with asyncio.timeout(_START_SECONDS):
        while not (await _is_open(server.port) and server.is_whole()):
            await asyncio.sleep(0.05)


async def _is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def measure(
    contender: Contender, backend: Backend, *, connections: int, seconds: float, number: int
) -> Sample:
    """Has one turn. Raises WrongAnswer, AssertionError for a wrong call, TimeoutError."""
    server, case = contender.server, contender.case
    backend.reply(case.answer.SerializeToString())
    load = await gateway_load.start(server.port, case.request, contender.body, connections)
    await load.warm(_WARMUP_SECONDS)
    begin, own = server.cpu_seconds(), time.process_time()
    turn = await load.measure(seconds)
    own = time.process_time() - own
    spent = {pid: end - begin[pid] for pid, end in server.cpu_seconds().items()}
    await load.stop()
    assert backend.requests == {contender.asked}, f"{contender.name} asks {backend.requests}"
    return Sample(
        round=number,
        gateway=contender.name,
        case=case.name,
        connections=connections,
        requests=len(turn.latencies),
        refused=turn.refused,
        seconds=turn.seconds,
        p50_ms=turn.percentile(0.5) * 1e3,
        p99_ms=turn.percentile(0.99) * 1e3,
        cpu_seconds=tuple(spent.values()),
        other_cpu_seconds=own,
        resident_mb=server.resident_mb(),
    )
