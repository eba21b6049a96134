"""What matters less gives way when what matters most finds no room, and for no other reason."""

from gateway.precedence import Precedence
from services.mesh.concurrency_limit import UsualTime
from souk.mesh.v1.policy_pb2 import Priority

HIGH, NORMAL, LOW = Priority.PRIORITY_HIGH, Priority.PRIORITY_NORMAL, Priority.PRIORITY_LOW
QUICK, SLOW = 0.01, 0.1


class Gateway:
    """Sees calls, a quarter of a second at a time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.precedence = Precedence(clock=lambda: self.now, dice=lambda: 0.5)
        self.usual = UsualTime()
        self.usual.learn(QUICK)

    def see(self, *, refused: int, seconds: float, times: int = 1, looks: int = 10) -> None:
        """Lets ten purchases, some of them refused, and as many looks end."""
        for _ in range(times):
            self.now += 0.3
            for number in range(10):
                self.precedence.ended(HIGH, self.usual, QUICK, is_refused=number < refused)
            for _ in range(looks):
                self.precedence.ended(NORMAL, self.usual, seconds, is_refused=False)


def test_looks_give_way_to_purchases_that_are_refused():
    """As long as purchases are refused and looks are slow, fewer and fewer looks pass."""
    gateway = Gateway()
    gateway.see(refused=5, seconds=SLOW, times=3)
    assert [True, False, False] == [gateway.precedence.admits(each) for each in (HIGH, NORMAL, LOW)]


def test_looks_that_take_nothing_away_pass():
    """If looks are as quick as ever, what purchases wait for is something else."""
    gateway = Gateway()
    gateway.see(refused=10, seconds=QUICK, times=20)
    assert gateway.precedence.admits(NORMAL)


def test_looks_that_nobody_has_seen_are_not_slow():
    """Where there were none, they took nothing away."""
    gateway = Gateway()
    gateway.see(refused=10, seconds=SLOW, looks=0, times=40)
    assert gateway.precedence.admits(NORMAL)


def test_looks_pass_while_no_purchase_is_refused():
    """Slow looks alone are the business of those who serve them."""
    gateway = Gateway()
    gateway.see(refused=0, seconds=SLOW, times=20)
    assert gateway.precedence.admits(NORMAL)


def test_looks_come_back():
    """Once purchases find room again all looks pass within seconds."""
    gateway = Gateway()
    gateway.see(refused=10, seconds=SLOW, times=50)
    gateway.see(refused=0, seconds=SLOW, times=20)
    assert gateway.precedence.share == 1.0
