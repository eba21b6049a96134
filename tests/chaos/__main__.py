"""`make chaos`: break the shop in every way, and see that its books still balance.

    python -m tests.chaos                                  each fault once
    python -m tests.chaos --seconds 1800                   faults drawn at random for half an hour
    python -m tests.chaos --orders 10000 --kills 200       kills spread over so many orders
    python -m tests.chaos --faults a,b --seed 7f3a         these faults, by these dice

It exits with 1 when an invariant is broken, with 2 when it can't begin. What a run leaves is in a
folder that it names.
"""

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

import uvloop

from tests.chaos import report, run
from tests.chaos.faults import FAULTS
from tests.chaos.run import Plan


def main() -> int:
    """Runs what the command line asks for; returns the exit code."""
    options = _options()
    if options.list:
        for name, fault in FAULTS.items():
            _say(f"{name:<46} {(fault.__doc__ or '').splitlines()[0]}")
        return 0
    folder = Path(options.folder or tempfile.mkdtemp(prefix="souk-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        _say(f"{folder} is not empty: a run needs a folder of its own")
        return 2
    plan = Plan(
        folder=folder,
        seed=options.seed,
        faults=tuple(options.faults.split(",")) if options.faults else tuple(FAULTS),
        seconds=options.seconds,
        kills=options.kills,
        orders=options.orders,
        scale=options.scale,
        buyers=options.buyers,
        lanes=options.lanes,
        settle_seconds=options.settle_seconds,
        patience=options.patience,
    )
    _say(f"seed {plan.seed}, everything is kept in {folder}")
    outcome = uvloop.run(run.run(plan, _say))
    for line in report.lines(plan, outcome):
        _say(line)
    return 0 if outcome.holds else 1


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--list", action="store_true", help="list the faults")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="what the dice are made of")
    parser.add_argument("--seconds", type=float, help="draw faults for so long; else each once")
    parser.add_argument("--orders", type=int, default=0, help="end only after so many orders")
    parser.add_argument("--kills", type=int, default=0, help="spread so many over the orders")
    parser.add_argument("--faults", help="only these, by name, with commas")
    parser.add_argument("--scale", type=float, default=1.0, help="how long a fault lasts")
    parser.add_argument("--buyers", type=int, default=8, help="how many buy at a time")
    parser.add_argument("--lanes", type=int, default=2, help="how many faults at a time")
    parser.add_argument("--patience", type=float, default=1.0, help="of a slow machine: 2 doubles")
    parser.add_argument("--settle-seconds", type=float, default=60.0, help="patience at the end")
    parser.add_argument("--folder", help="where the run is kept; a new one by default")
    options = parser.parse_args()
    unknown = set((options.faults or "").split(",")) - set(FAULTS) - {""}
    if unknown:
        parser.error(f"there is no fault {', '.join(sorted(unknown))}; see --list")
    if options.kills and not options.orders:
        parser.error("--kills are spread over orders: say how many with --orders")
    if options.kills and options.faults and "kill_" not in options.faults:
        parser.error("--kills needs faults that kill among --faults")
    return options


if __name__ == "__main__":
    sys.exit(main())
