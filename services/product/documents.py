"""Between the domain and the documents of the database.

products
    _id, sku, title, description, currency, price_minor, tags, image_uris, state, stock, version,
    create_ms, update_ms
    price_units, title_key, search    derived from these, to list by
    reservations                      {order id: {state, quantity, expire_ms, change_ms}}
    reservations_version              counts their changes
    due_ms                            when the first is due, or earlier; absent if none is
commitments
    _id                               "<product id>/<order id>"
    state, quantity, expire_ms, change_ms
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from services.mesh.amount import Amount
from services.mesh.currencies import MINOR_UNITS
from services.product.domain.product import Details, Product, ProductState
from services.product.domain.reservation import Reservation, ReservationState, StockRecord

Document = dict[str, Any]

# A page token holds the key and may have 512 characters (proto/souk/product/v1).
_MOST_TITLE_KEY_BYTES = 240

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def document_from_product(product: Product) -> Document:
    """Return the document of a new product."""
    return {
        "_id": str(product.product_id),
        "sku": product.sku,
        "stock": product.stock,
        "create_ms": ms_from_time(product.create_time),
        "reservations": {},
        "reservations_version": 0,
        **changes_from_product(product),
    }


def changes_from_product(product: Product) -> Document:
    """Return the fields that an update of the product writes."""
    details = product.details
    return {
        "title": details.title,
        "description": details.description,
        "currency": details.price.currency,
        "price_minor": details.price.minor,
        "price_units": details.price.minor // 10 ** MINOR_UNITS[details.price.currency],
        "tags": list(details.tags),
        "image_uris": list(details.image_uris),
        "title_key": _title_key(details.title),
        "search": "\n".join((details.title, details.description, *details.tags)).casefold(),
        "state": product.state.value,
        "update_ms": ms_from_time(product.update_time),
        "version": product.version,
    }


def product_from_document(document: Document) -> Product:
    """Return the product of a document."""
    return Product(
        product_id=UUID(document["_id"]),
        sku=document["sku"],
        details=Details(
            title=document["title"],
            description=document["description"],
            price=Amount(currency=document["currency"], minor=document["price_minor"]),
            tags=tuple(document["tags"]),
            # Products that are older than their pictures have none.
            image_uris=tuple(document.get("image_uris", ())),
        ),
        stock=document["stock"],
        state=ProductState(document["state"]),
        create_time=time_from_ms(document["create_ms"]),
        update_time=time_from_ms(document["update_ms"]),
        version=document["version"],
    )


def document_from_reservation(reservation: Reservation) -> Document:
    """Return what the map of reservations has for an order."""
    return {
        "state": reservation.state.value,
        "quantity": reservation.quantity,
        "expire_ms": ms_from_time(reservation.expire_time),
        "change_ms": ms_from_time(reservation.change_time),
    }


def reservation_from_document(document: Document) -> Reservation:
    """Return the reservation that a document tells of."""
    return Reservation(
        state=ReservationState(document["state"]),
        quantity=document["quantity"],
        expire_time=time_from_ms(document["expire_ms"]),
        change_time=time_from_ms(document["change_ms"]),
    )


def stock_record_from_document(document: Document) -> StockRecord:
    """Return the stock that a product's document tells of."""
    return StockRecord(
        product_id=UUID(document["_id"]),
        state=ProductState(document["state"]),
        stock=document["stock"],
        reservations={
            UUID(order_id): reservation_from_document(each)
            for order_id, each in document["reservations"].items()
        },
        version=document["reservations_version"],
    )


def document_from_commitment(
    product_id: UUID, order_id: UUID, reservation: Reservation
) -> Document:
    """Return the document that keeps a committed reservation outside its product."""
    return {"_id": commitment_id(product_id, order_id), **document_from_reservation(reservation)}


def reservation_key(order_id: UUID) -> str:
    """Return the path of an order's reservation in its product's document."""
    return f"reservations.{order_id}"


def unchanged(order_id: UUID, reservation: Reservation | None) -> Document:
    """Return the condition that the order's reservation is still this one, or that it has none."""
    key = reservation_key(order_id)
    if reservation is None:
        return {key: {"$exists": False}}
    document = document_from_reservation(reservation)
    return {f"{key}.{name}": value for name, value in document.items()}


def commitment_id(product_id: UUID, order_id: UUID) -> str:
    """Return the id of the commitment of a product to an order."""
    return f"{product_id}/{order_id}"


def ms_from_time(time: datetime) -> int:
    """Return the whole milliseconds since 1970."""
    return (time - _EPOCH) // timedelta(milliseconds=1)


def time_from_ms(milliseconds: int) -> datetime:
    """Return the time so many milliseconds after 1970 began."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def _title_key(title: str) -> str:
    """Return what titles are sorted by: casefolded, and cut to what fits in a page token."""
    key = title.casefold()
    while len(json.dumps(key)) > _MOST_TITLE_KEY_BYTES:
        key = key[:-1]
    return key
