"""`souk gen`: see `services.local.gen`."""

import argparse

from services.local import gen
from services.local.console import Console


def run(options: argparse.Namespace, _console: Console) -> int:
    """Regenerates what the contracts give; returns 1 when one is refused, or stale with --check."""
    return gen.main(["--check"] if options.check else [])
