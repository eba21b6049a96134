"""The keys of access tokens: fetched when needed, never too often, good while they can be had."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.mesh import jwks, served_call
from services.mesh.jwks import KeySet, KeysUnavailable, NotAnswered
from services.mesh.served_call import ServedCall

RAW = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
DOWN = NotAnswered("down")


class Source:
    """Gives the keys of these ids, or fails; counts how often it is asked."""

    def __init__(self, *key_ids: str) -> None:
        self.key_ids = key_ids
        self.is_down = False
        self.asked = 0
        self.asked_by: list[str] = []

    async def __call__(self) -> Mapping[str, bytes]:
        """Answer as the user service would."""
        self.asked += 1
        self.asked_by.append(served_call.request_id())
        await asyncio.sleep(0)
        if self.is_down:
            raise DOWN
        return dict.fromkeys(self.key_ids, RAW)


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Move the clock by hand."""
    made = Clock()
    # Not of the module `time`: that is the event loop's clock, too.
    monkeypatch.setattr(jwks, "time", SimpleNamespace(monotonic=made))
    return made


async def test_a_key_is_fetched_once(clock: Clock) -> None:
    """The source is asked for the first key, not again for the next."""
    source = Source("a", "b")
    keys = KeySet(source)
    found = [await keys.key("a"), await keys.key("b"), await keys.key("a")]
    assert (1, False) == (source.asked, None in found)
    assert clock.now == 1000


async def test_who_hangs_up_keeps_the_keys_from_nobody(clock: Clock) -> None:
    """A fetch goes on when the call that began it is cut off, and is not that call's own."""
    source = Source("a")
    keys = KeySet(source)
    served_call.begin(ServedCall("of somebody in a hurry"))
    first = asyncio.create_task(keys.key("a"))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    served_call.begin(ServedCall())

    assert await keys.key("a") is not None
    assert (1, [""]) == (source.asked, source.asked_by)
    assert clock.now == 1000


async def test_an_unknown_key_is_looked_for_again(clock: Clock) -> None:
    """A key that came after the last fetch is found, without a restart."""
    source = Source("a")
    keys = KeySet(source)
    await keys.key("a")
    source.key_ids = ("a", "b")
    clock.now += 11
    assert await keys.key("b") is not None


async def test_unknown_keys_do_not_flood_the_source(clock: Clock) -> None:
    """However many unknown ids come, the source is asked once in ten seconds."""
    source = Source("a")
    keys = KeySet(source)
    for number in range(50):
        assert await keys.key(f"forged-{number}") is None
    assert source.asked == 1
    clock.now += 11
    await keys.key("forged")
    assert source.asked == 2


async def test_fetches_at_once_are_one(clock: Clock) -> None:
    """Callers who come while the keys are being fetched wait for that fetch."""
    source = Source("a")
    keys = KeySet(source)
    found = await asyncio.gather(*(keys.key("a" if n % 2 else f"forged-{n}") for n in range(50)))
    assert (1, 25) == (source.asked, sum(key is not None for key in found))
    assert clock.now == 1000


async def test_known_keys_outlive_the_source(clock: Clock) -> None:
    """While the source is down, the keys that are known stay good."""
    source = Source("a")
    keys = KeySet(source)
    await keys.key("a")
    source.is_down = True
    clock.now += 3600
    assert await keys.key("a") is not None
    assert source.asked == 2


async def test_without_any_key_nothing_can_be_said(clock: Clock) -> None:
    """Before the first fetch succeeds, a token is neither good nor bad: the call is repeated."""
    source = Source("a")
    source.is_down = True
    keys = KeySet(source)
    with pytest.raises(KeysUnavailable):
        await keys.key("a")
    source.is_down = False
    clock.now += 1
    assert await keys.key("a") is not None


async def test_a_withdrawn_key_is_told(clock: Clock) -> None:
    """When a key is gone, who remembers what it signed is told; a new key changes nothing."""
    source = Source("a")
    keys, withdrawals = KeySet(source), []
    keys.on_withdrawal(lambda: withdrawals.append("withdrawn"))
    await keys.key("a")
    source.key_ids = ("a", "b")
    clock.now += 301
    await keys.key("a")
    assert withdrawals == []
    source.key_ids = ("b",)
    clock.now += 301
    assert await keys.key("a") is None
    assert withdrawals == ["withdrawn"]
