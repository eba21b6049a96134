"""Money: what was taken by the provider is what the shop believes and what the orders cost."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.chaos.books import Books, Row
from tests.chaos.invariants.orders import PAID

_Sums = Counter[tuple[str, str]]
"""Minor units by payment and currency."""


def captured_at_most_once(books: Books) -> Iterator[str]:
    """The provider has taken money for a payment once at most, and an order has one payment."""
    payments = _payments(books)
    captures = Counter(payments[row["key"]] for row in _done(books, "capture"))
    for payment, count in captures.items():
        if count > 1:
            yield f"payment {payment}: captured {count} times"
    for order, count in Counter(row["order_id"] for row in books.payments).items():
        if count > 1:
            yield f"order {order}: {count} payments"


def books_balance(books: Books) -> Iterator[str]:
    """For each order: captures less refunds = the provider's ledger = what the order costs now."""
    ledger, believed = _ledger(books), _believed(books)
    owed = {
        row["order_id"]: row["total_minor"] if row["state"] in PAID else 0 for row in books.orders
    }
    currencies = {row["order_id"]: row["currency"] for row in books.orders}
    known = set()
    for row in books.payments:
        payment, order = str(row["payment_id"]), row["order_id"]
        currency = str(currencies.get(order, row["currency"]))
        known.add(payment)
        sums = (ledger[payment, currency], believed[payment, currency], owed.get(order, 0))
        if len(set(sums)) > 1:
            yield f"order {order}: ledger {sums[0]}, payment {sums[1]}, order {sums[2]} {currency}"
        if row["currency"] not in {None, currency}:
            yield f"order {order} is in {currency}, its payment in {row['currency']}"
    for (payment, currency), minor in ledger.items():
        if payment not in known and minor:
            yield f"payment {payment} is unknown to the shop: ledger {minor} {currency}"
    paid_for = {row["order_id"] for row in books.payments}
    for order, minor in owed.items():
        if minor and order not in paid_for:
            yield f"order {order} costs {minor} and has no payment"


def sums_balance(books: Books) -> Iterator[str]:
    """Per currency: the ledger's captures less refunds, the payments' and the orders' are equal."""
    ledger: Counter[str] = Counter()
    believed: Counter[str] = Counter()
    owed: Counter[str] = Counter()
    for (_, currency), minor in _ledger(books).items():
        ledger[currency] += minor
    for (_, currency), minor in _believed(books).items():
        believed[currency] += minor
    for row in books.orders:
        owed[row["currency"]] += row["total_minor"] if row["state"] in PAID else 0
    for currency in ledger.keys() | believed.keys() | owed.keys():
        sums = ledger[currency], believed[currency], owed[currency]
        if len(set(sums)) > 1:
            yield f"{currency}: ledger {sums[0]}, payments {sums[1]}, orders {sums[2]}"


def no_money_stays_set_aside(books: Books) -> Iterator[str]:
    """What was authorized was captured or voided: nobody's money is held for an order that died."""
    settled = {row["follows"] for kind in ("capture", "void") for row in _done(books, kind)}
    for row in _done(books, "authorization"):
        if row["key"] not in settled:
            yield f"payment {row['payment']}: {row['minor']} {row['currency']} still set aside"


def payments_are_settled(books: Books) -> Iterator[str]:
    """No payment waits for the provider, and each has lines that say how it got where it is."""
    for row in books.payments:
        if row["state"] == "UNKNOWN" or row["open_key"] is not None:
            yield f"payment {row['payment_id']} is {row['state']}, open {row['open_key']}"
    answered = {
        (row["provider_key"], row["outcome"] == "SUCCEEDED")
        for row in books.transactions
        if row["outcome"] in {"SUCCEEDED", "DECLINED"}
    }
    asked = {row["provider_key"] for row in books.transactions}
    for row in books.ledger:
        if row["key"] not in asked:
            yield f"{row['type']} {row['key']} is in the ledger and was never asked for"
        elif (row["key"], row["declined"] is not None) in answered:
            yield f"{row['type']} {row['key']}: the shop believes the opposite of the ledger"


def _done(books: Books, kind: str) -> list[Row]:
    return [row for row in books.ledger if row["type"] == kind and row["declined"] is None]


def _payments(books: Books) -> dict[str, str]:
    """Returns the payment of every operation in the ledger, by the operation's key."""
    payments: dict[str, str] = {}
    for row in books.ledger:
        payments[row["key"]] = str(row["payment"] or "") or payments.get(
            row["follows"], str(row["follows"])
        )
    return payments


def _ledger(books: Books) -> _Sums:
    payments, sums = _payments(books), _Sums()
    for sign, kind in ((1, "capture"), (-1, "refund")):
        for row in _done(books, kind):
            sums[payments[row["key"]], row["currency"]] += sign * row["minor"]
    return sums


def _believed(books: Books) -> _Sums:
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    for row in books.payments:
        if row["currency"] is not None:
            taken = row["captured_minor"] - row["refunded_minor"]
            sums[str(row["payment_id"]), row["currency"]] += taken
    return Counter(sums)
