"""What a service's contract tests have in common: two tables, both complete.

    ANSWERS   RPC     → what calls it with success
    ERRORS    reason  → what makes the service give it

Each entry is called with a `Desk` and makes what it needs itself.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from uuid import UUID

import grpc
import pytest

from services.mesh.ids import new_id
from services.user.domain import Role
from tests.contract.conftest import ChannelAs
from tests.contract.contracts import services
from tests.contract.details import reason_of
from tests.contract.shop import Shop
from tests.contract.test_reasons import documented

T = TypeVar("T")

_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where a test calls from: as a person through the developer, or as a service.

    `process`: which service is called, the one under test if it is empty.
    """

    shop: Shop
    stub: Any
    channel_as: ChannelAs
    process: str = ""

    def person(self, *roles: Role, user_id: UUID | None = None) -> list[tuple[str, str]]:
        """Return the metadata of a person, somebody new if no id is given."""
        token = self.shop.token(*roles, user_id=user_id or new_id())
        return [("authorization", f"Bearer {token}")]

    def call(self, rpc: str, request: Any, metadata: Any = ()) -> Any:
        """Call the service."""
        return getattr(self.stub, rpc)(request, metadata=metadata, timeout=_SECONDS)

    def as_service(self, name: str, stub_class: Callable[[grpc.Channel], Any]) -> "Desk":
        """Return the desk of the service `name`, which calls by a generated stub."""
        return replace(self, stub=stub_class(self.channel_as(name, self.process)))

    def at(self, process: str, stub_class: Callable[[grpc.Channel], Any]) -> "Desk":
        """Return the desk at another service, which persons call by a generated stub."""
        stub = stub_class(self.channel_as("developer", process))
        return replace(self, stub=stub, process=process)


Entry = Callable[[Desk], Any]


def first(stream: Any) -> Any:
    """Return the first message of a server stream, None if it has none, and end it."""
    try:
        return next(stream, None)
    finally:
        stream.cancel()


def eventually(condition: Callable[[], T]) -> T:
    """Return the first truthy result of `condition`; raises TimeoutError when time is up."""
    deadline = time.monotonic() + _SECONDS
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)
    return result


def check_is_answered(desk: Desk, entry: Entry) -> None:
    """Pass if the entry succeeds and an answer comes."""
    assert entry(desk) is not None


def check_is_refused(desk: Desk, entry: Entry, *, process: str, reason: str) -> None:
    """Pass if the entry fails for `reason`, with the code that the contract tells."""
    with pytest.raises(grpc.RpcError) as raised:
        entry(desk)

    assert reason_of(raised.value) == reason
    assert raised.value.code().name == documented(process)[reason]


def check_is_complete(
    process: str,
    *,
    answers: Mapping[str, Entry],
    errors: Mapping[str, Entry],
    elsewhere: Collection[str] = (),
) -> None:
    """Pass if the tables have every RPC of the process and every reason that callers see.

    `elsewhere`: the reasons that this shop can't give, which other tests are about.
    """
    rpcs = {method.name for service in services(process) for method in service.methods}

    assert set(answers) == rpcs
    told = {reason for reason, code in documented(process).items() if code}
    assert {*errors, *elsewhere} == told
