"""Files are read again when they change, in whatever way that is done."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from services.mesh import settings, watched_files
from services.mesh.settings import Secret
from services.mesh.watched_files import WatchedFiles
from tests.conftest import Eventually


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    key: Secret
    other: Secret


def watched(path: Path) -> WatchedFiles[str]:
    """Watch a file of text."""
    return WatchedFiles([path], path.read_text)


async def test_a_file_written_in_place_is_read_again(tmp_path: Path) -> None:
    """What is written into the file is the value after the next look, and is told once."""
    path = tmp_path / "secret"
    path.write_text("first")
    file, told = watched(path), list[str]()
    file.on_change(lambda: told.append(file.value))
    path.write_text("second")
    looks = [await file.refresh(), await file.refresh()]
    assert (["second"], [True, False]) == (told, looks)


async def test_a_file_renamed_over_it_is_read_again(tmp_path: Path) -> None:
    """Vault's agent writes beside and renames: another file of the same size."""
    path = tmp_path / "secret"
    path.write_text("first")
    file = watched(path)
    (tmp_path / "new").write_text("other")
    (tmp_path / "new").replace(path)
    await file.refresh()
    assert file.value == "other"


async def test_an_exchanged_link_is_followed(tmp_path: Path) -> None:
    """Kubernetes exchanges the link `..data`; the files' own links stay as they were."""
    for name in ("..1", "..2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "secret").write_text(name)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "secret").symlink_to("..data/secret")
    file = watched(tmp_path / "secret")
    (tmp_path / "..data_tmp").symlink_to("..2")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    await file.refresh()
    assert file.value == "..2"


async def test_a_folder_stands_for_its_files(tmp_path: Path) -> None:
    """A file that is added to a folder, or changed in it, is seen."""
    folder = WatchedFiles([tmp_path], lambda: sorted(each.name for each in tmp_path.iterdir()))
    (tmp_path / "key").write_text("x")
    await folder.refresh()
    assert folder.value == ["key"]


async def test_what_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    """While a file is gone or empty, what was read before is used; then the new one is."""
    path = tmp_path / "url"
    path.write_text("first")
    secret = settings.load(_Settings, {"SOUK_KEY_FILE": str(path), "SOUK_OTHER": "x"}).key
    values = []
    for change in (path.unlink, lambda: path.write_text(""), lambda: path.write_text("second")):
        change()
        for file in secret.files():
            await file.refresh()
        values.append(secret.reveal())
    assert values == ["first", "first", "second"]


async def test_followed_files_are_looked_at_again_and_again(
    tmp_path: Path, eventually: Eventually
) -> None:
    """As long as the block lasts, a change is seen without anybody's asking."""
    path = tmp_path / "secret"
    path.write_text("first")
    file = watched(path)

    async def is_second() -> bool:
        return file.value == "second"

    async with watched_files.following([file], timedelta(milliseconds=5)):
        path.write_text("second")
        await eventually(is_second)


async def test_one_that_fails_in_its_own_way_stops_no_other(
    tmp_path: Path, eventually: Eventually
) -> None:
    """Whatever reading one of them raises, the others are looked at as before."""
    path = tmp_path / "secret"
    path.write_text("first")
    values = iter(["first"])
    bad, good = WatchedFiles([path], lambda: {"first": 1}[next(values, "")]), watched(path)

    async def is_second() -> bool:
        return good.value == "second"

    async with watched_files.following([bad, good], timedelta(milliseconds=5)):
        path.write_text("second")
        await eventually(is_second)


async def test_a_secret_given_by_a_file_follows_it(tmp_path: Path) -> None:
    """Settings are read once, but for secrets of which a file is named."""
    path = tmp_path / "secret"
    path.write_text("first\n")
    loaded = settings.load(_Settings, {"SOUK_KEY_FILE": str(path), "SOUK_OTHER": "fixed"})
    path.write_text("second\n")
    for file in settings.secrets_of(loaded):
        await file.refresh()
    assert ("second", "fixed") == (loaded.key.reveal(), loaded.other.reveal())
