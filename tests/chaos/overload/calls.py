"""How often calls were made and how often they arrived, by what the services count themselves.

A call that gRPC repeats is one call to who makes it and several to who gets it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

_MADE, _ARRIVED = "grpc_client_handled", "grpc_server_handled"
# The payment provider and the token's keys are asked for by others than are watched here.
_NOT_WATCHED = {"HandleProviderEvent", "GetJwks"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Unary calls that have ended, by the area they went to, such as "order"."""

    made: Counter[str]
    arrived: Counter[str]

    def since(self, before: "Calls") -> "Calls":
        """Returns what was counted after `before`."""
        return Calls(made=self.made - before.made, arrived=self.arrived - before.arrived)


async def count(session: aiohttp.ClientSession, metrics: Mapping[str, str]) -> Calls:
    """Reads the metrics of services, by the addresses of their listeners."""
    calls = Calls(made=Counter(), arrived=Counter())
    for address in metrics.values():
        async with session.get(f"http://{address}/metrics") as answer:
            text = await answer.text()
        calls.made.update(_sums(text, _MADE))
        calls.arrived.update(_sums(text, _ARRIVED))
    return calls


def amplification(calls: Calls, forwarded: Counter[str]) -> float:
    """Returns how many calls arrived for each that was made, by services or by the gateway."""
    areas = ("order", "product", "payment")
    made = sum(calls.made[area] + forwarded[area] for area in areas)
    return sum(calls.arrived[area] for area in areas) / made if made else 1.0


def _sums(text: str, name: str) -> Counter[str]:
    sums: Counter[str] = Counter()
    for labels, value in _samples(text, name):
        area = labels["grpc_service"].removeprefix("souk.").partition(".")[0]
        if labels["grpc_type"] == "unary" and labels["grpc_method"] not in _NOT_WATCHED:
            sums[area] += int(value)
    return sums


def _samples(text: str, name: str) -> Iterable[tuple[Mapping[str, str], float]]:
    for family in text_string_to_metric_families(text):
        if family.name == name:
            for sample in family.samples:
                yield sample.labels, sample.value
