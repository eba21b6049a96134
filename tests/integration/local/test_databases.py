"""One database and one role per service: each gets into its own and into no other."""

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from services.local import databases
from services.local.data_folder import DataFolder

_SERVICES = ("order", "payment")


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """Makes a data folder."""
    made = DataFolder(tmp_path / "data")
    made.create()
    return made


async def test_role_owns_its_database_and_nothing_more(
    postgres_url: str, folder: DataFolder
) -> None:
    """A service may create tables in its own database, but no database and no role."""
    urls = await databases.provision(postgres_url, folder, _SERVICES)
    connection = await asyncpg.connect(urls["order"])
    try:
        await connection.execute("CREATE TABLE provisioned (id int); DROP TABLE provisioned")
        rights = await connection.fetchrow(
            "SELECT rolname, rolsuper, rolcreatedb, rolcreaterole FROM pg_roles"
            " WHERE rolname = current_user"
        )
    finally:
        await connection.close()
    assert tuple(rights or ()) == ("souk_order", False, False, False)


async def test_role_cannot_connect_to_another_database(
    postgres_url: str, folder: DataFolder
) -> None:
    """The order service's role is refused by the payment service's database."""
    urls = await databases.provision(postgres_url, folder, _SERVICES)
    other = urlunsplit(urlsplit(urls["order"])._replace(path="/souk_payment"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(other)


async def test_second_run_changes_nothing(postgres_url: str, folder: DataFolder) -> None:
    """Provisioning again gives the same URLs."""
    first = await databases.provision(postgres_url, folder, _SERVICES)
    assert await databases.provision(postgres_url, folder, _SERVICES) == first


async def test_lost_passwords_are_replaced(postgres_url: str, tmp_path: Path) -> None:
    """With another data folder on the same server, the roles take the new passwords."""
    for name in ("first", "second"):
        folder = DataFolder(tmp_path / name)
        folder.create()
        urls = await databases.provision(postgres_url, folder, _SERVICES)
        connection = await asyncpg.connect(urls["order"])
        await connection.close()
