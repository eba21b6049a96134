"""The `souk` command.

    souk up | reset | demo | backup | restore | gen | certs | secrets | explain | kong-keys

Each has --help.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from services.local import topology
from services.local.console import Console
from services.local.data_folder import DataFolder

_CONTRACTS = Path(__file__).parents[2] / "proto" / "gen"
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    options = _parser(os.environ).parse_args(arguments)
    if not _CONTRACTS.exists():
        sys.stderr.write(f"souk runs in a clone of its repository: {_CONTRACTS} is not here\n")
        return 2
    command = import_module(f"services.local.commands.{options.command.replace('-', '_')}")
    try:
        code: int = command.run(options, Console())
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _INTERRUPTED
    return code


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="souk", description="Runs the shop on this machine.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_up(commands.add_parser("up", help="run the whole mesh until Ctrl-C"), environ)
    _add_reset(commands.add_parser("reset", help="forget the data of `souk up`"), environ)
    _add_demo(commands.add_parser("demo", help="buy something, step by step"), environ)
    _add_backup(commands.add_parser("backup", help="write all data to one file"), environ)
    _add_restore(commands.add_parser("restore", help="go back to a backup"), environ)
    _add_gen(commands.add_parser("gen", help="regenerate all that is derived from the contracts"))
    _add_certs(commands.add_parser("certs", help="issue, show or rotate identities"), environ)
    _add_secrets(
        commands.add_parser("secrets", help="rotate secrets under a running mesh"), environ
    )
    _add_kong_keys(commands.add_parser("kong-keys", help="publish the keys of tokens to Kong"))
    _add_explain(commands.add_parser("explain", help="tell all that is derived for one RPC"))
    return parser


def _add_up(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    _add_data(parser, environ)
    for name, default in topology.DEFAULT_PORTS.items():
        variable = topology.port_variable(name)
        parser.add_argument(
            f"--{name}-port",
            type=_port,
            default=environ.get(variable) or str(default),
            metavar="PORT",
            help=f"{variable}, default {default}",
        )
    parser.add_argument("--free-ports", action="store_true", help="take free ports instead")
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default=environ.get("SOUK_LOG_LEVEL") or "info",
        help="what the services tell (SOUK_LOG_LEVEL, default info)",
    )
    parser.add_argument("--no-demo", action="store_true", help="load no demo products or accounts")
    parser.add_argument(
        "--no-fsync", action="store_true", help="let a crash of the machine lose data, for tests"
    )


def _add_reset(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    _add_data(parser, environ)
    parser.add_argument("--yes", action="store_true", help="do not ask")


def _add_demo(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    _add_data(parser, environ)


def _add_backup(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    _add_data(parser, environ)
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        help="where to write it; souk-<time>.tar if not given",
    )


def _add_restore(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    _add_data(parser, environ)
    parser.add_argument("file", type=Path, help="what `souk backup` wrote")
    parser.add_argument("--yes", action="store_true", help="do not ask before data is replaced")


def _add_gen(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="write nothing; fail if stale")


def _add_certs(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    _add_data(parser, environ)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("issue", help="make what is missing, renew what is due")
    show = actions.add_parser("show", help="list them with issuer, fingerprint and expiry")
    show.add_argument("--json", action="store_true", help="print JSON, one array")
    rotate = actions.add_parser(
        "rotate",
        help="replace identities, or the authority, under a running mesh",
        description="Issues other certificates and waits until a running mesh has taken them up.",
    )
    what = rotate.add_mutually_exclusive_group()
    what.add_argument("names", nargs="*", metavar="NAME", default=[], help="who; all if not given")
    what.add_argument(
        "--authority",
        action="store_true",
        help="replace the authority and every identity, in steps that lose no call",
    )
    _add_data_after(*actions.choices.values())


def _add_secrets(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    _add_data(parser, environ)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    rotate = actions.add_parser(
        "rotate",
        help="exchange them without a failed call",
        description="Exchanges secrets of a running mesh; the former ones are then good no more.",
    )
    rotate.add_argument(
        "names", nargs="*", metavar="NAME", help="database/<service> or signing-key; all if none"
    )
    _add_data_after(*actions.choices.values())


def _add_kong_keys(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "jwks",
        metavar="JWKS",
        help="URL or file, like http://127.0.0.1:8080/.well-known/jwks.json",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the configuration to put them in, default kong/kong.yaml",
    )
    target = parser.add_mutually_exclusive_group()
    target.add_argument(
        "--push",
        metavar="URL",
        help="give it to Kong's Admin API, like http://127.0.0.1:8001, instead of printing it",
    )
    target.add_argument(
        "--kubernetes",
        action="store_true",
        help="print Secrets and a KongConsumer for `kubectl apply`",
    )


def _add_explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        nargs="+",
        metavar="RPC",
        help="souk.order.v1.OrderService/CreateOrder, or a route: POST /v1/orders",
    )


def _add_data(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    parser.add_argument(
        "--data",
        type=_folder,
        default=environ.get("SOUK_DATA") or ".souk",
        metavar="FOLDER",
        help="where everything is kept (SOUK_DATA, default .souk)",
    )


def _add_data_after(*actions: argparse.ArgumentParser) -> None:
    """Lets --data stand after the action too, where people put it."""
    for each in actions:
        each.add_argument("--data", type=_folder, default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def _folder(text: str) -> DataFolder:
    return DataFolder(Path(text).absolute())


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 1 to 65535")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
