"""The stand-in's ledger: what it does once, and what it refuses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.sandbox import tokens
from services.sandbox.ledger import Command, KeyReused, Ledger, Operation


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Opens an empty ledger."""
    opened = Ledger(tmp_path / "ledger.sqlite3")
    yield opened
    opened.close()


def command(kind: str, key: str, follows: str | None = None, minor: int | None = 1000) -> Command:
    """Returns a command of 10 EUR."""
    return Command(
        key=key,
        type=kind,
        follows=follows,
        payment="payment" if kind == "authorization" else None,
        token="tok_ok" if kind == "authorization" else None,
        currency=None if kind == "void" else "EUR",
        minor=None if kind == "void" else minor,
    )


def run(ledger: Ledger, *commands: Command) -> list[str | None]:
    """Returns why each was declined; None for those that were done."""
    return [ledger.perform(each)[0].declined for each in commands]


def test_a_key_is_done_once(ledger: Ledger):
    """The second time it answers with the first operation and writes nothing."""
    first, is_new = ledger.perform(command("authorization", "a"))

    assert ledger.perform(command("authorization", "a")) == (first, False)
    assert is_new
    assert ledger.operations() == [first]


def test_a_key_stands_for_one_command(ledger: Ledger):
    """The same key for another sum is refused."""
    ledger.perform(command("authorization", "a"))

    with pytest.raises(KeyReused):
        ledger.perform(command("authorization", "a", minor=1001))


def test_money_is_taken_and_given_back_up_to_the_sum(ledger: Ledger):
    """One capture; refunds until nothing is left."""
    outcomes = run(
        ledger,
        command("authorization", "a"),
        command("capture", "c0", follows="a", minor=1001),
        command("capture", "c1", follows="a"),
        command("capture", "c2", follows="a"),
        command("refund", "r1", follows="c1", minor=600),
        command("refund", "r2", follows="c1", minor=401),
        command("refund", "r3", follows="c1", minor=400),
        command("refund", "r4", follows="c0", minor=1),
    )

    assert outcomes == [
        None,
        "amount_too_large",
        None,
        "already_captured",
        None,
        "amount_too_large",
        None,
        "not_captured",
    ]


def test_what_is_voided_is_not_captured_and_the_other_way_round(ledger: Ledger):
    """The first of the two wins."""
    outcomes = run(
        ledger,
        command("authorization", "a"),
        command("void", "v", follows="a"),
        command("capture", "c", follows="a"),
        command("authorization", "b"),
        command("capture", "d", follows="b"),
        command("void", "w", follows="b"),
    )

    assert outcomes == [None, None, "not_authorized", None, None, "already_captured"]


def test_a_void_keeps_a_late_authorization_from_being_done(ledger: Ledger):
    """It is declined when it comes."""
    outcomes = run(
        ledger,
        command("void", "v", follows="a"),
        command("authorization", "a"),
        command("capture", "c", follows="a"),
    )

    assert outcomes == [None, "voided", "not_authorized"]


def test_what_is_written_is_there_after_reopening(tmp_path: Path):
    """The file holds what was answered."""
    path = tmp_path / "ledger.sqlite3"
    first = Ledger(path)
    written, _ = first.perform(command("authorization", "a"))
    first.close()
    second = Ledger(path)
    found: Operation | None = second.find("a")
    second.close()

    assert found == written


def test_unknown_tokens_are_declined():
    """Only the tokens of the table are good for money."""
    assert tokens.behaviour("tok_ok").accepted
    assert not tokens.behaviour("tok_of_somebody").accepted


def test_the_ledger_is_read_page_by_page(ledger: Ledger):
    """From a time on, in the order of what was done, without gaps."""
    keys = [f"a{number}" for number in range(5)]
    run(ledger, *(command("authorization", key) for key in keys))
    since = ledger.operations()[1].create_time
    first = ledger.page(since=since, after=0, size=3)
    rest = ledger.page(since=since, after=first[-1][0], size=3)

    assert [each.command.key for _, each in (*first, *rest)] == keys[1:]
