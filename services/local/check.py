"""Runs every static check and prints one line for each: `python -m services.local.check`.

    lint              ok      0.1 s
    types             FAILED  6.2 s
        services/order/store.py:12: error: …
    helm lint         skipped: helm is not installed (make tools)

A check that compares a derived file with its source is one more line of `CHECKS`. The platform's
checks (`tests.platform.check`) are a table of the same kind.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_PATH = os.pathsep.join(
    (sysconfig.get_path("scripts"), str(_ROOT / ".tools" / "bin"), os.environ.get("PATH", ""))
)
_TIMEOUT_SECONDS = 900
_FAILED_TO_RUN = 127
# As automake has it: what a check says then is why it can't be made here.
_CANNOT_TELL = 77

# buf reads descriptor sets because their imports are resolved: no registry is asked. `--path`
# leaves out the imported contracts of third parties.
_CONTRACT = "proto/gen/souk.binpb"
_RELEASED = "proto/released/souk-v1.binpb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One command that exits with 0 when all is well, run in the repository.

    `needs`: the programs without which it is skipped; those of the environment and of `.tools/bin`
    come before those of the machine. What is not named here must be there.
    """

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """Returns the programs that it needs and that are not there."""
        return [name for name in self.needs if shutil.which(name, path=_PATH) is None]


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
    Check(name="licences", command=("python", "-m", "services.local.supply.licences")),
    Check(name="secrets", command=("python", "-m", "services.local.supply.secret_scan")),
    Check(
        name="vulnerabilities", command=("python", "-m", "services.local.supply.vulnerabilities")
    ),
)


def run(check: Check) -> Result:
    """Runs one check in the repository; one that cannot start or hangs has failed."""
    started = time.monotonic()
    program, *arguments = check.command
    try:
        completed = subprocess.run(  # noqa: S603 - the commands stand in the tables
            [shutil.which(program, path=_PATH) or program, *arguments],
            cwd=_ROOT,
            env={**os.environ, "PATH": _PATH},
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
    if result.exit_code == _CANNOT_TELL:
        return f"{result.check.name:<18} skipped: {result.output.strip()}\n"
    verdict = "ok" if result.exit_code == 0 else "FAILED"
    text = f"{result.check.name:<18} {verdict:<7} {result.seconds:4.1f} s\n"
    if result.exit_code == 0:
        return text
    return text + "".join(f"    {row}\n" for row in result.output.rstrip().splitlines())


def skipped(check: Check, missing: Iterable[str]) -> str:
    """Returns the line of a check that was not run."""
    return f"{check.name:<18} skipped: {', '.join(missing)} not installed (make tools)\n"


def main(checks: Iterable[Check] = CHECKS) -> int:
    """Runs the checks in order; returns 1 when any has failed, else 0. A skipped one has not."""
    failed = False
    for check in checks:
        if missing := check.missing():
            sys.stdout.write(skipped(check, missing))
            continue
        result = run(check)
        failed = failed or result.exit_code not in {0, _CANNOT_TELL}
        sys.stdout.write(line(result))
        sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
