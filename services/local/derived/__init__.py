"""Files that repeat the contracts for programs that cannot read them.

    proto/souk/**.proto ── proto/gen/souk.binpb ── services.local.contract ─┬─ <deriver>.files()
                                                                           └─ …

A deriver is a module here whose `DERIVER.files()` returns texts by path below the repository's
root; every file that matches its `owns` is derived. `souk gen` writes them and removes what no
contract gives any more; `souk gen --check` tells which are stale.
"""

from collections.abc import Iterable
from pathlib import Path

from services.local.derived import access_matrix, charts, dashboards, kong, objectives, vault
from services.local.derived.deriver import HEADER, Deriver

__all__ = ["DERIVERS", "HEADER", "Deriver", "differences", "write"]

DERIVERS: tuple[Deriver, ...] = (
    access_matrix.DERIVER,
    charts.DERIVER,
    dashboards.DERIVER,
    kong.DERIVER,
    objectives.DERIVER,
    vault.DERIVER,
)


def differences(root: Path, derivers: Iterable[Deriver] = DERIVERS) -> dict[str, str | None]:
    """Returns the paths under `root` that are not what the contracts give.

    Each comes with its right text, or with None where there must be no file.

    Raises:
        ValueError: a deriver gives a file that matches none of its globs.

    """
    found: dict[str, str | None] = {}
    for deriver in derivers:
        fresh = deriver.files()
        present = {
            str(path.relative_to(root))
            for glob in deriver.owns
            for path in root.glob(glob)
            if path.is_file()
        }
        for path, text in sorted(fresh.items()):
            if not any(Path(path).match(glob) for glob in deriver.owns):
                raise ValueError(f"{path} matches none of {', '.join(deriver.owns)}")
            if path not in present or (root / path).read_text(encoding="utf-8") != text:
                found[path] = text
        found.update(dict.fromkeys(sorted(present - fresh.keys())))
    return found


def write(root: Path, derivers: Iterable[Deriver] = DERIVERS) -> list[str]:
    """Brings the derived files under `root` up to date and returns the paths that changed."""
    found = differences(root, derivers)
    for path, text in found.items():
        target = root / path
        if text is None:
            target.unlink()
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    return list(found)
