"""`souk explain`: see `services.local.explain`."""

import argparse
import shutil
import sys

from services.local import contract
from services.local.console import Console
from services.local.contract import NoSuchRpc
from services.local.explain import explain


def run(options: argparse.Namespace, console: Console) -> int:
    """Writes what the contract says about one RPC; returns 1 when there is no such RPC."""
    try:
        rpc = contract.find(" ".join(options.what))
    except (NoSuchRpc, OSError) as error:
        console.fail(str(error))
        return 1
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in explain(rpc, width):
        console.line(line)
    return 0
