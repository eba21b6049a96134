"""The demo catalogue keeps the contract's rules and looks like a shop's."""

import protovalidate

from services.local.demo import loading
from souk.product.v1 import product_service_pb2


def test_catalogue_has_at_least_sixty_products() -> None:
    """There is enough to page through."""
    assert len(loading.products()) >= 60


def test_codes_and_titles_are_unique() -> None:
    """No two products share a code or a title."""
    products = loading.products()
    assert len({product.sku for product in products}) == len(products)
    assert len({product.title for product in products}) == len(products)


def test_every_product_would_be_taken() -> None:
    """Each product passes the rules of an import."""
    for product in loading.products():
        protovalidate.validate(product_service_pb2.ImportProductsRequest(product=product))


def test_every_product_is_described_priced_and_in_stock() -> None:
    """Nothing in the demo shop is a placeholder, and all of it can be bought in one order."""
    for product in loading.products():
        assert product.description
        assert product.tags
        assert product.stock > 0
        assert product.price.currency_code == "EUR"
        assert product.price.nanos % 10_000_000 == 0
