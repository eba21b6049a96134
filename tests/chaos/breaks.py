"""How to break a copy of the books by hand, once for each invariant."""
# ruff: noqa: S608 - statements of our own, from constants of our own

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from tests.chaos import history
from tests.chaos.books import STREAM
from tests.chaos.history import Attempt
from tests.chaos.resources import Usage
from tests.chaos.scratch import Scratch

Break = Callable[[Scratch], Awaitable[None]]
"""Changes a copy, so that one invariant does not hold any more."""

_CONFIRMED = "(SELECT order_id FROM orders WHERE state = 'CONFIRMED' ORDER BY order_id LIMIT 1)"
_A_PAYMENT = "(SELECT payment_id FROM payments WHERE state = 'CAPTURED' LIMIT 1)"
_A_CAPTURE = "(SELECT key FROM operations WHERE type = 'capture' AND declined IS NULL LIMIT 1)"
_COLUMNS = "type, follows, payment, token, currency, minor, declined, create_time"


def _sql(service: str, statement: str) -> Break:
    async def change(copy: Scratch) -> None:
        await copy.sql(service, statement)

    return change


def _ledger(statement: str) -> Break:
    async def change(copy: Scratch) -> None:
        copy.ledger(statement)

    return change


def _answer(pick: Callable[[Attempt], bool], **changes: Any) -> Break:
    """Tells of one more answer, like the first that `pick` finds, with some things changed."""

    async def change(copy: Scratch) -> None:
        found = next(each for each in history.read(copy.history) if pick(each))
        copy.tell(json.dumps(asdict(replace(found, **changes))))

    return change


def _note(what: str, **details: Any) -> Break:
    async def change(copy: Scratch) -> None:
        copy.tell(json.dumps({"note": what, **details}))

    return change


def _reservation(state: str, update: Callable[[str], Mapping[str, Any]]) -> Break:
    """Changes the first reservation of a product that is in `state`, by its path."""

    def change(product: dict[str, Any]) -> Mapping[str, Any] | None:
        found = [key for key, each in product["reservations"].items() if each["state"] == state]
        return update(f"reservations.{found[0]}") if found else None

    async def apply(copy: Scratch) -> None:
        await copy.product(change)

    return apply


async def _lose_an_entry(copy: Scratch) -> None:
    async def lose(redis: Any) -> None:
        ((entry_id, _),) = await redis.xrevrange(STREAM, count=1)
        await redis.xdel(STREAM, entry_id)

    await copy.stream(lose)


async def _deliver_and_forget(copy: Scratch) -> None:
    async def add(redis: Any) -> None:
        ((_, fields),) = await redis.xrevrange(STREAM, count=1)
        await redis.xadd(STREAM, fields)

    await copy.stream(add)


async def _lose_a_piece(copy: Scratch) -> None:
    await copy.product(lambda _: {"$inc": {"stock": -1}})


def _bought(each: Attempt) -> bool:
    return each.call == "CreateOrder" and each.acknowledged and each.role == "buyer"


BREAKS: Mapping[str, Break] = {
    "acknowledged_orders_exist_once": _sql(
        "order", f"DELETE FROM orders WHERE order_id = {_CONFIRMED}"
    ),
    "one_order_per_key": _answer(_bought, order="01900000-0000-7000-8000-00000000dead"),
    "every_saga_has_ended": _sql(
        "order", f"UPDATE orders SET next_attempt_at = now() WHERE order_id = {_CONFIRMED}"
    ),
    "steps_are_legal": _sql(
        "order", f"DELETE FROM order_history WHERE sequence = 3 AND order_id = {_CONFIRMED}"
    ),
    "told_states_happened": _answer(_bought, told={"state": "ORDER_STATE_DELIVERED"}),
    "totals_are_the_sums_of_lines": _sql(
        "order", f"UPDATE orders SET total_minor = total_minor + 1 WHERE order_id = {_CONFIRMED}"
    ),
    "captured_at_most_once": _ledger(
        f"INSERT INTO operations (key, reference, {_COLUMNS}) SELECT 'again', 'again', {_COLUMNS}"
        f" FROM operations WHERE key = {_A_CAPTURE}"
    ),
    "books_balance": _ledger(f"UPDATE operations SET minor = minor + 1 WHERE key = {_A_CAPTURE}"),
    "sums_balance": _sql(
        "payment",
        f"UPDATE payments SET captured_minor = captured_minor - 1 WHERE payment_id = {_A_PAYMENT}",
    ),
    "no_money_stays_set_aside": _ledger("DELETE FROM operations WHERE type = 'void'"),
    "payments_are_settled": _sql(
        "payment", f"DELETE FROM transactions WHERE payment_id = {_A_PAYMENT}"
    ),
    "pieces_balance": _lose_a_piece,
    "nothing_is_negative": _reservation(
        "COMMITTED", lambda path: {"$set": {f"{path}.quantity": -1}}
    ),
    "held_stock_is_of_orders_in_flight": _reservation(
        "COMMITTED", lambda path: {"$set": {f"{path}.state": "HELD"}}
    ),
    "committed_stock_is_of_paid_orders": _reservation(
        "RELEASED", lambda path: {"$set": {f"{path}.state": "COMMITTED"}}
    ),
    "events_tell_of_steps": _sql(
        "order",
        f"DELETE FROM outbox WHERE type = 'order.confirmed' AND aggregate_id = {_CONFIRMED}::text",
    ),
    "nothing_is_unpublished": _sql("order", "UPDATE outbox SET published_at = NULL"),
    "stream_has_what_was_published": _lose_an_entry,
    "everybody_was_told": _sql("notification", "DELETE FROM notifications"),
    "poison_became_dead_letters": _sql("notification", "DELETE FROM dead_letters"),
    "nothing_is_pending": _deliver_and_forget,
    "answers_are_byte_identical": _answer(_bought, digest="another"),
    "answers_do_not_change": _answer(_bought, status=400, reason="OUT_OF_STOCK"),
    "other_bodies_are_refused": _answer(_bought, role="other body"),
    "nobody_read_anothers_data": _answer(_bought, call="GetOrder", user="somebody else"),
    "last_items_were_sold_once": _note("last item", product="nobody's", buyers=100, alone=True),
    "sagas_end_in_time": _note("sagas ended", seconds=600),
    "outbox_drains_in_time": _note("outbox drained", seconds=None),
    "no_process_gives_up": _note("complaint", process="order", line="worker ended"),
}

LITTLE = Usage(resident_mb=60, descriptors=40, connections=4)
OVERUSES: Mapping[str, Usage] = {
    "memory_is_back": replace(LITTLE, resident_mb=400),
    "descriptors_are_back": replace(LITTLE, descriptors=400),
    "connections_are_back": replace(LITTLE, connections=40),
}
