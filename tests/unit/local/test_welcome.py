"""The welcome names every place, account and first call."""

import io
from pathlib import Path

import pytest

from services.local import topology, welcome
from services.local.console import Console
from services.local.data_folder import DataFolder
from services.local.demo import accounts
from services.local.endpoints import Endpoints


@pytest.fixture
def shown(tmp_path: Path) -> str:
    """Returns the welcome of a mesh on ports of this test's choice."""
    folder = DataFolder(tmp_path)
    names = [service.name for service in topology.SERVICES]
    where = Endpoints(
        gateway="http://127.0.0.1:18080",
        grpc={name: f"127.0.0.1:{place}" for place, name in enumerate(names, 60000)},
        probes={},
        metrics={},
        sandbox="http://127.0.0.1:60060",
        postgres="postgresql://postgres:secret@127.0.0.1:15432/postgres",
        redis="redis://shop:secret@127.0.0.1:16379/0",
        mongo="mongodb://127.0.0.1:27117/",
        certs=str(folder.certs),
        supervisor=1,
    )
    stream = io.StringIO()
    welcome.show(Console(stream), where, accounts.ensure(folder), 4.21)
    return stream.getvalue()


def test_places_and_time_are_named(shown: str) -> None:
    """The start's time, the gateway, every gRPC port and Redis are there."""
    expected = ["after 4.2 s", "http://127.0.0.1:18080", "order 60002", "127.0.0.1:16379"]
    assert [each for each in expected if each not in shown] == []


def test_what_is_not_to_be_pasted_fits_a_terminal(shown: str) -> None:
    """Calls stay one line each; all else is at most 80 columns wide."""
    told, _, _ = shown.partition("Try")
    assert max(map(len, told.splitlines())) <= 80


def test_accounts_are_named(shown: str, tmp_path: Path) -> None:
    """Every demo account is there with its password."""
    people = accounts.ensure(DataFolder(tmp_path)).values()
    assert [each.email for each in people if f"{each.email}" not in shown] == []
    assert [each.email for each in people if each.password not in shown] == []


def test_passwords_of_stores_are_not_shown(shown: str) -> None:
    """The administrator's URL stays in the data folder, and Redis is shown without its password."""
    assert "redis://***@127.0.0.1:16379/0" in shown
    assert "secret" not in shown
