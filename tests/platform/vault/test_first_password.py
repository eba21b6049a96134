"""The password that an administrator gives is replaced, if not at first then at the next try."""

import importlib.util
from types import ModuleType
from typing import Any

import pytest

from services.local.derived.vault import FOLDER
from tests.platform.charts import ROOT

CONFIG, ROTATION = "database/config/souk-postgres", "database/rotate-root/souk-postgres"


@pytest.fixture
def configure() -> ModuleType:
    """Loads the script, which is in no package."""
    spec = importlib.util.spec_from_file_location("configure", ROOT / FOLDER / "configure.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Recorder:
    """Stands in for a Vault: keeps what is written, and refuses the first exchange."""

    def __init__(self, refused: Exception) -> None:
        self.refusals = [refused]
        self.written: dict[str, Any] = {}

    def read(self, path: str) -> Any:
        """Returns what was written."""
        return self.written.get(path)

    def names(self, _path: str) -> list[str]:
        """Has an authority, and nothing left over."""
        return ["issuer"]

    def write(self, path: str, body: Any) -> None:
        """Keeps it."""
        if path == ROTATION and self.refusals:
            raise self.refusals.pop()
        self.written[path] = body


@pytest.mark.parametrize(("password", "is_replaced"), [("hush", True), ("", False)])
def test_a_run_that_failed_is_repeated(configure: ModuleType, password: str, *, is_replaced: bool):
    """A Job's next try has the password still, and replaces it; later runs have none."""
    vault = Recorder(configure.Refused("500"))

    def run(given: str) -> None:
        connection = {"path": CONFIG, "body": {}, "first": {"password": given}}
        owned = {"prefix": "souk-", "lists": []}
        wanted = {"mounts": {}, "connection": connection, "writes": {}, "owned": owned}
        configure.configure(vault, wanted, {})

    with pytest.raises(configure.Refused):
        run("hush")
    run(password)
    assert is_replaced == (ROTATION in vault.written)
