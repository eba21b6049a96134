"""Where a picture is, is the URI of a web page, and nothing that a page would take for more."""

import protovalidate
import pytest

from souk.product.v1.product_pb2 import Product


def faults(uri: str) -> list[str]:
    """Returns the rules that a product with this picture breaks."""
    violations = protovalidate.collect_violations(Product(image_uris=[uri]))
    return [each.proto.rule_id for each in violations if "image_uris" in str(each.proto.field)]


@pytest.mark.parametrize(
    "uri",
    [
        "https://images.souk.example/products/1/2.png",
        "https://images.souk.example:8443/",
        "https://localhost/a%20b/~c/(1).png?width=200&v=2",
    ],
)
def test_a_picture_is_on_the_web(uri: str):
    """A host, perhaps a port, a path and perhaps a query are taken as they stand."""
    assert faults(uri) == []


@pytest.mark.parametrize(
    "uri",
    [
        "http://images.souk.example/1.png",
        "https://",
        "https:///1.png",
        "https://images.souk.example",
        "https://user:secret@images.souk.example/1.png",
        "https://.souk.example/1.png",
        "https://images.souk.example:port/1.png",
        'https://images.souk.example/1.png"onerror="alert(1)',
        "https://images.souk.example/<script>",
        "https://images.souk.example/1.png#top",
        "https://images.souk.example/\t1.png",
        "https://images.souk.example/1.png\n",
        "https://images.souk.example/\\1.png",
        "https://bilder.südwind.example/1.png",
    ],
)
def test_what_is_no_such_uri_is_refused(uri: str):
    """Other schemes, users, fragments, and characters that a URI has only encoded."""
    assert faults(uri) == ["string.pattern"]
