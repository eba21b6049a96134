"""Answers: the same for the same key, each to whom it belongs."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from tests.chaos.books import Books
from tests.chaos.history import Attempt
from tests.chaos.invariants.orders import PAID

_DEFINITE = {"OUT_OF_STOCK", "PAYMENT_DECLINED", "RESERVATION_EXPIRED", "PRODUCT_UNAVAILABLE"}

# What an order may be called that has not been bought, nor given up for good.
_UNDECIDED = {"ORDER_STATE_PENDING", "ORDER_STATE_CANCELLING"}


def answers_are_byte_identical(books: Books) -> Iterator[str]:
    """Every 2xx for one key is the same to the byte, over REST and over gRPC."""
    digests = defaultdict(set)
    for each in books.attempts:
        if each.key and each.acknowledged:
            digests[each.user, each.key, each.via].add(each.digest)
    for (user, key, via), found in digests.items():
        if len(found) > 1:
            yield f"key {key} of {user} over {via}: {len(found)} different answers"


def answers_do_not_change(books: Books) -> Iterator[str]:
    """A key that was answered with an order is never refused later, nor the other way round."""
    answers = defaultdict(set)
    for each in books.attempts:
        if each.call == "CreateOrder" and each.role != "other body":
            if each.acknowledged:
                answers[each.user, each.key].add("an order")
            elif each.reason in _DEFINITE - {"PRODUCT_UNAVAILABLE"}:
                answers[each.user, each.key].add(each.reason)
    for (user, key), found in answers.items():
        if len(found) > 1:
            yield f"key {key} of {user}: {sorted(found)}"


def other_bodies_are_refused(books: Books) -> Iterator[str]:
    """A key that stands for one request is refused for another, and never does anything."""
    for each in books.attempts:
        if each.role == "other body" and (
            each.acknowledged or (each.status == 400 and each.reason != "IDEMPOTENCY_KEY_REUSED")
        ):
            yield f"key {each.key}: another body was answered {each.status} {each.reason}"


def nobody_read_anothers_data(books: Books) -> Iterator[str]:
    """What a client was shown is its own: orders, lists of orders, notifications."""
    owners = {str(row["order_id"]): str(row["user_id"]) for row in books.orders}
    for each in books.attempts:
        if each.user == "staff" or not each.acknowledged:
            continue
        shown = [each.order] if each.order else []
        shown += each.told.get("orders", []) + each.told.get("notifications", [])
        for order in shown:
            if owners.get(order, each.user) != each.user:
                yield f"{each.user} was shown order {order} of {owners[order]} by {each.call}"


def last_items_were_sold_once(books: Books) -> Iterator[str]:
    """Of many who buy the last piece at once one gets it, and the others are told it is gone.

    Who is answered before the shop knows (PENDING), or says so (CANCELLING), or whose patience ends
    before any answer, is told neither. If other faults are in the way the first may lose it again:
    then it is one at most in the end.
    """
    owned = {(str(line["product_id"]), line["order_id"]) for line in books.lines}
    paid = {row["order_id"] for row in books.orders if row["state"] in PAID}
    for note in books.notes["last item"]:
        told = Counter(last_item_answers(books.attempts, note["product"]).values())
        buyers = [order for product, order in owned if product == note["product"] and order in paid]
        strict = told["sold"] <= 1 and len(buyers) == 1 and told.total() == note["buyers"]
        if len(buyers) > 1 or (note["alone"] and not strict):
            yield f"product {note['product']}: {len(buyers)} sold, {dict(told)}"


def last_item_answers(attempts: Iterable[Attempt], product: str) -> dict[str, str]:
    """Returns what each key that stands for a purchase of the product was told in the end."""
    told: dict[str, str] = {}
    for each in attempts:
        if each.call == "CreateOrder" and product in each.asked.get("items", ()):
            if each.acknowledged:
                is_known = each.told.get("state") not in _UNDECIDED
                told[each.key] = "sold" if is_known else "not yet known"
            elif each.reason == "OUT_OF_STOCK":
                told[each.key] = each.reason
            else:
                told.setdefault(each.key, "no answer")
    return told
