"""Stock: no piece is lost, sold twice, or kept for an order that is dead."""

from collections import Counter
from collections.abc import Iterator

from tests.chaos.books import Books
from tests.chaos.invariants.orders import PAID, UNDONE


def pieces_balance(books: Books) -> Iterator[str]:
    """Per product: what there was + what was restocked = what is there + held + committed.

    A restocking that was not answered may have happened or not.
    """
    brought = {note["product"]: note["pieces"] for note in books.notes["stocked"]}
    uncertain: dict[str, list[int]] = {product: [] for product in brought}
    for each in books.attempts:
        if each.call == "AdjustStock" and each.acknowledged:
            brought[each.asked["product"]] += each.asked["pieces"]
        elif each.call == "AdjustStock" and (each.status == 0 or each.status >= 500):
            uncertain[each.asked["product"]].append(each.asked["pieces"])
    taken = _taken(books, "HELD") + _taken(books, "COMMITTED")
    for product in books.products:
        product_id = product["_id"]
        found = product["stock"] + sum(
            pieces for (of, _), pieces in taken.items() if of == product_id
        )
        possible = _possible(brought.get(product_id, 0), uncertain.get(product_id, []))
        if found not in possible:
            yield f"product {product_id}: {found} pieces found, {brought.get(product_id)} brought"


def nothing_is_negative(books: Books) -> Iterator[str]:
    """No product has less than no pieces."""
    for product in books.products:
        pieces = [each["quantity"] for each in product["reservations"].values()]
        if min([product["stock"], *pieces]) < 0:
            yield f"product {product['_id']}: stock {product['stock']}, reservations {pieces}"


def held_stock_is_of_orders_in_flight(books: Books) -> Iterator[str]:
    """Pieces are held for orders on their way alone, and none past the time they may be."""
    settled = {str(row["order_id"]) for row in books.orders if row["state"] in PAID | UNDONE}
    known = {str(row["order_id"]) for row in books.orders}
    for product in books.products:
        for order, each in product["reservations"].items():
            if each["state"] != "HELD":
                continue
            if order in settled or order not in known:
                yield f"product {product['_id']}: held for {order}, which is not on its way"
            if each["expire_ms"] < books.database_time_ms - 5_000:
                yield f"product {product['_id']}: held for {order} past its time"


def committed_stock_is_of_paid_orders(books: Books) -> Iterator[str]:
    """Each paid order has its pieces, as many as each line says; no other order has any."""
    committed = _taken(books, "COMMITTED")
    paid = {row["order_id"] for row in books.orders if row["state"] in PAID}
    sold = Counter(
        {
            (str(line["product_id"]), str(line["order_id"])): line["quantity"]
            for line in books.lines
            if line["order_id"] in paid
        }
    )
    for product, order in committed.keys() | sold.keys():
        has, bought = committed[product, order], sold[product, order]
        if has != bought:
            yield f"order {order}: has {has} of product {product}, bought {bought}"


def _taken(books: Books, state: str) -> Counter[tuple[str, str]]:
    """Returns the pieces that orders have, by product and order, wherever they are written."""
    taken: Counter[tuple[str, str]] = Counter()
    for document in books.commitments:
        product, _, order = document["_id"].partition("/")
        if document["state"] == state:
            taken[product, order] = document["quantity"]
    for document in books.products:
        for order, each in document["reservations"].items():
            # What stands in the product counts; a commitment may still be on its way out of it.
            taken[document["_id"], order] = each["quantity"] if each["state"] == state else 0
    return taken


def _possible(certain: int, uncertain: list[int]) -> set[int]:
    sums = {certain}
    for pieces in uncertain:
        sums |= {each + pieces for each in sums}
    return sums
