"""What processes are told in secret stands in files, and in no command line, environment or log."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.e2e.conftest import Mesh

_PROC = Path("/proc")


def _secrets(mesh: Mesh) -> Iterator[str]:
    """Yield every secret that the mesh has: passwords, API keys, private keys."""
    yield from mesh.folder.read("credentials.json").values()
    for path in (mesh.folder.path / "secrets").glob("*/*"):
        text = path.read_text()
        yield unquote(urlsplit(text).password or "") if "://" in text else text
    for folder in (mesh.folder.certs, mesh.folder.signing_keys):
        for path in folder.glob("*.pem"):
            lines = path.read_text().splitlines()
            if "PRIVATE KEY" in lines[0]:
                yield lines[1]


def _processes(mesh: Mesh) -> Iterator[int]:
    """Yield the process ids of the supervisor and of all that came of it."""
    parents = {}
    for path in _PROC.glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold anything.
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # It has ended.
    found = {mesh.endpoints.supervisor}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    yield from found


def _shown(pid: int, name: str) -> str:
    try:
        return (_PROC / str(pid) / name).read_bytes().decode(errors="replace")
    except OSError:
        return ""


def test_no_secret_is_in_a_command_line_or_an_environment(mesh: Mesh) -> None:
    """Whoever may list processes, or read what one was started with, learns no secret."""
    secrets = {text for text in _secrets(mesh) if text} - {"a", "b"}
    processes = set(_processes(mesh))
    shown = {
        (_shown(pid, "comm").strip(), name): _shown(pid, name)
        for pid in processes
        for name in ("cmdline", "environ")
    }
    found = {
        place: text[:4]
        for place, content in shown.items()
        for text in secrets
        if len(text) >= 16 and text in content
    }
    assert {} == found
    assert len(processes) > 8
    assert len(secrets) > 20


def test_no_secret_is_in_what_processes_say(mesh: Mesh) -> None:
    """The log holds none but the passwords of the demo accounts, which are printed on purpose."""
    told = mesh.output.read_text()
    printed = {account.password for account in mesh.accounts.values()}
    secrets = {text for text in _secrets(mesh) if len(text) >= 16} - printed
    assert set() == {text[:4] for text in secrets if text in told}


def test_secret_files_are_their_owners_alone(mesh: Mesh) -> None:
    """Nobody but the owner reads a secret's file, or lists the folder it is in."""
    places = [mesh.folder.path / "secrets", *(mesh.folder.path / "secrets").rglob("*")]
    modes = {oct(path.stat().st_mode & 0o077) for path in places}
    assert {"0o0"} == modes
