"""What the documents point at is there: files, headings, make's targets, settings."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
}
SOURCES = ("charts", "compose.yaml", "deploy", "gateway", "k3d", "kong", "services", "tests")

_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE = re.compile(r"^```.*?^```|^(?: {4}|\t).+$|`[^`]+`", re.MULTILINE | re.DOTALL)
_MAKE = re.compile(r"(?:^ *|[`&] ?)make ([a-z][a-z0-9-]+)", re.MULTILINE)
_TARGET = re.compile(r"^([a-z0-9-]+):", re.MULTILINE)
_SETTING = re.compile(r"\bSOUK_[A-Z_]*[A-Z]\b")


def test_every_link_leads_somewhere():
    """A link within the repository names a file or folder, and a heading that it has."""
    dead = [
        f"{name}: {target}#{heading}"
        for name, text in DOCUMENTS.items()
        for target, heading in _LINK.findall(text)
        if not _leads_somewhere((ROOT / name).parent / target if target else ROOT / name, heading)
    ]

    assert [] == dead


def _leads_somewhere(path: Path, heading: str) -> bool:
    if not heading:
        return path.exists()
    return path.is_file() and heading in map(_anchor, _HEADING.findall(path.read_text()))


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_target_of_make_is_one():
    """What stands as `make target` in code is a target of the Makefile."""
    targets = set(_TARGET.findall((ROOT / "Makefile").read_text()))
    unknown = [
        f"{name}: make {target}"
        for name, text in DOCUMENTS.items()
        for target in _MAKE.findall("\n".join(_CODE.findall(text)))
        if target not in targets
    ]

    assert [] == unknown


def test_every_setting_is_one():
    """A variable `SOUK_…` is read by its name, or is a field of somebody's settings."""
    words = {word for path in _sources() for word in re.findall(r"\w+", path.read_text())}
    unknown = [
        f"{name}: {setting}"
        for name, text in DOCUMENTS.items()
        for setting in _SETTING.findall(text)
        if not {setting, setting.removeprefix("SOUK_").removesuffix("_FILE").lower()} & words
    ]

    assert [] == unknown


def _sources() -> Iterator[Path]:
    for name in SOURCES:
        path = ROOT / name
        for each in [path] if path.is_file() else path.rglob("*"):
            if each.suffix in {".py", ".sh", ".tf", ".tpl", ".yaml"}:
                yield each


def test_every_idea_names_its_code_and_its_test():
    """Each of the learning notes links to what implements it and to what proves it."""
    _, *notes = re.split(r"^## ", DOCUMENTS["docs/learning-notes.md"], flags=re.MULTILINE)

    lacking = [
        note.partition("\n")[0]
        for note in notes
        if {True, False} != {"/tests/" in target for target, _ in _LINK.findall(note)}
    ]

    assert len(notes) > 10
    assert [] == lacking
