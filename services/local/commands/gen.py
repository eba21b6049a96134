"""`souk gen`: see `services.local.gen`."""

import argparse

from services.local import gen
from services.local.console import Console


def run(options: argparse.Namespace, _console: Console) -> int:
    """Regenerates the stubs; returns 1 when a contract is refused, or stale with --check."""
    return gen.main(["--check"] if options.check else [])
