"""Runs the payment provider's stand-in: `python -m services.sandbox`."""

import argparse
import asyncio
import inspect
import signal
import sys

from services.mesh import settings as mesh_settings
from services.sandbox import server
from services.sandbox.settings import Settings


def main() -> None:
    """Serves until SIGTERM or SIGINT; exits with 2 when the settings are wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m services.sandbox",
        description="The payment provider's stand-in, over HTTP.",
        epilog=inspect.cleandoc(Settings.__doc__ or ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    try:
        settings = mesh_settings.load(Settings)
    except mesh_settings.SettingsError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stopped.set)
    async with server.serving(settings) as url:
        sys.stdout.write(f"sandbox provider on {url}\n")
        sys.stdout.flush()
        await stopped.wait()


if __name__ == "__main__":
    main()
