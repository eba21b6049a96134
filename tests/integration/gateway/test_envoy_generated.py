"""Our gateway and Envoy's transcoder answer alike, whatever contract and request are drawn.

For a long run, give other contracts and more requests of each:

    SOUK_CONTRACTS=100:140 SOUK_REQUESTS=2000 pytest --timeout 900 FILE
"""

import os
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import envoy
from tests.integration.gateway.beside_envoy.bindings import Bound
from tests.integration.gateway.beside_envoy.both import BothGateways, both
from tests.integration.gateway.beside_envoy.contracts import Contract, contract
from tests.integration.gateway.beside_envoy.deviations import BY_TRAIT
from tests.integration.gateway.beside_envoy.faults import requests
from tests.integration.gateway.beside_envoy.outcomes import Outcome, differences
from tests.integration.gateway.beside_envoy.requests import Request

_FIRST, _, _LAST = os.environ.get("SOUK_CONTRACTS", "0:3").partition(":")
_CONTRACTS: Final = range(int(_FIRST), int(_LAST))
_REQUESTS: Final = int(os.environ.get("SOUK_REQUESTS", "150"))

pytestmark = pytest.mark.skipif(envoy.unavailable() is not None, reason=str(envoy.unavailable()))


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Both gateways, and what they serve."""

    contract: Contract
    gateways: BothGateways


@pytest.fixture(scope="module", params=_CONTRACTS)
async def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Pair]:
    """Runs both with a drawn contract."""
    drawn = contract(request.param)
    async with both(drawn.files, tmp_path_factory.mktemp("both")) as gateways:
        yield Pair(contract=drawn, gateways=gateways)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=_REQUESTS, derandomize=True, database=None)
@given(st.data())
async def test_any_request_ends_alike(pair, data):
    """Both send the same message on and write the same answer, but for the deviations listed."""
    request = data.draw(requests(pair.contract))
    route = pair.contract.route(request.ask)
    ours, envoys = await pair.gateways.ask(request.ask_of(route))
    if request.is_valid and route is request.bound:
        _check_arrived(request, ours)
    found = differences(ours, envoys, route.part if route is not None else None)
    assert not found or _is_known(_traits(request, route), ours, envoys), found


def _check_arrived(request: Request, ours: Outcome) -> None:
    """Compares what was sent on with the message that was taken apart."""
    assert (200, request.bound.rpc) == (ours.status, ours.rpc), ours.body
    expected = request.message.SerializeToString(deterministic=True)
    assert expected == ours.message.SerializeToString(deterministic=True), ours.message


def _traits(request: Request, route: Bound | None) -> set[str]:
    """Lists what of a request Envoy is known for, what it takes no fault for included."""
    path = request.ask.target.partition("?")[0]
    is_data = route is not None and not route.verb and ":" in path.rpartition("/")[2]
    return {*request.traits, "another method", *(["colon of data"] if is_data else [])}


def _is_known(traits: Iterable[str], ours: Outcome, envoys: Outcome) -> bool:
    return any(BY_TRAIT[each].explains(ours, envoys) for each in traits if each in BY_TRAIT)
