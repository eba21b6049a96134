"""The catalogue's queries. What touches the stock alone is in `stock_store`."""

import re
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.mesh import etag, ids
from services.mesh.errors import Aborted
from services.product import convert, documents
from services.product.domain.listing import Comparison, Cursor, Listing, Operator, SortField
from services.product.domain.product import (
    Details,
    Product,
    ProductNotFound,
    ProductState,
    SkuTaken,
)
from services.product.mongodb import Database

_TRIES = 5
_RETRY_AFTER = timedelta(milliseconds=100)

# Everything of a product but what may be large.
_PRODUCT = {"reservations": 0, "search": 0}

_FIELDS = {
    "tags": "tags",
    "sku": "sku",
    "price.currency_code": "currency",
    "price.units": "price_units",
    "stock": "stock",
}
_OPERATORS = {
    Operator.HAS: "$eq",
    Operator.EQUAL: "$eq",
    Operator.LESS: "$lt",
    Operator.LESS_OR_EQUAL: "$lte",
    Operator.GREATER: "$gt",
    Operator.GREATER_OR_EQUAL: "$gte",
}
_SORT_KEYS = {
    SortField.CREATE_TIME: "create_ms",
    SortField.TITLE: "title_key",
    SortField.PRICE: "price_minor",
    SortField.STOCK: "stock",
}


class ProductStore:
    """The products."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def get(self, product_id: UUID) -> Product:
        """Return a product, archived or not. Raises ProductNotFound."""
        return await self._one({"_id": str(product_id)})

    async def batch_get(self, product_ids: Collection[UUID]) -> list[Product]:
        """Return the products in the order of their ids. Raises ProductNotFound."""
        found = await self._db.products.find(
            {"_id": {"$in": [str(each) for each in product_ids]}}, _PRODUCT, limit=len(product_ids)
        )
        by_id = {document["_id"]: document for document in found}
        missing = [str(each) for each in product_ids if str(each) not in by_id]
        if missing:
            raise _not_found(missing[0])
        return [documents.product_from_document(by_id[str(each)]) for each in product_ids]

    async def page(
        self, listing: Listing, *, after: Cursor | None, size: int
    ) -> tuple[list[Product], Cursor | None]:
        """Return the products of a page and the cursor of the next one, None if it is the last."""
        key = _SORT_KEYS[listing.sort_field]
        direction = -1 if listing.descending else 1
        conditions = [*_conditions(listing), *_after(after, key, descending=listing.descending)]
        found = await self._db.products.find(
            {"state": ProductState.ACTIVE.value, **({"$and": conditions} if conditions else {})},
            _PRODUCT,
            sort=[(key, direction), ("_id", direction)],
            limit=size + 1,
        )
        cursor = None
        if len(found) > size:
            last = found[size - 1]
            cursor = Cursor(value=last[key], product_id=UUID(last["_id"]))
        return [documents.product_from_document(each) for each in found[:size]], cursor

    async def create(self, *, sku: str, details: Details, stock: int) -> Product:
        """Add a product. Raises SkuTaken."""
        now = await self._db.now()
        product = Product(
            product_id=ids.new_id(),
            sku=sku,
            details=details,
            stock=stock,
            state=ProductState.ACTIVE,
            create_time=now,
            update_time=now,
            version=1,
        )
        if not await self._db.products.insert(documents.document_from_product(product)):
            raise SkuTaken("a product with this sku exists", sku=sku)
        return product

    async def update(
        self, product_id: UUID, *, expected_etag: str, change: Callable[[Product], Details]
    ) -> Product:
        """Give a product the details that `change` makes of it as it is.

        Raises ProductNotFound, ProductArchived, EtagMismatch, and whatever `change` raises.
        """

        def changed(product: Product, now: datetime) -> Product:
            etag.check(expected_etag, current=convert.product_etag(product))
            return product.changed(change(product), now=now)

        return await self._write({"_id": str(product_id)}, changed)

    async def archive(self, product_id: UUID, *, expected_etag: str) -> Product:
        """Take a product out of the catalogue; an archived one stays as it is, whatever the etag.

        Raises ProductNotFound, EtagMismatch.
        """

        def archived(product: Product, now: datetime) -> Product:
            changed = product.archived(now=now)
            if changed is not product:
                etag.check(expected_etag, current=convert.product_etag(product))
            return changed

        return await self._write({"_id": str(product_id)}, archived)

    async def put(self, *, sku: str, details: Details, stock: int) -> bool:
        """Add a product, or change the one with this sku but for its stock; return if it is new.

        Raises ProductArchived.
        """
        try:
            await self._write({"sku": sku}, lambda product, now: product.changed(details, now=now))
        except ProductNotFound:
            try:
                await self.create(sku=sku, details=details, stock=stock)
            except SkuTaken as error:
                raise _contended() from error
            return True
        return False

    async def _write(
        self, filter_: dict[str, str], change: Callable[[Product, datetime], Product]
    ) -> Product:
        """Replace a product by what `change` makes of it, unless another was faster: then again.

        Raises ProductNotFound, Aborted if others are always faster, and whatever `change` raises.
        """
        now = await self._db.now()
        for _ in range(_TRIES):
            product = await self._one(filter_)
            changed = change(product, now)
            if changed is product:
                return product
            if await self._db.products.update(
                {"_id": str(product.product_id), "version": product.version},
                {"$set": documents.changes_from_product(changed)},
            ):
                return changed
        raise _contended()

    async def _one(self, filter_: dict[str, str]) -> Product:
        document = await self._db.products.find_one(filter_, _PRODUCT)
        if document is None:
            raise _not_found(filter_.get("_id", ""))
        return documents.product_from_document(document)


def _conditions(listing: Listing) -> list[dict[str, Any]]:
    """Return what the documents of a list meet."""
    return [
        *(_condition(each) for each in listing.comparisons),
        *({"search": {"$regex": re.escape(word)}} for word in listing.words),
    ]


def _condition(comparison: Comparison) -> dict[str, Any]:
    # On `tags`, an array, equality means that one of its items is equal.
    return {_FIELDS[comparison.field]: {_OPERATORS[comparison.operator]: comparison.value}}


def _after(cursor: Cursor | None, key: str, *, descending: bool) -> Sequence[dict[str, Any]]:
    """Return the condition that a document comes after the cursor."""
    if cursor is None:
        return ()
    operator = "$lt" if descending else "$gt"
    later = {key: {operator: cursor.value}}
    later_of_equals = {key: cursor.value, "_id": {operator: str(cursor.product_id)}}
    return ({"$or": [later, later_of_equals]},)


def _not_found(product_id: str) -> ProductNotFound:
    return ProductNotFound("there is no such product", product_id=product_id)


def _contended() -> Aborted:
    return Aborted("the product is being changed by others", retry_after=_RETRY_AFTER)
