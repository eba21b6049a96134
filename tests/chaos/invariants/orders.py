"""Orders: none lost, none twice, each by legal steps to an end, each for the right sum."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.chaos.books import Books

# As the shop's rules say, and as no code of the services is asked.
EDGES = {
    None: {"PENDING"},
    "PENDING": {"STOCK_RESERVED", "CANCELLING"},
    "STOCK_RESERVED": {"PAYMENT_AUTHORIZED", "CANCELLING"},
    "PAYMENT_AUTHORIZED": {"STOCK_COMMITTED", "CANCELLING"},
    "STOCK_COMMITTED": {"PAYMENT_CAPTURED", "CANCELLING"},
    "PAYMENT_CAPTURED": {"CONFIRMED", "CANCELLING"},
    "CONFIRMED": {"SHIPPED", "CANCELLING"},
    "SHIPPED": {"DELIVERED"},
    "CANCELLING": {"CANCELLED", "REJECTED", "EXPIRED", "REFUNDED"},
}
PAID = {"CONFIRMED", "SHIPPED", "DELIVERED"}
UNDONE = {"CANCELLED", "REJECTED", "EXPIRED", "REFUNDED"}
_CREATE = "/souk.order.v1.OrderService/CreateOrder"


def acknowledged_orders_exist_once(books: Books) -> Iterator[str]:
    """Every order that a client was told of is there once, and is that client's."""
    owners = defaultdict(list)
    for row in books.orders:
        owners[str(row["order_id"])].append(str(row["user_id"]))
    for each in books.attempts:
        if each.call == "CreateOrder" and each.acknowledged and owners[each.order] != [each.user]:
            yield f"order {each.order!r} of key {each.key}: owned by {owners[each.order]}"


def one_order_per_key(books: Books) -> Iterator[str]:
    """A key leads to one order, whatever was asked under it and how often; no order lacks one."""
    told = defaultdict(set)
    for each in books.attempts:
        if each.call == "CreateOrder" and each.acknowledged:
            told[each.user, each.key].add(each.order)
    for (user, key), orders in told.items():
        if len(orders) > 1:
            yield f"key {key} of {user}: told of {sorted(orders)}"
    keys = Counter(row["resource"] for row in books.keys if row["method"] == _CREATE)
    for row in books.orders:
        if keys[str(row["order_id"])] != 1:
            yield f"order {row['order_id']} has {keys[str(row['order_id'])]} keys"


def every_saga_has_ended(books: Books) -> Iterator[str]:
    """No order is still on its way, and none waits for anybody."""
    for row in books.orders:
        if row["state"] not in PAID | UNDONE or row["next_attempt_at"] is not None:
            yield f"order {row['order_id']} is {row['state']}, due {row['next_attempt_at']}"


def steps_are_legal(books: Books) -> Iterator[str]:
    """Each order's history is unbroken, walks only legal edges, and ends where the order is."""
    steps = defaultdict(list)
    for row in books.steps:
        steps[row["order_id"]].append(row)
    for order in books.orders:
        walked = steps[order["order_id"]]
        before = None
        for number, step in enumerate(walked, start=1):
            legal = step["to_state"] in EDGES.get(before, set())
            if not legal or (step["sequence"], step["from_state"]) != (number, before):
                yield f"order {order['order_id']}: step {number} {before} to {step['to_state']}"
            before = step["to_state"]
        if (order["state"], order["sequence"]) != (before, len(walked)):
            yield f"order {order['order_id']} is {order['state']}, its history ends at {before}"


def told_states_happened(books: Books) -> Iterator[str]:
    """What a client was told of an order's state is in the order's history."""
    happened = {(str(row["order_id"]), row["to_state"]) for row in books.steps}
    for each in books.attempts:
        state = str(each.told.get("state", "")).removeprefix("ORDER_STATE_")
        is_told = each.call in {"CreateOrder", "GetOrder"} and state
        if is_told and (each.order, state) not in happened:
            yield f"order {each.order}: told {state}, which is not in its history"


def totals_are_the_sums_of_lines(books: Books) -> Iterator[str]:
    """An order's total is the sum of its lines at the price of the moment, and so was told."""
    sums: Counter[object] = Counter()
    for line in books.lines:
        sums[line["order_id"]] += line["unit_price_minor"] * line["quantity"]
    totals = {}
    for row in books.orders:
        totals[str(row["order_id"])] = (row["currency"], row["total_minor"])
        if row["total_minor"] != sums[row["order_id"]]:
            yield f"order {row['order_id']}: {row['total_minor']} is not {sums[row['order_id']]}"
    for each in books.attempts:
        if each.call == "CreateOrder" and each.acknowledged and each.order in totals:
            currency, minor = totals[each.order]
            told = _minor(each.told.get("total", {}))
            if told != (currency, minor):
                yield f"order {each.order}: told {told}, is {currency} {minor}"


def _minor(money: dict[str, object]) -> tuple[str, int]:
    """Returns a google.type.Money in minor units of the currencies that the run uses."""
    currency = str(money.get("currencyCode", ""))
    digits = {"JPY": 0, "KWD": 3}.get(currency, 2)
    nanos, units = int(str(money.get("nanos", 0))), int(str(money.get("units", 0)))
    return currency, units * 10**digits + nanos // 10 ** (9 - digits)
