"""Runs the gateway: `python -m gateway serve|openapi|routes`.

It exits with 0 after a drain, 1 when it cannot listen, 2 when what it is given cannot be served;
then every fault is listed on standard error.
"""

import sys
from collections.abc import Sequence
from typing import NoReturn

from gateway import serving, settings
from gateway.http1 import workers
from gateway.settings import GatewaySettings, Options
from gateway.transcoding.descriptors import Faults
from services.mesh import event_loop, logs
from services.mesh import settings as mesh_settings
from services.mesh.address import CannotListen
from services.mesh.policy import ContractError
from services.mesh.settings import SettingsError


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Does what the command line says and exits."""
    try:
        options = settings.parse(argv)
        environment = settings.of_worker(mesh_settings.load(settings.GatewaySettings))
        if options.workers > 1:
            sys.exit(event_loop.run(_run_workers(options, environment)))
        # Only now: a parent of workers needs none of it.
        from gateway import app  # noqa: PLC0415

        code = event_loop.run(app.run(options, environment))
    except (Faults, SettingsError, ContractError) as error:
        lines = "".join(f"  {line}\n" for fault in error.faults for line in fault.splitlines())
        sys.stderr.write(f"the gateway cannot start:\n{lines}")
        sys.exit(2)
    except CannotListen as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    if options.command == "serve":
        event_loop.leave(code)
    sys.exit(code)


async def _run_workers(options: Options, environment: GatewaySettings) -> int:
    """Runs this command line several times, on the address that is taken here."""
    if not workers.is_supported():
        raise Faults(["--workers: this platform cannot share a port between processes"])
    logs.configure(settings.NAME, environment)
    # Another program that shares its ports would be joined, not noticed.
    serving.bind(options.listen).close()
    # Held as long as the workers run: it is theirs, also while one of them is started again.
    with serving.bind(options.listen, is_shared=True) as shared:
        address = ("--listen", serving.address_of(shared))
        command = (sys.executable, *sys.orig_argv[1:], *address, "--workers", "1")
        return await workers.Workers(command, options.workers).run()


if __name__ == "__main__":
    main()
