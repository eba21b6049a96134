"""Asks for known vulnerabilities of what the lock file names, by pip-audit.

pip-audit asks the package index, for each version. An index that keeps no advisories, as mirrors
are, knows of no package at all: then nothing can be told, which is said and is no failure.
"""

import json
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from services.local.supply import SKIPPED

_ROOT = Path(__file__).parents[3]
_LOCK = _ROOT / "requirements.lock"
_PROBE = "pip-audit"
_PROBE_SECONDS, _SECONDS = 30, 240

ACCEPTED: dict[str, str] = {}
"""Vulnerabilities that do not concern us, by id, each with the reason and until when."""


class NotAudited(Exception):
    """pip-audit could not do its work; the message is its own."""


def main() -> int:
    """Prints what is vulnerable; returns 1 if anything is, SKIPPED if nobody here knows."""
    try:
        if not _audit(_locked(_PROBE), seconds=_PROBE_SECONDS):
            sys.stdout.write("the package index here keeps no advisories\n")
            return SKIPPED
        audited = _audit(_LOCK.read_text(encoding="utf-8"), seconds=_SECONDS)
    except NotAudited as error:
        sys.stdout.write(f"pip-audit: {error}\n")
        return SKIPPED
    wrong = faults(audited)
    sys.stdout.writelines(f"{line}\n" for line in wrong)
    return int(bool(wrong))


def faults(audited: list[dict[str, Any]]) -> list[str]:
    """Returns a line for each vulnerability that is not accepted."""
    return [
        f"{each['name']} {each['version']}: {found['id']}, fixed in {found['fix_versions']}"
        for each in audited
        for found in each["vulns"]
        if not {found["id"], *found.get("aliases", ())} & ACCEPTED.keys()
    ]


def _audit(requirements: str, *, seconds: int) -> list[dict[str, Any]]:
    """Returns what is known of each requirement; nothing of those that the index does not know."""
    program = Path(sysconfig.get_path("scripts")) / "pip-audit"
    options = ("--disable-pip", "--require-hashes", "--format=json", "--progress-spinner=off")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(requirements)
        file.flush()
        try:
            done = subprocess.run(  # noqa: S603  # our own file
                [program, *options, "--requirement", file.name],
                capture_output=True,
                text=True,
                check=False,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired as error:
            raise NotAudited(f"no answer in {seconds} s") from error
    try:
        answer = json.loads(done.stdout)["dependencies"]
    except ValueError as error:
        raise NotAudited(done.stderr.strip().rpartition("\n")[2]) from error
    return [each for each in answer if "skip_reason" not in each]


def _locked(name: str) -> str:
    """Returns the lines of the lock file that pin one distribution."""
    lines = _LOCK.read_text(encoding="utf-8").splitlines(keepends=True)
    begin = next(place for place, line in enumerate(lines) if line.startswith(f"{name}=="))
    end = next(
        (place for place in range(begin + 1, len(lines)) if not lines[place].startswith(" ")),
        len(lines),
    )
    return "".join(lines[begin:end])


if __name__ == "__main__":
    sys.exit(main())
