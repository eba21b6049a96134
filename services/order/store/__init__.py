"""The queries over orders, and who may change them.

    OrderStore    what people and other services ask for
    LeaseStore    what the saga needs: one worker on an order, the newest lease wins
    OrderChanges  who waits for a change of an order
    EventStore    what was committed for others to know
    FigureStore   how many orders are in the saga's hands

State, history and event of a step are written in one transaction, by one function.
"""

from services.order.store._changes import OrderChanges
from services.order.store._events import EventStore
from services.order.store._figures import Figures, FigureStore
from services.order.store._leases import LeaseLost, LeaseStore
from services.order.store._orders import Cursor, NewOrder, OrderStore
from services.order.store._rows import Lease

__all__ = [
    "Cursor",
    "EventStore",
    "FigureStore",
    "Figures",
    "Lease",
    "LeaseLost",
    "LeaseStore",
    "NewOrder",
    "OrderChanges",
    "OrderStore",
]
