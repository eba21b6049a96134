"""The services behind a page see whose call it is."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from gateway.storefront.page import Page
from services.mesh import identity, served_call
from services.mesh.identity import Caller
from services.mesh.served_call import ServedCall

TOKEN = ("authorization", "Bearer a.b.c")
ADDRESS = ("x-souk-client-address", "203.0.113.7")
METADATA = (TOKEN, ADDRESS, ("x-other", "1"))


@pytest.fixture(autouse=True)
def call() -> Iterator[None]:
    """Serves a call with the metadata."""
    served_call.begin(ServedCall("r", dict(METADATA)))
    yield
    served_call.begin(ServedCall())
    identity.serve_as(identity.NOBODY)


@pytest.mark.parametrize(
    ("caller", "expected"), [("gateway", (TOKEN, ADDRESS)), ("kong", (TOKEN,))]
)
async def test_what_the_services_are_told(
    caller: str, expected: tuple[tuple[str, str], ...]
) -> None:
    """The token goes on; the client's address does, if it was the gateway that told it."""
    identity.serve_as(Caller(service=caller))
    context = SimpleNamespace(time_remaining=lambda: 1.0, invocation_metadata=lambda: METADATA)
    assert expected == Page(context).metadata
