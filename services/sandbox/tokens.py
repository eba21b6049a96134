"""How the sandbox behaves, by the token of the means of payment.

| token                     | authorizing                                                         |
|---------------------------|---------------------------------------------------------------------|
| `tok_ok`                  | is done                                                             |
| `tok_declined`            | is declined, like every token that is not in this table             |
| `tok_charge_then_timeout` | is done and not answered; a repetition with the same key is answered |
| `tok_hang`                | is neither done nor answered, however often it is repeated          |
| `tok_answers_twice`       | is done, answered, and told of by the same event, posted twice      |
| `tok_no_refund`           | is done; what is captured of it is never given back                 |
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How an authorization is dealt with.

    `done`: it is written into the ledger. `accepted`: the money is set aside, else it is declined.
    `answered`: the first call gets an answer. `events`: how often an event tells of it.
    `refundable`: its money can be given back.
    """

    done: bool = True
    accepted: bool = True
    answered: bool = True
    events: int = 0
    refundable: bool = True


_DECLINED = Behaviour(accepted=False)
_BY_TOKEN = {
    "tok_ok": Behaviour(),
    "tok_declined": _DECLINED,
    "tok_charge_then_timeout": Behaviour(answered=False),
    "tok_hang": Behaviour(done=False, answered=False),
    "tok_answers_twice": Behaviour(events=2),
    "tok_no_refund": Behaviour(refundable=False),
}


def behaviour(token: str) -> Behaviour:
    """Returns how a call with this token is dealt with."""
    return _BY_TOKEN.get(token, _DECLINED)
