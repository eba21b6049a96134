"""What the gateway imports is what `pip install .` brings, without the extras of services."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[3]

# The storefront is a service, and so is whoever shares its counts through Redis.
IMPORT_ALL = """
import pkgutil, sys
from importlib import import_module
import gateway
for module in pkgutil.walk_packages(gateway.__path__, "gateway."):
    if not module.name.startswith(("gateway.storefront.", "gateway.rates.sharing")):
        import_module(module.name)
print(*{name.partition(".")[0] for name in sys.modules})
"""


def test_nothing_of_the_extras_is_imported():
    """Every module of the gateway but the storefront's loads no store and no client of services."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    kept_out = {
        re.split(r"[=\[;]", each)[0] for extra in ("services", "local") for each in extras[extra]
    }
    done = subprocess.run(  # noqa: S603  # a command of ours
        [sys.executable, "-c", IMPORT_ALL], check=True, capture_output=True, text=True, timeout=60
    )
    imported = set(done.stdout.split())
    distributions = metadata.packages_distributions()
    found = {name for each in imported for name in distributions.get(each, ())}
    assert "httptools" in found
    assert set() == found & kept_out
