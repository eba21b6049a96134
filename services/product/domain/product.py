"""Products: ACTIVE until archived, then ARCHIVED for good, since orders still refer to them."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from services.mesh.amount import Amount
from services.mesh.errors import AlreadyExists, FailedPrecondition, NotFound


class ProductState(StrEnum):
    """Whether a product can be bought."""

    ACTIVE = "ACTIVE"
    ARCHIVED = "ARCHIVED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What a merchant says of a product, and may change."""

    title: str
    description: str
    price: Amount
    tags: tuple[str, ...]
    image_uris: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What can be bought.

    `stock` counts the pieces that can be bought now. `version` counts the changes of the product
    from 1, those of its stock aside.
    """

    product_id: UUID
    sku: str
    details: Details
    stock: int
    state: ProductState
    create_time: datetime
    update_time: datetime
    version: int

    def changed(self, details: Details, *, now: datetime) -> "Product":
        """Return the product with other details. Raises ProductArchived."""
        if self.state is ProductState.ARCHIVED:
            raise ProductArchived("the product is archived", product_id=str(self.product_id))
        return replace(self, details=details, update_time=now, version=self.version + 1)

    def archived(self, *, now: datetime) -> "Product":
        """Return the product taken out of the catalogue; itself if it is already."""
        if self.state is ProductState.ARCHIVED:
            return self
        return replace(self, state=ProductState.ARCHIVED, update_time=now, version=self.version + 1)


class ProductNotFound(NotFound):
    """There is no such product; `product_id` in the metadata names it."""

    reason = "PRODUCT_NOT_FOUND"


class SkuTaken(AlreadyExists):
    """A product with this code exists."""

    reason = "SKU_TAKEN"


class ProductArchived(FailedPrecondition):
    """The product is no longer sold."""

    reason = "PRODUCT_ARCHIVED"


class ImagesNotKept(FailedPrecondition):
    """The shop keeps no pictures."""

    reason = "IMAGES_NOT_KEPT"
