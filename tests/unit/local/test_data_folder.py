"""The data folder: what it refuses, what it keeps private, who holds it."""

import stat
from datetime import timedelta
from pathlib import Path

import pytest

from services.local import credentials
from services.local.data_folder import DataFolder, DataFolderError


def _created(path: Path) -> DataFolder:
    folder = DataFolder(path)
    folder.create()
    return folder


@pytest.mark.parametrize("exists", [False, True])
def test_new_or_empty_folder_is_accepted(tmp_path: Path, *, exists: bool) -> None:
    """A folder that is not there yet, or empty, can be taken."""
    folder = DataFolder(tmp_path / "data")
    if exists:
        folder.path.mkdir()
    folder.check()


def test_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    """Files of somebody else are never taken for ours."""
    (tmp_path / "thesis.txt").write_text("do not lose")
    with pytest.raises(DataFolderError, match="holds something else"):
        DataFolder(tmp_path).check_ours()


def test_what_can_be_no_folder_is_refused(tmp_path: Path) -> None:
    """A file, or a folder below one, is told with its reason and the way out."""
    file = tmp_path / "file"
    file.touch()
    for path, does in ((file, DataFolder.check), (file / "below", DataFolder.create)):
        with pytest.raises(DataFolderError, match=r"cannot be used \(Not a directory\).*SOUK_DATA"):
            does(DataFolder(path))


def test_folder_of_another_version_is_refused(tmp_path: Path) -> None:
    """The message names both versions and both ways out."""
    folder = _created(tmp_path / "data")
    (folder.path / "version").write_text("0\n")
    with pytest.raises(DataFolderError, match=r"layout 0, this one reads 1.*souk reset.*SOUK_DATA"):
        folder.check()


def test_locked_folder_is_refused(tmp_path: Path) -> None:
    """While somebody holds the folder, nobody else can, not even after some patience."""
    folder = _created(tmp_path / "data")
    with (
        folder.locked(),
        pytest.raises(DataFolderError, match="another `souk up` is running"),
        folder.locked(patience=timedelta(milliseconds=120)),
    ):
        pytest.fail("held twice")


def test_folder_is_free_after_the_block(tmp_path: Path) -> None:
    """The lock ends with the block."""
    folder = _created(tmp_path / "data")
    with folder.locked():
        pass
    with folder.locked() as descriptor:
        assert descriptor > 0


def test_folder_and_its_files_are_private(tmp_path: Path) -> None:
    """Only the owner can look into the folder and read what is written there."""
    folder = _created(tmp_path / "data")
    folder.write("state.json", {"a": 1})
    paths = (folder.path, folder.path / "state.json")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in paths]
    assert modes == [0o700, 0o600]


def test_written_is_read(tmp_path: Path) -> None:
    """A JSON file is read as it was written; a missing one is None."""
    folder = _created(tmp_path / "data")
    folder.write("state.json", {"a": [1, None]})
    assert folder.read("state.json") == {"a": [1, None]}
    assert folder.read("missing.json") is None


def test_credentials_are_made_once_and_differ(tmp_path: Path) -> None:
    """Asked again for the same name, the same secret comes; for another name, another."""
    folder = _created(tmp_path / "data")
    first = credentials.ensure(folder, "account/admin")
    assert credentials.ensure(folder, "account/admin") == first
    assert credentials.ensure(folder, "account/customer") != first
