"""`souk demo`: see `services.local.demo.purchase`."""

import argparse
import asyncio

from redis.exceptions import RedisError

from services.local import endpoints
from services.local.console import Console
from services.local.demo.purchase import StepFailed, buy
from services.local.demo.rest import CallFailed
from services.local.endpoints import NotRunning


def run(options: argparse.Namespace, console: Console) -> int:
    """Buys something from the running mesh; returns 1 at the first step that fails."""
    try:
        where = endpoints.load(options.data)
        console.heading(f"Buying from {where.gateway}")
        asyncio.run(buy(where, console))
    except (CallFailed, NotRunning, RedisError, StepFailed) as error:
        console.fail(str(error))
        return 1
    console.line("The purchase went through.")
    return 0
