"""What must hold after every run, whatever was done to the shop.

Each invariant is a function of the books that yields who breaks it, and a docstring that says the
rule. They share no code with the services: states, edges and sums are written here again.
"""

from collections.abc import Callable, Iterator

from tests.chaos.books import Books
from tests.chaos.invariants import answers, events, money, orders, stock, usage

Invariant = Callable[[Books], Iterator[str]]

INVARIANTS: tuple[Invariant, ...] = (
    orders.acknowledged_orders_exist_once,
    orders.one_order_per_key,
    orders.every_saga_has_ended,
    orders.steps_are_legal,
    orders.told_states_happened,
    orders.totals_are_the_sums_of_lines,
    money.captured_at_most_once,
    money.books_balance,
    money.sums_balance,
    money.no_money_stays_set_aside,
    money.payments_are_settled,
    stock.pieces_balance,
    stock.nothing_is_negative,
    stock.held_stock_is_of_orders_in_flight,
    stock.committed_stock_is_of_paid_orders,
    events.events_tell_of_steps,
    events.nothing_is_unpublished,
    events.stream_has_what_was_published,
    events.everybody_was_told,
    events.poison_became_dead_letters,
    events.nothing_is_pending,
    answers.answers_are_byte_identical,
    answers.answers_do_not_change,
    answers.other_bodies_are_refused,
    answers.nobody_read_anothers_data,
    answers.last_items_were_sold_once,
    usage.no_process_gives_up,
    usage.sagas_end_in_time,
    usage.outbox_drains_in_time,
    usage.memory_is_back,
    usage.descriptors_are_back,
    usage.connections_are_back,
)


def check(books: Books) -> dict[str, list[str]]:
    """Returns who breaks each invariant, by its name; an empty list says that it holds."""
    return {invariant.__name__: list(invariant(books)) for invariant in INVARIANTS}
