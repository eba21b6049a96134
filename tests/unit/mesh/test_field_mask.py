"""An update mask writes the fields it names and no other."""

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from services.mesh.errors import InvalidArgument
from services.mesh.field_mask import merged, updated_fields
from souk.product.v1.product_pb2 import Product

UPDATABLE = frozenset({"title", "description", "price", "tags"})


def test_empty_mask() -> None:
    """Without a mask the populated fields are written, as far as they can be."""
    sent = Product(product_id="7", title="Pot", stock=3)
    assert updated_fields(FieldMask(), sent, updatable=UPDATABLE) == {"title"}


def test_everything() -> None:
    """A star writes every updatable field, populated or not."""
    assert updated_fields(FieldMask(paths=["*"]), Product(), updatable=UPDATABLE) == UPDATABLE


def test_named() -> None:
    """A named field is written even if it is empty."""
    mask = FieldMask(paths=["description"])
    assert updated_fields(mask, Product(title="Pot"), updatable=UPDATABLE) == {"description"}


def test_output_only() -> None:
    """An output-only field may be named and is left alone (AIP-203)."""
    mask = FieldMask(paths=["title", "create_time"])
    assert updated_fields(mask, Product(), updatable=UPDATABLE) == {"title"}


@pytest.mark.parametrize(
    ("paths", "refused"),
    [
        (["colour"], ["colour"]),
        (["title", "sku", "nothing"], ["sku", "nothing"]),
        (["price.units"], ["price.units"]),
        ([""], [""]),
        (["*", "title"], ["*"]),
    ],
)
def test_refused(paths: list[str], refused: list[str]) -> None:
    """A path that is unknown or cannot be updated is refused by name."""
    with pytest.raises(InvalidArgument) as caught:
        updated_fields(FieldMask(paths=paths), Product(), updatable=UPDATABLE)
    descriptions = [(each.field, each.description) for each in caught.value.violations]
    assert descriptions == [
        ("update_mask", f"the path {path!r} cannot be updated") for path in refused
    ]


def test_merged() -> None:
    """Named fields are taken whole, lists too; the others stay."""
    current = Product(title="Pot", description="Old", tags=["clay", "red"])
    current.price.units = 5
    sent = Product(title="Jar", tags=["blue"])
    result = merged(current, sent, fields={"description", "tags", "price"})
    assert result == Product(title="Pot", tags=["blue"])
    assert current.description == "Old"
