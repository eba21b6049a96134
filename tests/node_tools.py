"""What `make tools` installs of Node's packages, and how a test runs it."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "node"
MODULES = Path(__file__).parents[1] / ".tools" / "node" / "node_modules"


def run(package_binary: str, *arguments: str | Path, folder: Path | None = None) -> str:
    """Runs a package's program and gives its output; a failure is an AssertionError with it.

    Skips the test where the program is not installed.
    """
    program = MODULES / ".bin" / package_binary
    if shutil.which("node") is None or not program.exists():
        pytest.skip(f"{package_binary} is not installed: `make tools`")
    return _run([program, *arguments], folder)


def run_script(script: Path, *arguments: str) -> str:
    """Runs a script that Node can read, as `run` does."""
    return _run(["node", script, *arguments], script.parent)


def _run(command: Sequence[str | Path], folder: Path | None) -> str:
    done = subprocess.run(  # noqa: S603  # a program of ours
        command, cwd=folder, check=False, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
