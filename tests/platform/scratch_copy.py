"""A copy of the repository under a git of its own, for tests that change it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


def copied(folder: Path) -> Path:
    """Copies what git would see into `folder`, commits it there, and returns the folder."""
    files = run(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for name in files:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "add", "--all")
    who = ("-c", "user.name=souk", "-c", "user.email=souk@souk.example")
    run(folder, "git", *who, "commit", "--quiet", "--message", "As it was")
    return folder


def path_of(folder: Path) -> dict[str, str]:
    """Gives what lets Python import a copy, not this repository."""
    return {"PYTHONPATH": os.pathsep.join((str(folder), str(folder / "proto/gen")))}


def run(
    folder: Path,
    *command: str,
    environment: Mapping[str, str] | None = None,
    exit_code: int = 0,
) -> str:
    """Runs a command; returns what it printed, fails with what it complained of."""
    done = subprocess.run(  # noqa: S603  # commands of ours
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == exit_code, done.stdout + done.stderr
    return done.stdout


def python(folder: Path, module: str, *arguments: str, exit_code: int = 0) -> str:
    """Runs a module of the copy, not of this repository."""
    command = (sys.executable, "-m", module, *arguments)
    return run(folder, *command, environment=path_of(folder), exit_code=exit_code)


def changed(folder: Path) -> set[str]:
    """Returns what differs from what was committed."""
    told = run(folder, "git", "status", "--porcelain", "--untracked-files=all")
    return {line[3:] for line in told.splitlines()}
