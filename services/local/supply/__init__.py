"""What comes from outside, and what must not get out: checks of the whole repository.

    python -m services.local.supply.licences          of every distribution that is installed
    python -m services.local.supply.vulnerabilities   known ones, of what the lock file names
    python -m services.local.supply.secret_scan       of the tree and all that was ever committed

Each prints what is wrong and exits with 1, with 0 if nothing is, with 77 if it can't tell here.
`make sbom` writes what the base environment consists of.
"""

SKIPPED = 77
"""The exit code of a check that can't be made here (as automake has it)."""
