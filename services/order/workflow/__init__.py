"""What crosses services: the saga that sees an order through, and the calls that begin one.

    Checkout  CreateOrder and CancelOrder: writes the order down, then runs the saga in the call
    Answers   what CreateOrder answers, stored with the order's last step
    Saga      one step after the other, each a committed row, until the order is settled

The saga may be cut off at any moment; whoever takes the order up next goes on.
"""

from services.order.workflow._answers import Answers
from services.order.workflow._checkout import Checkout
from services.order.workflow._saga import Saga

__all__ = ["Answers", "Checkout", "Saga"]
