"""The filter of a product list."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mesh.errors import InvalidArgument
from services.product import filter as product_filter
from services.product.domain.listing import Comparison, Operator


def comparison(field: str, operator: str, value: str | int) -> Comparison:
    """Return a comparison."""
    return Comparison(field=field, operator=Operator(operator), value=value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("  ", ()),
        ("tags:coffee", (comparison("tags", ":", "coffee"),)),
        ('sku = "MUG-1"', (comparison("sku", "=", "MUG-1"),)),
        ("sku=AND", (comparison("sku", "=", "AND"),)),
        ("price.currency_code=EUR", (comparison("price.currency_code", "=", "EUR"),)),
        ("stock>0", (comparison("stock", ">", 0),)),
        ("stock <= -1", (comparison("stock", "<=", -1),)),
        ('stock="7"', (comparison("stock", "=", 7),)),
        (
            "tags:coffee AND price.units<30 AND stock>0",
            (
                comparison("tags", ":", "coffee"),
                comparison("price.units", "<", 30),
                comparison("stock", ">", 0),
            ),
        ),
        ("price.units>=5\tAND\nprice.units<=9 ", (
            comparison("price.units", ">=", 5),
            comparison("price.units", "<=", 9),
        )),
    ],
)  # fmt: skip
def test_a_filter_is_read(text: str, expected: tuple[Comparison, ...]):
    """Comparisons joined by AND are read in their order, blanks aside."""
    assert product_filter.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("coffee", 1, "'coffee' is none of"),
        ("stock", 6, "expected an operator, got the end"),
        ("=1", 1, "expected a field, got '=1'"),
        ("title:x", 1, "'title' is none of tags, sku, price.currency_code, price.units, stock"),
        ("price<3", 1, "'price' is none of"),
        ("tags=coffee", 5, "tags takes :, not '='"),
        ("sku:x", 4, "sku takes =, not ':'"),
        ("sku>x", 4, "sku takes =, not '>'"),
        ("stock:3", 6, "stock takes < <= = > >=, not ':'"),
        ("stock!=3", 6, "stock takes < <= = > >=, not '!='"),
        ("stock>", 7, "expected a value, got the end"),
        ("stock>>3", 7, "expected a value, got '>3'"),
        ("stock>3.5", 7, "expected a whole number, got '3.5'"),
        ("stock>1_000", 7, "expected a whole number, got '1_000'"),
        ("stock>٣", 7, "expected a whole number, got '٣'"),
        ("stock>9223372036854775808", 7, "expected a whole number"),
        ("stock>0 AND", 12, "expected a field, got the end"),
        ("stock>0 OR stock<9", 9, "expected AND, got 'OR stock<9'"),
        ("stock>0 and stock<9", 9, "expected AND, got 'and stock<9'"),
        ("stock>0 tags:x", 9, "expected AND, got 'tags:x'"),
        ("stock>0 ANDstock<9", 9, "expected AND, got"),
        ("NOT stock>0", 1, "'NOT' is none of"),
        ("(stock>0)", 1, "expected a field, got '(stock>0)'"),
        ('sku="x', 5, "expected a value, got '\"x'"),
    ],
)
def test_a_faulty_filter_is_refused_at_its_column(text: str, column: int, message: str):
    """The violation is of the field `filter` and says where and what."""
    with pytest.raises(InvalidArgument) as raised:
        product_filter.parse(text)

    (violation,) = raised.value.violations
    assert violation.field == "filter"
    assert violation.description.startswith(f"at column {column}: {message}")


_NUMBERS = st.integers(-(2**63), 2**63 - 1)
_TEXTS = st.text(st.characters(exclude_characters='"', exclude_categories=["Cs"]), max_size=20)
_COMPARISONS = st.one_of(
    st.builds(comparison, st.just("tags"), st.just(":"), _TEXTS),
    st.builds(comparison, st.sampled_from(["sku", "price.currency_code"]), st.just("="), _TEXTS),
    st.builds(
        comparison,
        st.sampled_from(["price.units", "stock"]),
        st.sampled_from(["=", "<", "<=", ">", ">="]),
        _NUMBERS,
    ),
)


@given(st.lists(_COMPARISONS, max_size=5), st.sampled_from(["", " "]))
def test_what_is_written_is_read(comparisons: list[Comparison], space: str):
    """Any comparisons, written as a filter, are read as they were."""
    text = " AND ".join(
        space.join((each.field, each.operator, f'"{each.value}"')) for each in comparisons
    )

    assert product_filter.parse(text) == tuple(comparisons)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str):
    """No text makes anything but comparisons or an InvalidArgument."""
    with suppress(InvalidArgument):
        assert all(isinstance(each, Comparison) for each in product_filter.parse(text))
