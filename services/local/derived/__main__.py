"""`python -m services.local.derived [--check]`: a process of its own reads the fresh stubs."""

import argparse
import sys
from pathlib import Path

from services.local import derived
from services.mesh.policy import ContractError


def main(arguments: list[str] | None = None) -> int:
    """Writes what is stale, or with --check only names it and returns 1."""
    parser = argparse.ArgumentParser(prog="services.local.derived")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if stale")
    options = parser.parse_args(arguments)
    root = Path(__file__).parents[3]
    try:
        stale = list(derived.differences(root)) if options.check else derived.write(root)
    except (ContractError, ValueError) as error:
        sys.stderr.write(f"nothing else is derived: {error}\n")
        return 1
    for path in stale:
        done = "wrote" if (root / path).exists() else "removed"
        sys.stdout.write(f"{'stale' if options.check else done} {path}\n")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
