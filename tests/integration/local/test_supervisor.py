"""The supervisor with small real children: start, crash and restart, stop, and no orphan."""

import asyncio
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from services.local.console import Console
from services.local.program import Program, StartFailed
from services.local.supervisor import Supervisor

pytestmark = pytest.mark.asyncio

_SERVE = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
_STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + _SERVE


def _python(name: str, code: str, ready: Path, *, stop_timeout: float = 10) -> Program:
    """Returns a child that runs `code` and is ready once the file `ready` is there."""

    async def prepare() -> None:
        ready.unlink(missing_ok=True)

    async def check() -> None:
        ready.stat()

    return Program(
        name=name,
        argv=(sys.executable, "-S", "-c", code, str(ready)),
        prepare=prepare,
        check=check,
        stop_timeout=timedelta(seconds=stop_timeout),
    )


async def _until(condition: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def _is_alive(pid: int) -> bool:
    """Tells whether the process runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_children_are_ready_after_start_and_gone_after_the_block(tmp_path: Path) -> None:
    """Start returns when every child of the stage is ready; the end of the block stops them all."""
    supervisor = Supervisor(Console(io.StringIO()))
    async with supervisor:
        await supervisor.start(
            _python("first", _SERVE, tmp_path / "first"),
            _python("second", _SERVE, tmp_path / "second"),
        )
        pids = supervisor.pids()
        ready = {path.name for path in tmp_path.iterdir()}
    assert ready == {"first", "second"}
    assert [name for name, pid in pids.items() if _is_alive(pid)] == []


async def test_a_crashed_child_is_started_again(tmp_path: Path) -> None:
    """A child killed from outside is replaced by a new process that becomes ready."""
    output = io.StringIO()
    supervisor = Supervisor(Console(output))
    async with supervisor:
        await supervisor.start(_python("shop", _SERVE, tmp_path / "ready"))
        first = supervisor.pids()["shop"]
        os.kill(first, signal.SIGKILL)
        await _until(lambda: supervisor.pids().get("shop", first) != first)
        await _until((tmp_path / "ready").exists)
    assert "shop was ended by SIGKILL; again in 0.2 s" in output.getvalue()


async def test_the_delay_doubles_while_a_child_keeps_crashing() -> None:
    """A child that exits again and again waits twice as long before each new start."""
    output = io.StringIO()
    program = Program(name="crash", argv=(sys.executable, "-S", "-c", "import sys; sys.exit(3)"))
    supervisor = Supervisor(Console(output))
    async with supervisor:
        await supervisor.start(program)
        await _until(lambda: "again in 0.8 s" in output.getvalue())
    delays = [line.split()[-2] for line in output.getvalue().splitlines() if "; again in" in line]
    assert delays[:3] == ["0.2", "0.4", "0.8"]


async def test_a_child_that_fails_to_start_fails_the_stage(tmp_path: Path) -> None:
    """The error names the child and its exit code, and its last words are on the console."""
    output = io.StringIO()
    supervisor = Supervisor(Console(output))
    with pytest.raises(StartFailed, match="broken exited with code 7 while starting"):
        async with supervisor:
            await supervisor.start(
                _python("fine", _SERVE, tmp_path / "fine"),
                _python("broken", "import sys; print('no disk'); sys.exit(7)", tmp_path / "no"),
            )
    assert "broken       | no disk" in output.getvalue().splitlines()
    assert supervisor.pids() == {}


async def test_stages_stop_in_reverse_order(tmp_path: Path) -> None:
    """A later stage is gone before an earlier one is told to stop."""
    code = (
        "import pathlib, signal, sys, time\n"
        "def stop(*_):\n"
        "    with open(pathlib.Path(sys.argv[1]).parent / 'order', 'a') as file:\n"
        "        print(pathlib.Path(sys.argv[1]).name, file=file)\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "pathlib.Path(sys.argv[1]).touch()\n"
        "time.sleep(600)\n"
    )
    supervisor = Supervisor(Console(io.StringIO()))
    async with supervisor:
        for name in ("store", "service", "gateway"):
            await supervisor.start(_python(name, code, tmp_path / name))
    assert (tmp_path / "order").read_text().split() == ["gateway", "service", "store"]


async def test_a_child_that_ignores_the_stop_signal_is_killed(tmp_path: Path) -> None:
    """Stopping is bounded: after its stop timeout a stubborn child is killed."""
    output = io.StringIO()
    supervisor = Supervisor(Console(output))
    async with supervisor:
        await supervisor.start(_python("mule", _STUBBORN, tmp_path / "mule", stop_timeout=0.3))
        pid = supervisor.pids()["mule"]
    assert "! mule did not stop in time and was killed" in output.getvalue()
    assert not _is_alive(pid)


async def test_children_do_not_see_the_secrets_of_the_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child has the variables it was given and a few harmless ones, nothing else."""
    monkeypatch.setenv("CLOUD_TOKEN", "hidden")
    code = "import os, pathlib, sys; print(*sorted(os.environ), flush=True); " + _SERVE
    output = io.StringIO()
    supervisor = Supervisor(Console(output))
    async with supervisor:
        await supervisor.start(_python("curious", code, tmp_path / "ready"))
    assert "CLOUD_TOKEN" not in output.getvalue()
    assert "PATH" in output.getvalue()


@pytest.mark.skipif(sys.platform != "linux", reason="needs the parent death signal of Linux")
async def test_no_orphan_is_left_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    """Children die with a supervisor that is killed with SIGKILL, even stubborn ones."""
    script = f"""
import asyncio, pathlib, sys
from services.local.console import Console
from services.local.program import Program
from services.local.supervisor import Supervisor

async def check():
    pathlib.Path({str(tmp_path / "ready")!r}).stat()

async def main():
    child = Program(
        name="child",
        argv=(sys.executable, "-S", "-c", {_STUBBORN!r}, {str(tmp_path / "ready")!r}),
        check=check,
    )
    async with Supervisor(Console(sys.stderr)) as supervisor:
        await supervisor.start(child)
        print(supervisor.pids()["child"], flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""
    parent = subprocess.Popen(  # noqa: S603, ASYNC220 - our own script, killed below
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    await _until(lambda: not _is_alive(pid))
