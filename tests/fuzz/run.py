"""One run: a mesh of its own, calls straight at the services, requests at the gateway, a reckoning.

warm up ─ measure ─ calls by gRPC ─ Schemathesis by HTTP ─ rest ─ measure ─ report
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import aiohttp

from services.local.demo.rest import Shop
from services.mesh.ids import new_id
from tests.chaos.resources import Usage
from tests.e2e.conftest import Mesh, running
from tests.fuzz import usage
from tests.fuzz.callers import tokens
from tests.fuzz.calls import Campaign, Tally
from tests.schemathesis import judge

_DESCRIPTORS = Path(__file__).parents[2] / "proto" / "gen" / "souk.binpb"
_SLICE = 2_000
_ROUND_SECONDS = 1800.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many calls go straight to the services and how many requests to the gateway.

    `warm_up`: how many of the calls come before the first measurement. `rest_seconds`: what passes
    before the last one; what idles ends within it, and what is open then has been forgotten.
    """

    folder: Path
    seed: int
    calls: int
    requests: int
    warm_up: int = 1_000
    rest_seconds: float = 20.0


@dataclass(slots=True)
class Outcome:
    """What a run came to; `findings` are its faults, one text each."""

    tally: Tally = field(default_factory=Tally)
    statuses: Counter[str] = field(default_factory=Counter)
    before: Mapping[str, Usage] = field(default_factory=dict)
    after: Mapping[str, Usage] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Return how many requests there were in all."""
        return self.tally.count + self.statuses.total()


async def run(plan: Plan, say: Say) -> Outcome:
    """Runs the plan; what it finds is in the outcome."""
    async with running(plan.folder) as mesh:
        return await run_on(mesh, plan, say)


async def run_on(mesh: Mesh, plan: Plan, say: Say) -> Outcome:
    """Runs the plan on a mesh that is no good for anything else after it."""
    outcome = Outcome()
    persons = tokens(mesh, await _customer(mesh))
    endpoints = mesh.endpoints
    campaign = Campaign(endpoints.grpc, endpoints.certs_folder, persons, plan.seed)
    outcome.tally = campaign.tally
    try:
        await campaign.run(plan.warm_up)
        await campaign.close()
        outcome.before = await usage.measure(mesh)
        while campaign.tally.count < plan.calls:
            await campaign.run(min(_SLICE, plan.calls - campaign.tally.count))
            say(f"{campaign.tally.count} calls, {len(campaign.tally.findings)} findings")
    finally:
        await campaign.close()
    outcome.findings += campaign.tally.findings
    await _judge(mesh, plan, persons, outcome, say)
    await asyncio.sleep(plan.rest_seconds)
    outcome.after = await usage.measure(mesh)
    outcome.findings += usage.leaks(outcome.before, outcome.after)
    return outcome


async def _customer(mesh: Mesh) -> UUID:
    """Opens the account that customers' tokens speak of."""
    async with aiohttp.ClientSession() as session:
        rest = Shop(session=session, base_url=mesh.endpoints.gateway)
        person = {"email": f"{new_id().hex}@souk.example", "password": new_id().hex}
        user = await rest.post("/v1/users", {**person, "displayName": "Fuzz"})
        return UUID(user["userId"])


async def _judge(
    mesh: Mesh, plan: Plan, persons: Mapping[str, str], outcome: Outcome, say: Say
) -> None:
    """Lets Schemathesis send requests, until there were enough of them."""
    seed = plan.seed
    while outcome.statuses.total() < plan.requests:
        # Customers and staff in turns, as the shop shows each of them something else.
        names = ("customer", "stranger") if seed % 2 else ("everyone",)
        signed_in = {name: persons[name] for name in names}
        try:
            verdict = await judge.judge(
                mesh.endpoints.gateway,
                "shop.toml",
                _DESCRIPTORS,
                plan.folder,
                seed=seed,
                tokens=signed_in,
                round_seconds=_ROUND_SECONDS,
            )
        except AssertionError as error:
            outcome.findings.append(f"Schemathesis with seed {seed}:\n{error}")
            return
        for counts in verdict.answers.values():
            outcome.statuses.update(counts)
        say(f"{outcome.statuses.total()} requests over HTTP, seed {seed}")
        seed += 1


def table(outcome: Outcome) -> Iterator[str]:
    """Tell what was sent, what came back, and what it cost."""
    by_process: dict[str, Counter[str]] = {}
    for (process, code), count in sorted(outcome.tally.answers.items()):
        by_process.setdefault(process, Counter())[code] += count
    for process, codes in by_process.items():
        told = ", ".join(f"{code} {count}" for code, count in codes.most_common())
        yield f"{process:<13} {codes.total():>7} calls     {told}"
    if outcome.statuses:
        told = ", ".join(f"{status} {count}" for status, count in sorted(outcome.statuses.items()))
        yield f"{'gateway':<13} {outcome.statuses.total():>7} requests  {told}"
    yield f"{'in all':<13} {outcome.count:>7}"
    yield ""
    yield f"{'':<13} {'MiB':>13} {'descriptors':>13}"
    for name, now in sorted(outcome.after.items()):
        was = outcome.before[name]
        memory = f"{was.resident_mb:.0f} → {now.resident_mb:.0f}"
        yield f"{name:<13} {memory:>13} {f'{was.descriptors} → {now.descriptors}':>13}"
    yield ""
    yield from outcome.findings
    yield f"{len(outcome.findings)} findings"
