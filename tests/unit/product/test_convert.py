"""Between the contract, the domain and the documents."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from google.protobuf.duration_pb2 import Duration
from google.type.money_pb2 import Money
from hypothesis import given
from hypothesis import strategies as st

from services.mesh import page_token
from services.mesh.amount import Amount
from services.mesh.errors import InvalidArgument
from services.product import convert, documents
from services.product.domain.listing import Cursor, Listing, SortField
from services.product.domain.product import Details, Product, ProductState
from souk.product.v1 import product_pb2, stock_service_pb2
from souk.product.v1 import product_service_pb2 as pb

NOW = datetime(2026, 11, 23, 12, 0, 0, 123_000, tzinfo=UTC)
EUR_1299 = Money(currency_code="EUR", units=12, nanos=990_000_000)


def product(title: str = "Mug") -> Product:
    """Return a product."""
    return Product(
        product_id=UUID(int=7),
        sku="MUG-1",
        details=Details(
            title=title,
            description="Stoneware",
            price=Amount(currency="EUR", minor=1299),
            tags=("coffee",),
            image_uris=("https://images.souk.example/products/1/2.png",),
        ),
        stock=3,
        state=ProductState.ACTIVE,
        create_time=NOW,
        update_time=NOW + timedelta(seconds=1),
        version=1,
    )


def violation(raised: pytest.ExceptionInfo[InvalidArgument]) -> tuple[str, str]:
    """Return the field and the reason of the one violation."""
    (found,) = raised.value.violations
    return found.field, found.reason


def test_a_product_becomes_its_message():
    """Every field of the contract is told."""
    message = convert.product_to_proto(product())

    assert {field.name for field, _ in message.ListFields()} == {
        field.name for field in message.DESCRIPTOR.fields
    }
    assert message.price == EUR_1299
    assert message.create_time.ToDatetime(UTC) == NOW


def test_a_product_survives_its_document():
    """What is stored is what is read."""
    assert documents.product_from_document(documents.document_from_product(product())) == product()


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (Money(currency_code="EUR", nanos=5_000_000), ("product.price.nanos", "MINOR_UNIT")),
        (Money(currency_code="JPY", nanos=10_000_000), ("product.price.nanos", "MINOR_UNIT")),
        (Money(currency_code="XXX", units=1), ("product.price.currency_code", "CURRENCY")),
    ],
)  # fmt: skip
def test_a_price_that_cannot_be_is_refused(price: Money, expected: tuple[str, str]):
    """What is finer than the minor unit, or of no known currency, names the field of the price."""
    with pytest.raises(InvalidArgument) as raised:
        convert.details_from_proto(product_pb2.Product(title="Mug", price=price))

    assert violation(raised) == expected


def test_a_change_takes_the_named_fields_alone():
    """What the mask does not name stays, what it names is taken, empty or not."""
    message = product_pb2.Product(title="Cup", description="ignored", price=EUR_1299)

    change = convert.change_from_proto(message, frozenset({"title", "tags"}))

    assert change(product()) == Details(
        title="Cup",
        description="Stoneware",
        price=Amount(currency="EUR", minor=1299),
        tags=(),
        image_uris=("https://images.souk.example/products/1/2.png",),
    )


@pytest.mark.parametrize("field", ["title", "price"])
def test_what_a_product_needs_cannot_be_cleared(field: str):
    """A mask that names title or price needs a value for it."""
    with pytest.raises(InvalidArgument) as raised:
        convert.change_from_proto(product_pb2.Product(), frozenset({field}))

    assert violation(raised) == (f"product.{field}", "REQUIRED")


def test_the_sku_stays():
    """Sending the sku as it is does no harm; another one is refused on its path."""
    same = convert.change_from_proto(product_pb2.Product(sku="MUG-1"), frozenset())
    other = convert.change_from_proto(product_pb2.Product(sku="MUG-2"), frozenset())

    assert same(product()) == product().details
    with pytest.raises(InvalidArgument) as raised:
        other(product())
    assert violation(raised) == ("product.sku", "IMMUTABLE")


@pytest.mark.parametrize(
    ("order_by", "expected"),
    [
        ("", (SortField.CREATE_TIME, True)),
        ("create_time", (SortField.CREATE_TIME, False)),
        ("price", (SortField.PRICE, False)),
        (" title  desc ", (SortField.TITLE, True)),
        ("stock desc", (SortField.STOCK, True)),
    ],
)
def test_an_order_is_read(order_by: str, expected: tuple[SortField, bool]):
    """A field, descending if it says so; the newest first if nothing is said."""
    listing = convert.listing_from_proto(pb.ListProductsRequest(order_by=order_by))

    assert (listing.sort_field, listing.descending) == expected


@pytest.mark.parametrize("order_by", ["name", "price asc", "price,title", "desc", "price desc x"])
def test_a_faulty_order_is_refused(order_by: str):
    """Anything else names the field."""
    with pytest.raises(InvalidArgument) as raised:
        convert.listing_from_proto(pb.ListProductsRequest(order_by=order_by))

    assert violation(raised) == ("order_by", "INVALID_ORDER_BY")


def test_a_query_becomes_its_words():
    """Words count once, whatever their case; a character that no database takes is refused."""
    listing = convert.listing_from_proto(pb.ListProductsRequest(query=" Straße mug  STRASSE\tMug"))

    assert listing.words == ("strasse", "mug")
    with pytest.raises(InvalidArgument) as raised:
        convert.listing_from_proto(pb.ListProductsRequest(query="a\0b"))
    assert violation(raised) == ("query", "INVALID_QUERY")


@given(st.text(min_size=1, max_size=200))
def test_a_page_token_fits_whatever_the_title(title: str):
    """The token after any title keeps to the contract's 512 characters, and leads back."""
    document = documents.document_from_product(product(title))
    cursor = Cursor(value=document["title_key"], product_id=UUID(int=7))
    listing = Listing(sort_field=SortField.TITLE)

    token = convert.token_from_cursor(cursor, bound_to=b"x")

    assert len(token) <= 512
    assert convert.cursor_from_token(token, listing, bound_to=b"x") == cursor


@pytest.mark.parametrize(
    "cursor", [{"value": "x", "id": str(UUID(int=7))}, {"value": "1", "id": "x"}, {}]
)
def test_a_forged_cursor_is_refused(cursor: dict[str, str]):
    """A token that holds no cursor of this list names the page token."""
    token = page_token.encode(cursor, bound_to=b"x")

    with pytest.raises(InvalidArgument) as raised:
        convert.cursor_from_token(token, Listing(), bound_to=b"x")

    assert violation(raised) == ("page_token", "INVALID_PAGE_TOKEN")


def test_a_span_is_in_whole_milliseconds():
    """What is finer than the database's clock is cut off."""
    duration = Duration(seconds=10, nanos=1_999_999)

    assert convert.span_from_duration(duration) == timedelta(seconds=10, milliseconds=1)


def test_a_product_stands_in_one_item_however_its_id_is_written():
    """An id in another case is the same product's."""
    text = "0199a3c4-0000-7000-8000-00000000000a"
    items = [
        stock_service_pb2.StockItem(product_id=each, quantity=1) for each in (text, text.upper())
    ]

    assert convert.quantities_from_proto(items[:1]) == {UUID(text): 1}
    with pytest.raises(InvalidArgument) as raised:
        convert.quantities_from_proto(items)
    assert violation(raised) == ("items[1].product_id", "DUPLICATE")
