"""Orders and products whose JSON is wrong. In it, PRODUCT stands for an id.

All but the body is right: a customer's order with a new key, or staff's product.
"""

from tests.contract.bad_input.http import Request

_LINES = ("content-type: application/json", "idempotency-key: KEY")


def order(body: bytes, names: str = "") -> Request:
    """Makes a row of an order."""
    return Request(
        line="POST /v1/orders", who="customer", status=400, names=names, lines=_LINES, body=body
    )


def items(text: bytes, names: str) -> Request:
    """Makes a row of an order with these items."""
    return order(b'{"items":%b,"paymentToken":"tok_ok"}' % text, names)


def item(text: bytes, names: str) -> Request:
    """Makes a row of an order of one product, of which more is said."""
    return items(b'[{"productId":"PRODUCT",%b}]' % text, names)


def product(price: bytes, names: str, more: bytes = b"") -> Request:
    """Makes a row of a product with this price."""
    body = b'{"sku":"bad-json","title":"Bad","price":%b%b}' % (price, more)
    return Request(
        line="POST /v1/products", who="staff", status=400, names=names, lines=_LINES, body=body
    )


_TEXTS = {
    "no JSON": order(b"order=1"),
    "nothing": order(b"", "items"),
    "an object that does not end": order(b'{"items":['),
    "two objects": order(b"{} {}"),
    "a comma too many": order(b'{"paymentToken":"tok_ok",}'),
    "single quotes": order(b"{'paymentToken':'tok_ok'}"),
    "a name without quotes": order(b'{paymentToken:"tok_ok"}'),
    "a comment": order(b'{} // "tok_ok"'),
    "a line break in a text": order(b'{"paymentToken":"tok\nok"}'),
    "an escape that is none": order(b'{"paymentToken":"\\x41"}'),
    "bytes that are no UTF-8": order(b'{"paymentToken":"\xff"}'),
    "half a surrogate": order(b'{"paymentToken":"\\ud800"}', "payment_token"),
    "UTF-16": order('{"paymentToken":"tok_ok"}'.encode("utf-16")),
    "a mark of byte order": order(b'\xef\xbb\xbf{"paymentToken":"tok_ok"}'),
    "nesting without end": order(b'{"items":' * 5_000),
    "arrays within arrays": order(b"[" * 100_000),
}

_VALUES = {
    "null": order(b"null"),
    "a list": order(b"[]"),
    "a text": order(b'"tok_ok"'),
    "a number": order(b"7"),
    "a field of nobody's": order(b'{"coupon":"free"}', "coupon"),
    "a total of the client's": order(b'{"total":{"units":0}}', "total"),
    "a state of the client's": order(b'{"state":"ORDER_STATE_CONFIRMED"}', "state"),
    "a field twice": order(b'{"paymentToken":"tok_ok","paymentToken":"tok_ok"}', "payment_token"),
    "a field by both of its names": order(
        b'{"paymentToken":"tok_ok","payment_token":"tok_ok"}', "payment_token"
    ),
    "a name in another case": order(b'{"PaymentToken":"tok_ok"}', "PaymentToken"),
    "a number for a text": order(b'{"paymentToken":7}', "payment_token"),
    "an object for a text": order(b'{"paymentToken":{"$ne":null}}', "payment_token"),
    "an object for a list": items(b'{"productId":"PRODUCT"}', "items"),
    "a text for an object": items(b'["PRODUCT"]', "items[0]"),
    "null in a list": items(b"[null]", "items[0]"),
    "no items": items(b"[]", "items"),
    "a hundred and one items": items(
        b"[" + b",".join([b'{"productId":"PRODUCT","quantity":1}'] * 101) + b"]", "items"
    ),
    "a price of the client's": item(b'"quantity":1,"unitPrice":{"units":0}', "items[0].unitPrice"),
    "half a piece": item(b'"quantity":1.5', "items[0].quantity"),
    "no pieces": item(b'"quantity":0', "items[0].quantity"),
    "pieces that are owed": item(b'"quantity":-1', "items[0].quantity"),
    "pieces beyond 32 bits": item(b'"quantity":4294967297', "items[0].quantity"),
    "pieces without end": item(b'"quantity":1e999', "items[0].quantity"),
    "pieces that are no number": item(b'"quantity":NaN', ""),
    "pieces in words": item(b'"quantity":"two"', "items[0].quantity"),
    "true pieces": item(b'"quantity":true', "items[0].quantity"),
    "pieces in hexadecimal": item(b'"quantity":0x10', ""),
    "pieces with a plus": item(b'"quantity":+1', ""),
    "pieces with a zero before": item(b'"quantity":01', ""),
}

_PRODUCTS = {
    "a price that is a number": product(b"12.5", "product.price"),
    "a price with a fraction": product(
        b'{"currencyCode":"EUR","units":12.5}', "product.price.units"
    ),
    "a price beyond 64 bits": product(
        b'{"currencyCode":"EUR","units":"9223372036854775808"}', "product.price.units"
    ),
    "a price below nothing": product(b'{"currencyCode":"EUR","units":-1}', "product.price"),
    "a price finer than a cent": product(
        b'{"currencyCode":"EUR","nanos":1}', "product.price.nanos"
    ),
    "a price in no currency": product(b'{"units":1}', "product.price"),
    "a time that is none": product(
        b'{"currencyCode":"EUR","units":1}', "product.create_time", b',"createTime":"yesterday"'
    ),
    "a state that is none": product(
        b'{"currencyCode":"EUR","units":1}', "product.state", b',"state":"PRODUCT_STATE_FREE"'
    ),
}

JSON = {**_TEXTS, **_VALUES, **_PRODUCTS}
