"""The file that a backup is, with a manifest that shows whether it is whole."""

import hashlib
import json
import os
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.local import data_folder

_FORMAT = 1
_MANIFEST = "manifest.json"


class BadArchive(Exception):
    """The file is no backup that can be restored; the message says why."""


def pack(content: Path, target: Path) -> None:
    """Writes the files under `content` to `target`, which appears when it is whole.

    Raises OSError.
    """
    manifest = {
        "format": _FORMAT,
        "layout": data_folder.VERSION,
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": {name: _facts(content / name) for name in _names(content)},
    }
    (content / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    unfinished = target.with_name(target.name + ".new")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            for name in (_MANIFEST, *manifest["files"]):  # type: ignore[misc]  # its names
                tar.add(content / name, arcname=name)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(target)


def unpack(source: Path, content: Path) -> datetime:
    """Unpacks `source` into the folder `content` and returns when it was taken.

    Raises BadArchive if anything is missing or altered, OSError.
    """
    try:
        with tarfile.open(source) as tar:
            tar.extractall(content, filter="data")
        manifest: dict[str, Any] = json.loads((content / _MANIFEST).read_text())
        expected = manifest["files"]
        taken_at = datetime.fromisoformat(manifest["taken_at"])
    except (tarfile.TarError, FileNotFoundError, ValueError, KeyError) as error:
        raise BadArchive(f"{source} is no backup of Souk") from error
    for name, made_by in (("format", _FORMAT), ("layout", data_folder.VERSION)):
        if manifest.get(name) != made_by:
            raise BadArchive(
                f"{source} has {name} {manifest.get(name)}, this version of Souk reads {made_by}"
            )
    damaged = sorted(
        name
        for name, facts in expected.items()
        if not (content / name).is_file() or _facts(content / name) != facts
    )
    if damaged:
        raise BadArchive(f"{source} is damaged: {', '.join(damaged)}")
    return taken_at


def _names(content: Path) -> list[str]:
    return sorted(str(path.relative_to(content)) for path in content.rglob("*") if path.is_file())


def _facts(path: Path) -> dict[str, object]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}
