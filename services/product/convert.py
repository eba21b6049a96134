"""Between the contract and the domain."""

import dataclasses
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from uuid import UUID

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from services.mesh import etag, page_token
from services.mesh.errors import FieldViolation, InvalidArgument
from services.mesh.ids import parse_id
from services.mesh.money import amount_from_money, money_from_amount
from services.product import filter as product_filter
from services.product.domain.listing import Cursor, Listing, SortField
from services.product.domain.product import Details, Product, ProductState
from souk.product.v1 import product_pb2, stock_service_pb2
from souk.product.v1 import product_service_pb2 as pb

UPDATABLE = ("title", "description", "price", "tags", "image_uris")

_STATES = {
    ProductState.ACTIVE: product_pb2.PRODUCT_STATE_ACTIVE,
    ProductState.ARCHIVED: product_pb2.PRODUCT_STATE_ARCHIVED,
}


def product_to_proto(product: Product) -> product_pb2.Product:
    """Return the message that tells of `product`."""
    return product_pb2.Product(
        product_id=str(product.product_id),
        sku=product.sku,
        title=product.details.title,
        description=product.details.description,
        price=money_from_amount(product.details.price),
        tags=product.details.tags,
        image_uris=product.details.image_uris,
        stock=product.stock,
        state=_STATES[product.state],
        create_time=timestamp(product.create_time),
        update_time=timestamp(product.update_time),
        etag=product_etag(product),
    )


def product_etag(product: Product) -> str:
    """Return the etag of `product` as it is now."""
    return etag.of(product.product_id, product.version)


def details_from_proto(message: product_pb2.Product) -> Details:
    """Return what the message says of a new product.

    Raises InvalidArgument naming the field at fault.
    """
    return Details(
        title=message.title,
        description=message.description,
        price=amount_from_money(message.price, field="product.price"),
        tags=tuple(message.tags),
        image_uris=tuple(message.image_uris),
    )


def change_from_proto(
    message: product_pb2.Product, fields: AbstractSet[str]
) -> Callable[[Product], Details]:
    """Return what makes of a product's details those that the message says in `fields`.

    Raises InvalidArgument naming the field at fault; so does the result, if the product has
    another sku than the message.
    """
    if "title" in fields and not message.title:
        raise _invalid("product.title", "can't be empty", "REQUIRED")
    if "price" in fields and not message.HasField("price"):
        raise _invalid("product.price", "can't be empty", "REQUIRED")
    changes: dict[str, object] = {
        name: getattr(message, name) for name in fields & {"title", "description"}
    }
    if "price" in fields:
        changes["price"] = amount_from_money(message.price, field="product.price")
    for name in fields & {"tags", "image_uris"}:
        changes[name] = tuple(getattr(message, name))

    def change(product: Product) -> Details:
        if message.sku and message.sku != product.sku:
            raise _invalid("product.sku", "can't be changed", "IMMUTABLE")
        return dataclasses.replace(product.details, **changes)  # type: ignore[arg-type]  # by name

    return change


def listing_from_proto(request: pb.ListProductsRequest) -> Listing:
    """Return what the request asks for. Raises InvalidArgument naming the field at fault."""
    sort_field, descending = _order(request.order_by)
    return Listing(
        comparisons=product_filter.parse(request.filter),
        words=_words(request.query),
        sort_field=sort_field,
        descending=descending,
    )


def cursor_from_token(token: str, listing: Listing, *, bound_to: bytes) -> Cursor | None:
    """Return where the page begins, None for the first. Raises InvalidArgument on `page_token`."""
    if not token:
        return None
    by_title = listing.sort_field is SortField.TITLE

    def cursor(values: dict[str, str]) -> Cursor:
        text = values["value"]
        value = text if by_title else page_token.whole_number(text, bits=64)
        return Cursor(value=value, product_id=UUID(values["id"]))

    return page_token.parse(token, bound_to=bound_to, into=cursor)


def token_from_cursor(cursor: Cursor | None, *, bound_to: bytes) -> str:
    """Return the token of the page after the cursor, empty if there is none."""
    if cursor is None:
        return ""
    values = {"value": str(cursor.value), "id": str(cursor.product_id)}
    return page_token.encode(values, bound_to=bound_to)


def quantities_from_proto(items: Sequence[stock_service_pb2.StockItem]) -> dict[UUID, int]:
    """Return how many pieces of each product. Raises InvalidArgument if one stands twice."""
    quantities: dict[UUID, int] = {}
    for index, item in enumerate(items):
        field = f"items[{index}].product_id"
        product_id = parse_id(item.product_id, field=field)
        if product_id in quantities:
            # The contract compares texts, and an id may be written in two cases.
            raise _invalid(field, "may stand in one item only", "DUPLICATE")
        quantities[product_id] = item.quantity
    return quantities


def timestamp(time: datetime) -> Timestamp:
    """Return the time as the contract's message."""
    message = Timestamp()
    message.FromDatetime(time)
    return message


def span_from_duration(duration: Duration) -> timedelta:
    """Return the span, in whole milliseconds, which is what the database counts in."""
    return timedelta(milliseconds=duration.ToMilliseconds())


def _order(text: str) -> tuple[SortField, bool]:
    """Return the field to sort by and whether it descends (AIP-132)."""
    match text.split():
        case []:
            return SortField.CREATE_TIME, True
        case [field] if field in set(SortField):
            return SortField(field), False
        case [field, "desc"] if field in set(SortField):
            return SortField(field), True
    fields = ", ".join(SortField)
    raise _invalid("order_by", f"must be one of {fields}, also with ' desc'", "INVALID_ORDER_BY")


def _words(query: str) -> tuple[str, ...]:
    if "\0" in query:
        raise _invalid("query", "must not contain the character U+0000", "INVALID_QUERY")
    return tuple(dict.fromkeys(query.casefold().split()))


def _invalid(field: str, description: str, reason: str) -> InvalidArgument:
    violation = FieldViolation(field, description, reason)
    return InvalidArgument(f"{field} {description}", violations=[violation])
