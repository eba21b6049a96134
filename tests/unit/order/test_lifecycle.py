"""The states of an order: no path leads where it must not."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.mesh.amount import Amount
from services.mesh.ids import new_id
from services.order.domain import (
    ENDS_AS,
    EVENT_TYPES,
    FINAL,
    IN_FLIGHT,
    TRANSITIONS,
    Line,
    Order,
    Reason,
    State,
    StateConflict,
)

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_PAID = {State.PAYMENT_CAPTURED, State.CONFIRMED, State.SHIPPED, State.DELIVERED}
_WITHOUT_MONEY = {State.CANCELLED, State.REJECTED, State.EXPIRED}

VERBS: dict[str, Callable[[Order], Order]] = {
    "stock_reserved": Order.stock_reserved,
    "payment_authorized": partial(Order.payment_authorized, payment_id=new_id()),
    "stock_committed": Order.stock_committed,
    "payment_captured": Order.payment_captured,
    "confirmed": Order.confirmed,
    "ship": Order.ship,
    "deliver": Order.deliver,
    "cancel": Order.cancel,
    **{f"undo, {reason}": partial(Order.undo, reason=reason) for reason in Reason},
    "undone": partial(Order.undone, money_returned=False),
    "undone, money returned": partial(Order.undone, money_returned=True),
    "undone, money kept": partial(Order.undone, money_returned=False, refund_refused=True),
}
"""Everything that can happen to an order."""


def placed() -> Order:
    """Returns an order as it is when it was just placed."""
    line = Line(
        product_id=new_id(),
        sku="A-1",
        title="A thing",
        quantity=2,
        unit_price=Amount(currency="EUR", minor=150),
    )
    return Order(
        order_id=new_id(),
        user_id=new_id(),
        lines=(line,),
        payment_token="tok_ok",
        create_time=_NOW,
        update_time=_NOW,
    )


class Life(RuleBasedStateMachine):
    """An order to which anything may happen at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.order = placed()
        self.path = [State.PENDING]

    @rule(verb=st.sampled_from(sorted(VERBS)))
    def something_happens(self, verb: str) -> None:
        """The order moves along an edge, stays as it is, or refuses and stays as it is."""
        before = self.order
        try:
            after = VERBS[verb](before)
        except StateConflict:
            return
        if after is before:
            return
        assert after.state in TRANSITIONS[before.state]
        assert after.sequence == before.sequence + 1
        self.order = after
        self.path.append(after.state)

    @precondition(lambda self: self.order.state in FINAL)
    @rule(verb=st.sampled_from(sorted(VERBS)))
    def nothing_happens_any_more(self, verb: str) -> None:
        """A final state is never left."""
        before = self.order
        self.something_happens(verb)
        assert self.order is before

    @invariant()
    def money_is_never_kept_without_goods(self) -> None:
        """An order that was paid for ends as delivered or refunded, or says that it is not."""
        if _PAID & set(self.path) and not self.order.refund_refused:
            assert self.order.state not in _WITHOUT_MONEY

    @invariant()
    def no_state_comes_twice(self) -> None:
        """A life has no circles."""
        assert len(self.path) == len(set(self.path))

    @invariant()
    def the_token_is_kept_until_the_payment_alone(self) -> None:
        """The payment token is there as long as the payment may still be asked for."""
        needed = self.order.state in (State.PENDING, State.STOCK_RESERVED)
        assert (self.order.payment_token is not None) == needed

    @invariant()
    def undone_orders_say_why(self) -> None:
        """There is a reason if, and only if, the order is or was undone."""
        assert (self.order.reason is not None) == (State.CANCELLING in self.path)


TestLife = Life.TestCase


@given(st.sampled_from(State), st.sampled_from(State))
def test_the_table_leads_forward(first: State, second: State) -> None:
    """No two states may follow each other in both directions."""
    assert not (second in TRANSITIONS[first] and first in TRANSITIONS[second])


def test_every_state_can_be_reached_and_left() -> None:
    """From PENDING every state can be reached, and from every state a final one."""
    reached, border = {State.PENDING}, {State.PENDING}
    while border:
        border = {after for state in border for after in TRANSITIONS[state]} - reached
        reached |= border
    assert reached == set(State)
    assert IN_FLIGHT.isdisjoint(FINAL)


def test_every_end_is_told() -> None:
    """Each final state, and each that a customer waits for, has an event."""
    waited_for = {State.PENDING, State.CONFIRMED, State.SHIPPED}
    assert set(EVENT_TYPES) == FINAL | waited_for


@pytest.mark.parametrize("reason", list(Reason))
def test_an_undone_order_ends_as_its_reason_says(reason: Reason) -> None:
    """Without money taken the reason decides; with money given back it is refunded."""
    undoing = placed().stock_reserved().undo(reason)
    assert undoing.undone(money_returned=False).state is ENDS_AS[reason]
    assert undoing.undone(money_returned=True).state is State.REFUNDED
    kept = undoing.undone(money_returned=False, refund_refused=True)
    assert (kept.state, kept.refund_refused) == (ENDS_AS[reason], True)


def test_the_token_is_not_shown() -> None:
    """An order that is printed shows neither the payment token nor the address."""
    assert "tok_ok" not in repr(placed())
