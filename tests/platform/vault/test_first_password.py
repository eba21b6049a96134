"""The password that an administrator gave once is told of where it is not replaced."""

import importlib.util
from types import ModuleType
from typing import Any

import pytest

from services.local.derived.vault import FOLDER
from tests.platform.charts import ROOT


@pytest.fixture
def configure() -> ModuleType:
    """Loads the script, which is in no package."""
    spec = importlib.util.spec_from_file_location("configure", ROOT / FOLDER / "configure.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_password_that_stays_good_is_told(configure: ModuleType):
    """Given again, the script finds the connection described and would be content."""

    class Vault:
        """Describes the server, and can't change its password."""

        def read(self, _path: str) -> None:
            """Knows nothing yet."""

        def names(self, _path: str) -> list[str]:
            """Has an authority."""
            return ["issuer"]

        def write(self, path: str, _body: Any) -> None:
            """Refuses the exchange alone."""
            if "rotate-root" in path:
                raise configure.Refused(f"POST {path}: 500 no connection")

    connection = {"path": "database/config/souk-pg", "body": {}, "first": {"password": "hush"}}
    with pytest.raises(configure.Refused, match="vault write -force database/rotate-root/souk-pg"):
        configure.configure(Vault(), {"mounts": {}, "connection": connection}, {})
