"""Runs every static check and prints one line for each: `python -m services.local.check`.

    lint              ok      0.1 s
    types             FAILED  6.2 s
        services/order/store.py:12: error: …

A check that compares a derived file with its source is one more line of `CHECKS`.
"""

import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_BIN = Path(sysconfig.get_path("scripts"))
_TIMEOUT_SECONDS = 300
_FAILED_TO_RUN = 127

# buf reads descriptor sets because their imports are resolved: no registry is asked. `--path`
# leaves out the imported contracts of third parties.
_CONTRACT = "proto/gen/souk.binpb"
_RELEASED = "proto/released/souk-v1.binpb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One command that exits with 0 when all is well."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one check gave: exit code 0 or not, what it printed, how long it took."""

    check: Check
    exit_code: int
    output: str
    seconds: float


CHECKS = (
    Check(name="lint", command=("ruff", "check", "--quiet", "--output-format", "concise")),
    Check(name="format", command=("ruff", "format", "--check", "--output-format", "concise")),
    Check(name="types", command=("mypy", "--no-error-summary")),
    Check(name="imports", command=("lint-imports", "--no-logo", "--no-cache")),
    Check(name="derived files", command=("python", "-m", "services.local.gen", "--check")),
    Check(name="contract lint", command=("buf", "lint", _CONTRACT, "--path", "souk")),
    Check(name="contract format", command=("buf", "format", "--diff", "--exit-code")),
    Check(
        name="contract breaking",
        command=(
            *("buf", "breaking", _CONTRACT, "--against", _RELEASED),
            *("--path", "souk", "--exclude-imports"),
        ),
    ),
)


def run(check: Check) -> Result:
    """Runs one check in the repository; one that cannot start or hangs has failed."""
    started = time.monotonic()
    program, *arguments = check.command
    try:
        completed = subprocess.run(  # noqa: S603 - the commands stand above
            [_BIN / program, *arguments],
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        exit_code, output = _FAILED_TO_RUN, str(error)
    else:
        exit_code, output = completed.returncode, completed.stdout
    seconds = time.monotonic() - started
    return Result(check=check, exit_code=exit_code, output=output, seconds=seconds)


def line(result: Result) -> str:
    """Returns the result as people read it: one line, and what a failed check printed."""
    verdict = "ok" if result.exit_code == 0 else "FAILED"
    text = f"{result.check.name:<18} {verdict:<7} {result.seconds:4.1f} s\n"
    if result.exit_code == 0:
        return text
    return text + "".join(f"    {row}\n" for row in result.output.rstrip().splitlines())


def main(checks: Iterable[Check] = CHECKS) -> int:
    """Runs the checks in order; returns 1 when any has failed, else 0."""
    failed = False
    for check in checks:
        result = run(check)
        failed = failed or result.exit_code != 0
        sys.stdout.write(line(result))
        sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
