"""`souk up` as a process: what it refuses, and that nothing is left when it ends."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from services.local import endpoints, ports, topology
from services.local.data_folder import DataFolder
from tests.conftest import Eventually
from tests.e2e.conftest import Mesh


async def _souk(*arguments: str, **environment: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.local", *arguments),
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), timeout=120)
    return process.returncode, output.decode()


def _processes_of(folder: DataFolder) -> list[int]:
    """Returns the ids of the processes that name the data folder in arguments or environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            if str(folder.path).encode() in told:
                found.append(int(entry.name))
    return found


@contextlib.asynccontextmanager
async def _up(folder: DataFolder, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.local", "up", "--data", str(folder.path)),
            *("--free-ports", "--no-fsync", "--no-demo", "--log-level", "warning"),
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_taken_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """The message names the port and how to set another; no store has been set up."""
    with socket.socket() as occupant:
        occupant.bind((ports.LOOPBACK, 0))
        occupant.listen()
        port = occupant.getsockname()[1]
        free = dict(
            zip(topology.DEFAULT_PORTS, ports.free(len(topology.DEFAULT_PORTS)), strict=True)
        )
        settings = {topology.port_variable(name): str(each) for name, each in free.items()}
        settings["SOUK_ORDER_PORT"] = str(port)
        code, output = await _souk("up", "--data", str(tmp_path / "data"), **settings)
    assert code == 1
    assert f"port {port} (order) is taken: set SOUK_ORDER_PORT or --order-port" in output
    assert not (tmp_path / "data" / "postgres").exists()


async def test_a_folder_of_another_version_is_refused(tmp_path: Path) -> None:
    """The message says what to do, and nothing in the folder is touched."""
    (tmp_path / "version").write_text("0\n")
    code, output = await _souk("up", "--data", str(tmp_path), "--free-ports")
    assert code == 1
    assert "was made by another version of Souk (layout 0, this one reads 1)" in output
    assert [path.name for path in tmp_path.iterdir()] == ["version"]


async def test_a_second_up_on_the_same_folder_is_refused(mesh: Mesh) -> None:
    """While one mesh runs on a folder, another is told so."""
    code, output = await _souk("up", "--data", str(mesh.folder.path), "--free-ports")
    assert code == 1
    assert "another `souk up` is running" in output


async def test_reset_is_refused_while_the_mesh_runs(mesh: Mesh) -> None:
    """Data in use is not removed, even with --yes."""
    code, output = await _souk("reset", "--yes", "--data", str(mesh.folder.path))
    assert code == 1
    assert "another `souk up` is running" in output
    assert mesh.folder.path.exists()


async def test_demo_says_when_nothing_runs(tmp_path: Path) -> None:
    """`souk demo` without a mesh fails and says how to start one."""
    code, output = await _souk("demo", "--data", str(tmp_path))
    assert code == 1
    assert "start one with `souk up`" in output


async def test_nothing_is_left_after_a_stop_and_after_a_kill(
    tmp_path: Path, eventually: Eventually
) -> None:
    """After SIGTERM, and after SIGKILL of the supervisor, no process of the mesh runs on."""
    folder = DataFolder(tmp_path / "data")

    async def is_ready() -> bool:
        return (folder.path / "endpoints.json").exists()

    async def is_empty() -> bool:
        return _processes_of(folder) == []

    async with _up(folder, tmp_path / "output") as process:
        await eventually(is_ready, seconds=120)
        where = endpoints.load(folder)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), timeout=60) == 0
        await eventually(is_empty)
    async with _up(folder, tmp_path / "output") as process:
        await eventually(is_ready, seconds=120)
        process.kill()
        await process.wait()
        await eventually(is_empty)
    assert not ports.is_taken(int(where.gateway.rpartition(":")[2]))
