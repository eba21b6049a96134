"""Requests to the gateway that are wrong as HTTP, or by who sends them.

In what is sent, PRODUCT and ORDER stand for ids, KEY for an idempotency key that is new.
"""

import gzip
import zlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it goes onto the wire, and how it is answered.

    `who`: "customer", "stranger", "staff" or "nobody", whose token goes with it. `names`: the field
    at fault or the reason, empty where neither is told. `lines`: header lines, beside the usual.
    """

    status: int
    names: str = ""
    line: str = "GET /v1/products/PRODUCT"
    who: str = "nobody"
    lines: tuple[str, ...] = ()
    body: bytes | None = None
    raw: bytes | None = None
    """All of the request, where it is not even made of lines."""


def get(line: str, status: int, names: str = "", *lines: str, who: str = "nobody") -> Request:
    """Makes a row without a body."""
    return Request(line=line, status=status, names=names, lines=lines, who=who)


def raw(sent: bytes, status: int) -> Request:
    """Makes a row of bytes."""
    return Request(raw=sent, status=status)


def order(status: int, names: str, *lines: str, body: bytes) -> Request:
    """Makes a row that would be an order."""
    return Request(
        line="POST /v1/orders", who="customer", status=status, names=names, lines=lines, body=body
    )


_JSON = "content-type: application/json"
_GOOD = b'{"items":[{"productId":"PRODUCT","quantity":1}],"paymentToken":"tok_ok"}'
_HEAD = b"POST /v1/orders HTTP/1.1\r\nhost: a\r\n"
_TE = b"transfer-encoding: chunked\r\n"
_BOMB = gzip.compress(b" " * 3_000_000)

_TARGETS = {
    "a path that is not there": get("GET /v1/nothing", 404),
    "a path that goes up": get("GET /v1/products/../../etc/passwd", 404),
    "a path that goes up in escapes": get(
        "GET /v1/products/%2e%2e%2fusers%2fme", 400, "product_id"
    ),
    "a path with an escape that is none": get("GET /v1/products/%zz", 400, "product_id"),
    "a path with escapes that are no UTF-8": get("GET /v1/products/%ff", 400, "product_id"),
    "a NUL in the path": get("GET /v1/products/%00", 400, "product_id"),
    "a verb that is not there": get("POST /v1/orders/ORDER:steal", 405),
    "another method": get("DELETE /v1/orders", 405),
    "TRACE": get("TRACE /v1/products", 405),
    "a method of nobody's": get("FOO /v1/products", 405),
    "a parameter that is no field": get("GET /v1/products?colour=red", 400, "colour"),
    "a parameter that comes twice": get("GET /v1/products?pageSize=1&pageSize=2", 400, "page_size"),
    "a parameter that is no number": get("GET /v1/products?pageSize=many", 400, "page_size"),
    "a parameter beyond 32 bits": get("GET /v1/products?pageSize=4294967296", 400, "page_size"),
    "a page that is too large": get("GET /v1/products?pageSize=101", 400, "page_size"),
    "a page of less than nothing": get("GET /v1/products?pageSize=-1", 400, "page_size"),
    "an escape in a parameter that is none": get("GET /v1/products?query=%f", 400, "query"),
    "an id that is none": get("GET /v1/products/1", 400, "product_id"),
}

_FIELDS = {
    "a timeout that is none": get("GET /v1/products", 400, "grpc-timeout", "grpc-timeout: soon"),
    "metadata that is no base64": get(
        "GET /v1/products", 400, "grpc-metadata-x-bin", "grpc-metadata-x-bin: %%%"
    ),
    "metadata of more than 7 KiB": get(
        "GET /v1/products", 431, "", f"grpc-metadata-x: {'a' * 7_200}"
    ),
    "a header of more than 16 KiB": get("GET /v1/products", 431, "", f"x: {'a' * 17_000}"),
    "more than a hundred fields": get("GET /v1/products", 431, "", *(["x: a"] * 101)),
    "a target of more than 8 KiB": get(f"GET /v1/products?query={'a' * 9_000}", 414),
    "another content type": order(
        415,
        "content-type",
        "content-type: application/xml",
        "idempotency-key: KEY",
        body=b"<order/>",
    ),
    "a coding that is not known": order(
        415,
        "content-encoding",
        _JSON,
        "content-encoding: compress",
        "idempotency-key: KEY",
        body=_GOOD,
    ),
    "a coding that it is not in": order(
        400, "content-encoding", _JSON, "content-encoding: gzip", "idempotency-key: KEY", body=_GOOD
    ),
    "a body that is cut within its coding": order(
        400,
        "content-encoding",
        _JSON,
        "content-encoding: gzip",
        "idempotency-key: KEY",
        body=gzip.compress(_GOOD)[:-9],
    ),
    "a body that unpacks to megabytes": order(
        413, "", _JSON, "content-encoding: gzip", "idempotency-key: KEY", body=_BOMB
    ),
    "a coding within a coding": order(
        415,
        "content-encoding",
        _JSON,
        "content-encoding: gzip, deflate",
        "idempotency-key: KEY",
        body=zlib.compress(gzip.compress(_GOOD)),
    ),
    "a body of more than 256 KiB": order(
        413, "", _JSON, "idempotency-key: KEY", body=b'{"paymentToken":"%b"}' % (b"x" * 300_000)
    ),
    "no idempotency key": order(400, "request_id", _JSON, body=_GOOD),
    "an idempotency key that is too long": order(
        400, "request_id", _JSON, f"idempotency-key: {'k' * 129}", body=_GOOD
    ),
}

_SMUGGLING = {
    "no request": raw(b"nonsense\r\n\r\n", 400),
    "TLS": raw(b"\x16\x03\x01\x02\x00\x01\x00", 400),
    "HTTP/2 without asking": raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/0.9": raw(b"GET /\r\n\r\n", 400),
    "no host": raw(b"GET /v1/products HTTP/1.1\r\n\r\n", 400),
    "two hosts": raw(b"GET /v1/products HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
    "a length and a coding": raw(_HEAD + b"content-length: 5\r\n" + _TE + b"\r\n0\r\n\r\n", 400),
    "two lengths": raw(_HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}", 400),
    "two lengths in one": raw(_HEAD + b"content-length: 2, 2\r\n\r\n{}", 400),
    "a length with a sign": raw(_HEAD + b"content-length: +2\r\n\r\n{}", 400),
    "a coding with a space before its colon": raw(
        _HEAD + b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n", 400
    ),
    "a coding that is hidden": raw(_HEAD + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "chunks in HTTP/1.0": raw(
        b"POST /v1/orders HTTP/1.0\r\nhost: a\r\n" + _TE + b"\r\n0\r\n\r\n", 400
    ),
    "a folded field": raw(b"GET / HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\n\r\n", 400),
    "a bare line feed": raw(b"GET / HTTP/1.1\r\nhost: a\r\nx: a\nauthorization: b\r\n\r\n", 400),
    "a NUL in a field": raw(b"GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n", 400),
    "a chunk with a sign": raw(_HEAD + _TE + b"\r\n+2\r\n{}\r\n0\r\n\r\n", 400),
    "a chunk longer than it says": raw(_HEAD + _TE + b"\r\n1\r\n{}\r\n0\r\n\r\n", 400),
    "an endless extension of a chunk": raw(
        _HEAD + _TE + b"\r\n2;" + b"a" * 17_000 + b"\r\n{}\r\n0\r\n\r\n", 431
    ),
}

HTTP = {**_TARGETS, **_FIELDS, **_SMUGGLING}

_SPOOFED = (
    "x-user-id: ORDER",
    "x-souk-subject: ORDER",
    "x-souk-service: order",
    "x-forwarded-user: admin",
    "x-authenticated-userid: admin",
    "x-consumer-username: admin",
    "forwarded: for=127.0.0.1",
    "x-forwarded-client-cert: URI=spiffe://souk/order",
)

AUTHORIZATION = {
    "nobody's orders": get("GET /v1/orders", 401, "NOT_SIGNED_IN"),
    "orders of who is named beside": get("GET /v1/orders", 401, "NOT_SIGNED_IN", *_SPOOFED),
    "orders of who is named in metadata": get(
        "GET /v1/orders",
        401,
        "NOT_SIGNED_IN",
        *(f"grpc-metadata-{line}" for line in _SPOOFED),
    ),
    "a token in the query": get("GET /v1/orders?access_token=abc", 401, "NOT_SIGNED_IN"),
    "a token in a cookie": get("GET /v1/orders", 401, "NOT_SIGNED_IN", "cookie: authorization=abc"),
    "a password instead": get(
        "GET /v1/orders", 401, "AUTHORIZATION_MALFORMED", "authorization: Basic YWRhOm9wZW4="
    ),
    "two tokens": get(
        "GET /v1/orders",
        401,
        "AUTHORIZATION_MALFORMED",
        "authorization: Bearer abc",
        who="customer",
    ),
    "a token that is none": get(
        "GET /v1/orders", 401, "TOKEN_INVALID", "authorization: Bearer abc"
    ),
    "the users, as a customer": get("GET /v1/users", 403, "ROLE_MISSING", who="customer"),
    "more stock, as a customer": Request(
        line="POST /v1/products/PRODUCT:adjustStock",
        who="customer",
        status=403,
        names="ROLE_MISSING",
        lines=(_JSON, "idempotency-key: KEY"),
        body=b'{"delta":5}',
    ),
    "a refund, as a customer": Request(
        line="POST /v1/payments/ORDER:refund",
        who="customer",
        status=403,
        names="ROLE_MISSING",
        lines=(_JSON, "idempotency-key: KEY"),
        body=b"{}",
    ),
    "another's order": get("GET /v1/orders/ORDER", 404, "ORDER_NOT_FOUND", who="stranger"),
    "another's page": get(
        "GET /v1/storefront/orders/ORDER", 404, "ORDER_NOT_FOUND", who="stranger"
    ),
    "another's steps": get("GET /v1/orders/ORDER/events", 404, "ORDER_NOT_FOUND", who="stranger"),
    "the end of another's order": Request(
        line="POST /v1/orders/ORDER:cancel",
        who="stranger",
        status=404,
        names="ORDER_NOT_FOUND",
        lines=(_JSON, "idempotency-key: KEY"),
        body=b"{}",
    ),
    "what is for services": Request(
        line="POST /souk.product.v1.StockService/ReserveStock",
        who="staff",
        status=404,
        lines=("content-type: application/proto",),
        body=b"",
    ),
}
