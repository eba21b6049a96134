"""Lists of the catalogue over each database: filter, words, order, pages."""

from itertools import pairwise

import pytest

from services.mesh.errors import InvalidArgument
from services.mesh.ids import new_id
from services.product.image_store import KEEPS_NONE
from services.product.servicer import ProductServicer
from services.product.stock_watch import StockWatch
from souk.product.v1 import product_service_pb2 as pb

from .conftest import KEPT, Parts, details

CATALOGUE = {
    "A": (details("Stoneware mug", minor=1250, tags=("coffee", "kitchen")), 4),
    "B": (details("stoneware Bowl", description="For soup (large)", minor=2999), 0),
    "C": (details("Café filter", description="100% paper", minor=350, tags=("coffee",)), 9),
    "D": (details("Émaille pot", minor=3000, tags=("kitchen", "hot-water")), 4),
}


@pytest.fixture
async def servicer(parts: Parts) -> ProductServicer:
    """Fill the catalogue and give its RPCs."""
    for sku, (said, stock) in CATALOGUE.items():
        await parts.products.create(sku=sku, details=said, stock=stock)
    archived = await parts.product(sku="Z", stock=4)
    await parts.products.archive(archived, expected_etag="")
    watch = StockWatch(parts.stock.levels, interval=KEPT, limit=0)
    return ProductServicer(
        products=parts.products, images=KEEPS_NONE, stock=parts.stock, watch=watch
    )


async def skus(
    servicer: ProductServicer, *, filter_: str = "", query: str = "", order_by: str = ""
) -> str:
    """Return the skus of the list, in its order."""
    request = pb.ListProductsRequest(filter=filter_, query=query, order_by=order_by)
    answer = await servicer.ListProducts(request, None)
    return "".join(product.sku for product in answer.products)


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ("", "ABCD"),
        ("tags:coffee", "AC"),
        ("tags:cof", ""),
        ("tags:coffee AND tags:kitchen", "A"),
        ("sku=B", "B"),
        ("sku=b", ""),
        ("sku=Z", ""),
        ("price.currency_code=EUR", "ABCD"),
        ("price.currency_code=USD", ""),
        ("price.units<30", "ABC"),
        ("price.units<=30", "ABCD"),
        ("price.units=29", "B"),
        ("price.units>12 AND price.units<30", "B"),
        ("stock>0", "ACD"),
        ("stock=4", "AD"),
        ("tags:kitchen AND price.units>=30 AND stock>0", "D"),
    ],
)
async def test_a_list_is_filtered(servicer: ProductServicer, filter_: str, expected: str):
    """Only what meets every comparison is listed, and nothing archived."""
    assert sorted(await skus(servicer, filter_=filter_)) == sorted(expected)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("stoneware", "AB"),
        ("STONEWARE mug", "A"),
        ("soup", "B"),
        ("(large)", "B"),
        ("100%", "C"),
        ("CAFÉ", "C"),
        ("émaille hot-water", "D"),
        ("coffee kitchen", "A"),
        (".*", ""),
        ("mug bowl", ""),
        ("a|b", ""),
        ("\\", ""),
        ("$", ""),
    ],
)
async def test_a_list_is_searched(servicer: ProductServicer, query: str, expected: str):
    """All words must be in title, description or tags, whatever their case, taken literally."""
    assert sorted(await skus(servicer, query=query)) == sorted(expected)


@pytest.mark.parametrize(
    ("order_by", "expected"),
    [
        ("", "DCBA"),
        ("create_time", "ABCD"),
        ("title", "CBAD"),
        ("title desc", "DABC"),
        ("price", "CABD"),
        ("price desc", "DBAC"),
        ("stock", "BADC"),
        ("stock desc", "CDAB"),
    ],
)
async def test_a_list_is_sorted(servicer: ProductServicer, order_by: str, expected: str):
    """By the field asked for; those equal in it by their ids, which is by their age."""
    assert await skus(servicer, order_by=order_by) == expected


@pytest.mark.parametrize("order_by", ["create_time", "title desc", "price", "stock desc"])
async def test_pages_have_everything_once(servicer: ProductServicer, parts: Parts, order_by: str):
    """Page by page the list is the whole list, though products are added meanwhile."""
    before = await skus(servicer, order_by=order_by)
    found: list[str] = []
    token = ""
    for page in range(20):
        request = pb.ListProductsRequest(order_by=order_by, page_size=1, page_token=token)
        answer = await servicer.ListProducts(request, None)
        found.extend(product.sku for product in answer.products)
        token = answer.next_page_token
        if not token:
            break
        if page < len(CATALOGUE):
            await parts.product(sku=f"new-{page}", stock=page)

    assert "".join(sku for sku in found if sku in CATALOGUE) == before
    assert (len(set(found)), token) == (len(found), "")


async def test_the_last_page_has_no_token(servicer: ProductServicer):
    """Also when it is full."""
    answer = await servicer.ListProducts(pb.ListProductsRequest(page_size=4), None)

    assert (len(answer.products), answer.next_page_token) == (4, "")


@pytest.mark.parametrize(
    "other",
    [
        pb.ListProductsRequest(filter="stock>0"),
        pb.ListProductsRequest(order_by="price"),
        pb.ListProductsRequest(query="mug"),
    ],
    ids=["filter", "order_by", "query"],
)
async def test_a_token_belongs_to_its_list(
    servicer: ProductServicer, other: pb.ListProductsRequest
):
    """With another filter, order or query the token is refused; with another size it holds."""
    first = await servicer.ListProducts(pb.ListProductsRequest(page_size=2), None)
    token = first.next_page_token

    other.page_token = token
    with pytest.raises(InvalidArgument) as raised:
        await servicer.ListProducts(other, None)
    second = await servicer.ListProducts(
        pb.ListProductsRequest(page_token=token, page_size=3), None
    )

    assert [each.field for each in raised.value.violations] == ["page_token"]
    assert [product.sku for product in second.products] == ["B", "A"]


async def test_titles_are_in_one_order(parts: Parts):
    """Whatever letters titles have, the database sorts them as Python sorts them casefolded."""
    for title in ("b", "a", "Ä", "ß", "ss", "st", "B ", "😀", "~", "é", "e", "zz", "Z"):
        await parts.products.create(sku=str(new_id()), details=details(title), stock=0)
    servicer = ProductServicer(
        products=parts.products,
        images=KEEPS_NONE,
        stock=parts.stock,
        watch=StockWatch(parts.stock.levels, interval=KEPT, limit=0),
    )

    answer = await servicer.ListProducts(pb.ListProductsRequest(order_by="title"), None)
    keys = [product.title.casefold() for product in answer.products]

    assert all(first <= second for first, second in pairwise(keys))
    assert len(keys) == 13
