"""Our gateway and Envoy's transcoder answer alike but for the deviations that are listed."""

from collections.abc import AsyncIterator

import pytest

from tests import envoy
from tests.integration.gateway.beside_envoy.agreements import REQUESTS
from tests.integration.gateway.beside_envoy.both import BothGateways, both
from tests.integration.gateway.beside_envoy.deviations import DEVIATIONS, Deviation, Example
from tests.integration.gateway.beside_envoy.outcomes import Ask, differences
from tests.unit.gateway.protos import EVERYTHING, compiled

pytestmark = pytest.mark.skipif(envoy.unavailable() is not None, reason=str(envoy.unavailable()))


@pytest.fixture(scope="module")
async def gateways(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BothGateways]:
    """Runs both with everything.proto."""
    async with both(compiled(EVERYTHING.read_text()), tmp_path_factory.mktemp("both")) as running:
        yield running


def ask(example: Example) -> Ask:
    """Makes a request of an example."""
    line, body = example
    method, target = line.split(" ")
    return Ask(method=method, target=target, body=body.encode())


@pytest.mark.parametrize(
    ("deviation", "example"),
    [
        pytest.param(each, example, id=f"{each.trait}: {' '.join(example)}")
        for each in DEVIATIONS
        for example in each.examples
    ],
)
async def test_a_deviation_is_what_it_is_listed_as(
    gateways, deviation: Deviation, example: Example
):
    """Each example of a deviation ends as listed, for us and for Envoy."""
    ours, envoys = await gateways.ask(ask(example))
    assert differences(ours, envoys)
    assert deviation.explains(ours, envoys), (ours, envoys)


@pytest.mark.parametrize("line", REQUESTS)
async def test_both_agree(gateways, line: str):
    """A request ends alike: with the same message and answer, or refused with the same status."""
    method, target, body = (*line.split(" ", 2), "")[:3]
    ours, envoys = await gateways.ask(ask((f"{method} {target}", body)))
    assert [] == differences(ours, envoys)
