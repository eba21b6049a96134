"""The catalogue over each database."""

import asyncio
from uuid import UUID

import pytest

from services.mesh.errors import Aborted
from services.mesh.etag import EtagMismatch
from services.mesh.ids import new_id
from services.product import convert
from services.product.domain.listing import Listing
from services.product.domain.product import (
    Details,
    Product,
    ProductArchived,
    ProductNotFound,
    ProductState,
    SkuTaken,
)

from .conftest import Parts, details


async def test_a_product_is_there_once_created(parts: Parts):
    """What was created is read as it is, by the clock of the database."""
    created = await parts.products.create(
        sku="MUG-1", details=details("Mug", tags=("a", "b")), stock=7
    )

    assert await parts.products.get(created.product_id) == created
    assert (created.sku, created.stock, created.version) == ("MUG-1", 7, 1)


@pytest.mark.parametrize(
    "text", ['"q"', "it's", "{}", "[1]", "$set", "a\\b", "\0", "\n", "1", "true", "😀é", "%_"]
)
async def test_any_text_is_kept(parts: Parts, text: str):
    """Whatever characters a text has, created or changed, it is read as it was written."""
    said = details(text, description=text)
    created = await parts.products.create(sku="s", details=said, stock=0)
    changed = await parts.products.update(
        created.product_id, expected_etag="", change=lambda _: details(text * 2)
    )

    assert created.details == said
    assert (await parts.products.get(created.product_id)).details == changed.details
    assert changed.details.title == text * 2


async def test_a_sku_is_taken_once(parts: Parts):
    """Of many who create it at the same time, one does."""

    async def create() -> bool:
        try:
            await parts.products.create(sku="MUG-1", details=details(), stock=0)
        except SkuTaken:
            return False
        return True

    assert sum(await asyncio.gather(*(create() for _ in range(10)))) == 1


async def test_several_come_in_the_order_asked_for(parts: Parts):
    """Archived ones too; a missing one fails and is named."""
    ids = [await parts.product() for _ in range(4)]
    await parts.products.archive(ids[1], expected_etag="")
    wanted = [ids[3], ids[1], ids[0]]
    missing = new_id()

    assert [each.product_id for each in await parts.products.batch_get(wanted)] == wanted
    with pytest.raises(ProductNotFound) as raised:
        await parts.products.batch_get([*wanted, missing])
    assert raised.value.metadata == {"product_id": str(missing)}


async def test_an_update_changes_version_and_time(parts: Parts):
    """The rest of the product stays, its stock too, and the etag is another."""
    product_id = await parts.product(stock=3)
    before = await parts.products.get(product_id)

    after = await parts.products.update(
        product_id, expected_etag=convert.product_etag(before), change=lambda _: details("Cup")
    )

    assert after == await parts.products.get(product_id)
    assert (after.details.title, after.version, after.stock) == ("Cup", 2, 3)
    assert after.update_time >= before.update_time
    assert after.create_time == before.create_time
    assert convert.product_etag(after) != convert.product_etag(before)


async def test_an_etag_lets_one_of_many_through(parts: Parts):
    """Of those who read the same version, one changes it; nobody's change is overwritten."""
    product_id = await parts.product()
    etag = convert.product_etag(await parts.products.get(product_id))

    async def rename(title: str) -> bool:
        try:
            await parts.products.update(
                product_id, expected_etag=etag, change=lambda _: details(title)
            )
        except EtagMismatch:
            return False
        return True

    assert sum(await asyncio.gather(*(rename(f"Mug {n}") for n in range(8)))) == 1
    assert (await parts.products.get(product_id)).version == 2


async def test_updates_without_an_etag_lose_nothing(parts: Parts):
    """Concurrent changes of different fields all stand."""
    product_id = await parts.product()

    async def add(tag: str) -> int:
        def change(product: Product) -> Details:
            return details(tags=(*product.details.tags, tag))

        try:
            await parts.products.update(product_id, expected_etag="", change=change)
        except Aborted:
            return 0
        return 1

    added = sum(await asyncio.gather(*(add(f"tag-{n}") for n in range(6))))

    assert len((await parts.products.get(product_id)).details.tags) == added
    assert added > 1


async def test_an_update_leaves_the_stock_alone(parts: Parts):
    """Stock that is sold during updates is sold, and updates during sales are made."""
    product_id = await parts.product(stock=20)

    await asyncio.gather(
        *(parts.stock.adjust(product_id, -1) for _ in range(20)),
        *(
            parts.products.update(product_id, expected_etag="", change=lambda _: details("Cup"))
            for _ in range(2)
        ),
    )
    product = await parts.products.get(product_id)

    assert (product.stock, product.details.title) == (0, "Cup")


async def test_archiving_is_for_good(parts: Parts):
    """An archived product is read, can't be changed, and is archived again in vain."""
    product_id = await parts.product()
    etag = convert.product_etag(await parts.products.get(product_id))

    with pytest.raises(EtagMismatch):
        await parts.products.archive(product_id, expected_etag='"other"')
    archived = await parts.products.archive(product_id, expected_etag=etag)
    again = await parts.products.archive(product_id, expected_etag=etag)

    assert archived.state is ProductState.ARCHIVED
    assert again == archived == await parts.products.get(product_id)
    with pytest.raises(ProductArchived):
        await parts.products.update(product_id, expected_etag="", change=lambda _: details())


async def test_what_does_not_exist(parts: Parts):
    """Reading, changing, archiving and stocking it fail alike."""
    nobody = UUID(int=0)

    for call in (
        parts.products.get(nobody),
        parts.products.update(nobody, expected_etag="", change=lambda _: details()),
        parts.products.archive(nobody, expected_etag=""),
        parts.stock.adjust(nobody, 1),
    ):
        with pytest.raises(ProductNotFound):
            await call


async def test_putting_adds_or_changes(parts: Parts):
    """An unknown sku is added with its stock, a known one is changed but for its stock."""
    assert await parts.products.put(sku="A", details=details("One"), stock=5) is True
    assert await parts.products.put(sku="A", details=details("Two"), stock=9) is False

    (product,), _ = await parts.products.page(Listing(), after=None, size=2)
    assert (product.details.title, product.stock, product.version) == ("Two", 5, 2)


async def test_migrating_again_changes_nothing(parts: Parts):
    """Indexes and collections are created once, and what is stored stays."""
    product_id = await parts.product()

    await parts.db.migrate()

    assert (await parts.products.get(product_id)).product_id == product_id
