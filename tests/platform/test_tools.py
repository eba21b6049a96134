"""Tools are made once for each version, and one that cannot be had is named with the reason."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.platform import tools
from tests.platform.tools import Unavailable


@dataclass(kw_only=True)
class Written:
    """A tool that is a file with its version."""

    version: str
    programs: tuple[str, ...] = ("written",)
    made: list[str] = field(default_factory=list)

    def make(self, target: Path) -> None:
        """Writes the programs."""
        self.made.append(self.version)
        for program in self.programs:
            (target / program).write_text(self.version, encoding="utf-8")


@dataclass(kw_only=True)
class Away:
    """A tool that cannot be had."""

    version: str = "1"
    programs: tuple[str, ...] = ("away",)

    def make(self, target: Path) -> None:
        """Says why not."""
        raise Unavailable(f"no way to {target.parent.name}")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Installs into a folder of the test's own."""
    made = tmp_path / "tools"
    monkeypatch.setattr(tools, "_TOOLS", made)
    return made


def test_a_tool_is_made_once_for_each_version(folder):
    """What is there is left alone; another version takes its place."""
    tool = Written(version="1", programs=("one", "two"))
    assert [True, False] == [tools.install(tool), tools.install(tool)]
    tool.version = "2"
    assert [True, False] == [tools.install(tool), tools.install(tool)]
    assert ["1", "2"] == tool.made
    assert ["2", "2"] == [(folder / "bin" / name).read_text() for name in tool.programs]


def test_a_tool_that_was_removed_is_made_again(folder):
    """The stamp alone is not enough."""
    tool = Written(version="1")
    tools.install(tool)
    (folder / "bin" / "written").unlink()
    assert tools.install(tool)


def test_what_cannot_be_had_is_named_and_nothing_fails(monkeypatch, capsys):
    """The others are installed all the same."""
    monkeypatch.setattr(tools, "TOOLS", (Away(), Written(version="1")))
    assert 0 == tools.main([])
    assert [
        "skipped: away (no way to tools); checks that need it are skipped",
        "installed written",
    ] == capsys.readouterr().out.splitlines()


def test_only_what_is_named_is_installed(monkeypatch, folder):
    """A part of the platform can ask for its own tools."""
    other = Written(version="1", programs=("other",))
    monkeypatch.setattr(tools, "TOOLS", (other, Written(version="1")))
    tools.main(["written"])
    assert [] == other.made
    assert (folder / "bin" / "written").exists()


def test_kubernetes_parts_are_those_released_with_it():
    """The module that builds its programs takes v0.X.Y of every part for v1.X.Y of Kubernetes."""
    (tool,) = [each for each in tools.ON_REQUEST if "kube-apiserver" in each.programs]
    release, *others = re.findall(r"^\s+k8s.io/kubernetes v1\.(\S+)", tool.version, re.MULTILINE)
    parts = dict(re.findall(r"=> k8s.io/(\S+) v0\.(\S+)", tool.version))
    assert ([], {release}) == (others, set(parts.values()))


def test_the_module_of_kubernetes_builds_what_is_said():
    """Each program is a tool of the module, and nothing else is built."""
    (tool,) = [each for each in tools.ON_REQUEST if "kube-apiserver" in each.programs]
    built = re.findall(r"^\t\S+/cmd/(\S+)$", tool.version, re.MULTILINE)
    assert tool.programs == tuple(built)
