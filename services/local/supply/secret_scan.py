"""Looks for secrets in the tree and in all that was ever committed, by detect-secrets' patterns.

    python -m services.local.supply.secret_scan [FOLDER]

Patterns of known kinds of secrets alone: private keys, access keys and tokens of cloud providers,
JSON Web Tokens, passwords in URLs. What merely looks random is left out; hashes do too. A line that
must hold such a thing says so itself: `pragma: allowlist secret`.
"""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.settings import transient_settings

# These find what looks random, any word `password`, and addresses.
_LEFT_OUT = {
    "Base64HighEntropyString",
    "HexHighEntropyString",
    "KeywordDetector",
    "IPPublicDetector",
}
_ALLOWED_LINE = "pragma: allowlist secret"
# The passwords of URLs that tests read and nobody serves.
_DUMMIES = {"hush", "password", "secret"}
_LONGEST = 20_000
# What all kinds of secrets have: a long word, a URL or a header. Asking every pattern about every
# line would take six times as long.
_may_hold = re.compile(r"[A-Za-z0-9+/=_.-]{20,}|://|-----BEGIN").search
_SECONDS = 240


class NoRepository(Exception):
    """The folder is no git repository; the message is git's own."""


def found_in(lines: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Tells the kind and the place of each secret in lines that come with their place.

    A line that comes again is told at its first place alone. The secret itself is not told: what
    this prints is kept, too.
    """
    kinds: Mapping[str, Any] = get_mapping_from_secret_type_to_class()
    used = [kind for kind in kinds.values() if kind.__name__ not in _LEFT_OUT]
    with transient_settings({"plugins_used": [{"name": kind.__name__} for kind in used]}):
        plugins: list[Any] = [kind() for kind in used]
        seen: set[str] = set()
        for place, line in lines:
            if line in seen:
                continue
            seen.add(line)
            if _may_hold(line) and len(line) <= _LONGEST and _ALLOWED_LINE not in line:
                for plugin in plugins:
                    if any(map(_is_secret, plugin.analyze_string(line))):
                        yield f"{place}: {plugin.secret_type}"


def _is_secret(value: str) -> bool:
    """Say whether it is one, and not a stand-in or a template's variable."""
    return value not in _DUMMIES and not re.search(r"[{}$<>]", value)


def tree(root: Path) -> Iterator[tuple[str, str]]:
    """Gives every line of the files that git knows or would add. Raises NoRepository."""
    names = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, names.split("\0")):
        path = root / name
        if path.is_file() and not path.is_symlink():
            text = path.read_text(encoding="utf-8", errors="replace")
            for number, line in enumerate(text.splitlines(), start=1):
                yield f"{name}:{number}", line


def history(root: Path) -> Iterator[tuple[str, str]]:
    """Gives every line that a commit of any branch added. Raises NoRepository."""
    place = ""
    log = _git(root, "log", "--all", "--patch", "--unified=0", "--no-color", "--format=commit %h")
    for line in log.splitlines():
        if line.startswith("commit "):
            place = line
        elif line.startswith("+"):
            yield place, line[1:]


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603  # our own words
        ["git", "-C", str(root), *arguments],  # noqa: S607  # whichever git is there
        capture_output=True,
        check=False,
        timeout=_SECONDS,
    )
    if done.returncode:
        raise NoRepository(done.stderr.decode(errors="replace").strip())
    return done.stdout.decode(errors="replace")


def main(arguments: list[str] | None = None) -> int:
    """Prints where secrets are, in the folder named or in this repository; returns 1 if any is."""
    named = sys.argv[1:] if arguments is None else arguments
    root = Path(named[0]) if named else Path(__file__).parents[3]
    try:
        found = sorted(found_in(chain(tree(root), history(root))))
    except NoRepository as error:
        # An archive of the sources has no history to look through.
        sys.stdout.write(f"{error}\n")
        return 1
    sys.stdout.writelines(f"{line}\n" for line in found)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
