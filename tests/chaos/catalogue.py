"""What the shop sells during a run: plenty of some things, one of others."""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.client import Client, persist
from tests.chaos.history import Attempt, History

_CURRENCIES = ("EUR", "JPY", "KWD")
_PLENTY = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Product ids: `plenty` by currency, and `single`, of which there is one piece each."""

    plenty: tuple[tuple[str, ...], ...]
    single: deque[str] = field(default_factory=deque)

    def basket(self, dice: random.Random) -> dict[str, int]:
        """Returns one to three products of one currency, with how many pieces of each."""
        products = dice.choice(self.plenty)
        chosen = dice.sample(products, dice.randint(1, min(3, len(products))))
        return {product: dice.randint(1, 3) for product in chosen}


async def stock_up(
    client: Client, history: History, *, per_currency: int, single: int
) -> Catalogue:
    """Puts the products into the shop, before any fault."""
    plenty = [
        [
            await _create(client, history, f"{currency}-{number}", currency, _PLENTY)
            for number in range(per_currency)
        ]
        for currency in _CURRENCIES
    ]
    ones = [await _create(client, history, f"ONE-{number}", "EUR", 1) for number in range(single)]
    return Catalogue(plenty=_tuples(plenty), single=deque(ones))


async def _create(client: Client, history: History, sku: str, currency: str, pieces: int) -> str:
    units, nanos = (7 + len(sku), 0 if currency == "JPY" else 990_000_000)
    price = {"currencyCode": currency, "units": str(units), "nanos": nanos}
    body = {"sku": sku, "title": f"Thing {sku}", "price": price, "tags": [], "stock": pieces}

    async def make() -> Attempt:
        made = await client.staff("CreateProduct", "/v1/products", body)
        # An attempt whose answer was lost has made it.
        return await client.find_product(sku) if made.reason == "SKU_TAKEN" else made

    made = await persist(make, seconds=30)
    product = made.told.get("productId") or next(iter(made.told.get("products", ())), None)
    if not product:
        raise RuntimeError(f"product {sku} was refused: {made.status} {made.reason}")
    history.note("stocked", product=product, pieces=pieces)
    return str(product)


def _tuples(lists: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(each) for each in lists)
