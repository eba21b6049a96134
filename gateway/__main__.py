"""Runs the gateway: `python -m gateway serve|openapi|routes`.

It exits with 0 after a drain, 1 when it cannot listen, 2 when what it is given cannot be served;
then every fault is listed on standard error.
"""

import sys
from collections.abc import Sequence
from typing import NoReturn

from gateway import app, settings
from gateway.transcoding.descriptors import Faults
from services.mesh import event_loop
from services.mesh import settings as mesh_settings
from services.mesh.address import CannotListen
from services.mesh.policy import ContractError
from services.mesh.settings import SettingsError


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Does what the command line says and exits."""
    try:
        options = settings.parse(argv)
        environment = mesh_settings.load(settings.GatewaySettings)
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


if __name__ == "__main__":
    main()
