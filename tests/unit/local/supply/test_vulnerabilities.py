"""What pip-audit finds is told, unless it was accepted by name."""

from typing import Any

from services.local.supply import vulnerabilities

FOUND: list[dict[str, Any]] = [
    {"name": "safe", "version": "1", "vulns": []},
    {
        "name": "old",
        "version": "2",
        "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["3"]}],
    },
]


def test_a_vulnerability_is_one_line():
    """It says which version of what, and where it is mended."""
    assert ["old 2: PYSEC-1, fixed in ['3']"] == vulnerabilities.faults(FOUND)


def test_an_accepted_vulnerability_is_left_out(monkeypatch):
    """By any of its names."""
    monkeypatch.setitem(vulnerabilities.ACCEPTED, "CVE-1", "does not concern us")
    assert [] == vulnerabilities.faults(FOUND)


def test_the_probe_is_one_distribution_with_its_hashes():
    """What is asked about first is a whole entry of the lock file."""
    lines = vulnerabilities._locked("pip-audit").splitlines()  # noqa: SLF001  # what it asks first
    assert lines[0].startswith("pip-audit==")
    assert any("--hash=sha256:" in line for line in lines)
    assert all(line.startswith(" ") for line in lines[1:])
