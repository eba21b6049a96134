"""A backup taken in the midst of sales is a shop whose books balance."""

import asyncio
import shutil
import sys
import time
from pathlib import Path

import pytest

from services.local import endpoints
from tests.chaos import books, catalogue, client, invariants, quiescence, world
from tests.chaos.buyers import Crowd
from tests.chaos.history import History

pytestmark = pytest.mark.timeout(600)

_BUYERS = 6
_ORDERS = 40
_AFTER = 10
_SECONDS = 150


async def _souk(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.local", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), _SECONDS)
    assert process.returncode == 0, output.decode()
    return output.decode()


async def _placed(crowd: Crowd, orders: int) -> None:
    async with asyncio.timeout(_SECONDS):
        while crowd.placed < orders:
            await asyncio.sleep(0.02)


async def _sell_and_back_up(folder: Path, told: Path, file: Path) -> int:
    """Sells, takes a backup meanwhile, sells on; returns how much was told before the backup."""
    async with world.running(folder) as shop:
        endpoints.save(shop.folder, shop.endpoints)
        with History(told) as history:
            async with client.opened(shop, history, began=time.monotonic()) as buyer:
                goods = await catalogue.stock_up(buyer, history, per_currency=4, single=2)
                crowd = Crowd(
                    client=buyer, catalogue=goods, seed="backup", size=_BUYERS, pause_seconds=0.05
                )
                leave = asyncio.Event()
                async with asyncio.TaskGroup() as tasks:
                    for number in range(_BUYERS):
                        tasks.create_task(crowd.buy_until(leave, number))
                    await _placed(crowd, _ORDERS)
                    told_before = told.stat().st_size
                    await _souk("backup", str(file), "--data", str(folder))
                    await _placed(crowd, crowd.placed + _AFTER)
                    leave.set()
        assert crowd.unanswered == 0
    return told_before


async def test_a_backup_in_the_midst_of_sales_balances_once_restored(tmp_path: Path) -> None:
    """All that was told before the backup is there after a restore, and every invariant holds.

    Nobody's purchase fails for the backup. What was sold later is not there.
    """
    first, second, file = tmp_path / "first", tmp_path / "second", tmp_path / "backup.tar"
    told = tmp_path / "history.ndjson"
    told_before = await _sell_and_back_up(first, told, file)
    everything = told.read_bytes()
    told.write_bytes(everything[:told_before])

    await _souk("restore", str(file), "--data", str(second))
    shutil.rmtree(second / "signing-keys")  # the world makes its own
    async with world.running(second) as shop:
        settling = await quiescence.settle(shop.sources, seconds=_SECONDS)
        assert settling.complete, settling
        found = await books.read(shop.sources, told)
    broken = {name: who for name, who in invariants.check(found).items() if who}
    assert broken == {}
    assert _ORDERS <= len(found.orders) < everything.count(b'"call":"CreateOrder"')
