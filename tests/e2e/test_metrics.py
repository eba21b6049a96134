"""What docs/metrics.md lists is what a running mesh serves, and the reverse."""

import asyncio
import re
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from services.local import topology
from tests.e2e.conftest import Mesh

_DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
_ROW = re.compile(r"\| `(?P<name>\w+)` \| (?P<type>\w+) \| (?P<labels>.*?) ?\| (?P<by>.+) \|")
_ALL = frozenset({"gateway", *(service.name for service in topology.SERVICES)})
# Of the process, and of when counting began.
_OTHERS = re.compile(r"(process|python)_.+|.+_created")


@dataclass(frozen=True, slots=True)
class Told:
    """A metric: its type and who serves it."""

    type: str
    by: frozenset[str]


def documented() -> dict[str, tuple[Told, frozenset[str]]]:
    """Return the document's metrics with their labels."""
    rows = [match for line in _DOCUMENT.read_text().splitlines() if (match := _ROW.match(line))]
    return {
        row["name"]: (
            Told(row["type"], _ALL if row["by"] == "all" else frozenset(row["by"].split(", "))),
            frozenset(re.findall(r"`(\w+)`", row["labels"])),
        )
        for row in rows
    }


def read(address: str) -> list[Metric]:
    """Return the metrics of a process."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return [each for each in text_string_to_metric_families(text) if not _OTHERS.match(each.name)]


@pytest.fixture(scope="module")
async def served(mesh: Mesh) -> dict[str, list[Metric]]:
    """Return what each process serves, by its name."""
    addresses = mesh.endpoints.metrics
    found = [asyncio.to_thread(read, address) for address in addresses.values()]
    return dict(zip(addresses, await asyncio.gather(*found), strict=True))


def _name(metric: Metric) -> str:
    return metric.name + ("_total" if metric.type == "counter" else "")


def test_every_metric_is_documented_and_every_documented_one_is_served(
    served: dict[str, list[Metric]],
) -> None:
    """The document names each metric, its type and who serves it; nothing is left out on a side."""
    types = {_name(each): each.type for metrics in served.values() for each in metrics}
    actual = {
        name: Told(
            types[name],
            frozenset(by for by, metrics in served.items() if name in map(_name, metrics)),
        )
        for name in types
    }
    assert {name: told for name, (told, _) in documented().items()} == actual


def test_labels_are_those_of_the_document(served: dict[str, list[Metric]]) -> None:
    """Each sample has the labels that the document names, and no other."""
    expected = {name: labels for name, (_, labels) in documented().items()}
    others = {
        (_name(each), frozenset(sample.labels) - {"le"})
        for metrics in served.values()
        for each in metrics
        for sample in each.samples
        if frozenset(sample.labels) - {"le"} != expected.get(_name(each))
    }
    assert set() == others


def test_certificates_are_told_of_by_who_shows_them(served: dict[str, list[Metric]]) -> None:
    """Each process tells of its own certificate."""
    names = {
        process: {
            sample.labels["name"]
            for each in metrics
            if each.name == "souk_certificate_expiry_timestamp_seconds"
            for sample in each.samples
        }
        for process, metrics in served.items()
    }
    assert {process: {process} for process in served} == names
