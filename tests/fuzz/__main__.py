"""`make fuzz`: send generated requests to a running shop, and see that none of them breaks it.

    python -m tests.fuzz --calls 70000 --requests 30000
    python -m tests.fuzz --seed 7 --calls 5000 --requests 0      the same calls each time

Calls go straight to the services over gRPC, requests to the gateway over HTTP. It exits with 1 when
it finds something: an answer that is the server's fault, a hang, a leak.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import uvloop

from tests.fuzz.run import Plan, run, table


def main() -> int:
    """Runs what the command line asks for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--calls", type=int, default=70_000, help="straight at the services")
    parser.add_argument("--requests", type=int, default=30_000, help="at the gateway")
    parser.add_argument("--seed", type=int, default=1, help="what the dice are made of")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="souk-fuzz-") as folder:
        plan = Plan(
            folder=Path(folder),
            seed=options.seed,
            calls=options.calls,
            requests=options.requests,
        )
        outcome = uvloop.run(run(plan, _say))
    for line in table(outcome):
        _say(line)
    return 1 if outcome.findings else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
