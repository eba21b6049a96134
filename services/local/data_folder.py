"""The data folder: everything that `souk up` keeps, in one place that one process owns at a time.

.souk/
  version             the layout's number; another one is refused
  lock                held as long as any process that writes to the folder lives
  endpoints.json      where the running mesh can be reached (`endpoints`)
  credentials.json    the passwords of the databases and the demo accounts (`credentials`)
  secrets/            what each process is told in secret (`secret_files`)
  secrets.lock        held by who exchanges them (`secret_rotation`)
  signing-keys/       what signs access tokens
  certs/              the local authority and the identities (`certs`)
  postgres/ redis/ mongo/ sandbox/ user/
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from services.local import whole_file

VERSION = "1"

_RETRY_SECONDS = 0.05


class DataFolderError(Exception):
    """The data folder cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The paths in a data folder, and how its small files are read and written."""

    path: Path

    @property
    def certs(self) -> Path:
        """Holds the certificates and keys."""
        return self.path / "certs"

    @property
    def signing_keys(self) -> Path:
        """Holds the keys that sign access tokens."""
        return self.path / "signing-keys"

    def store(self, name: str) -> Path:
        """Returns the folder that belongs to one store or service alone."""
        return self.path / name

    def read(self, name: str) -> Any:
        """Returns the content of a JSON file of the folder, None if there is none."""
        path = self.path / name
        return json.loads(path.read_text()) if path.exists() else None

    def write(self, name: str, content: object) -> None:
        """Replaces a JSON file of the folder as a whole; only its owner can read it."""
        whole_file.write(self.path / name, f"{json.dumps(content, indent=2)}\n".encode())

    def remove(self, name: str) -> None:
        """Removes a file of the folder if it is there."""
        (self.path / name).unlink(missing_ok=True)

    def check_ours(self) -> None:
        """Raises DataFolderError if the folder holds anything else than Souk's data."""
        try:
            is_ours = self._is_new() or (self.path / "version").exists()
        except OSError as error:
            raise self._unusable(error) from None
        if not is_ours:
            message = (
                f"{self.path} holds something else than Souk's data; name another folder with"
                " --data or SOUK_DATA"
            )
            raise DataFolderError(message)

    def check(self) -> None:
        """Raises DataFolderError unless the folder is new, or ours and of this version."""
        self.check_ours()
        found = VERSION if self._is_new() else (self.path / "version").read_text().strip()
        if found != VERSION:
            message = (
                f"{self.path} was made by another version of Souk (layout {found}, this one reads"
                f" {VERSION}): run `souk reset` to start afresh, or name another folder with"
                " --data or SOUK_DATA"
            )
            raise DataFolderError(message)

    def create(self) -> None:
        """Makes the folder, readable by its owner alone, and marks its version.

        Raises DataFolderError if that cannot be.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.path / "version").write_text(VERSION + "\n")
        except OSError as error:
            raise self._unusable(error) from None

    def _unusable(self, error: OSError) -> DataFolderError:
        reason = error.strerror or str(error)
        return DataFolderError(
            f"{self.path} cannot be used ({reason}): name another folder with --data or SOUK_DATA"
        )

    def _is_new(self) -> bool:
        return not self.path.exists() or not any(self.path.iterdir())

    @contextlib.contextmanager
    def locked(self, *, patience: timedelta = timedelta(0)) -> Iterator[int]:
        """Holds the folder for the length of the block; yields the lock's file descriptor.

        A child that inherits the descriptor keeps the folder locked as long as it lives: stores
        that outlive a killed supervisor by a moment are thereby waited for.

        Raises DataFolderError when another process still holds it after `patience`.
        """
        path = self.path / "lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _acquire(descriptor, path, patience)
            yield descriptor
        finally:
            os.close(descriptor)


def _acquire(descriptor: int, path: Path, patience: timedelta) -> None:
    deadline = time.monotonic() + patience.total_seconds()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                message = (
                    f"another `souk up` is running on {path.parent}: stop it first, or name another"
                    " folder with --data or SOUK_DATA"
                )
                raise DataFolderError(message) from None
            time.sleep(_RETRY_SECONDS)
        else:
            return
