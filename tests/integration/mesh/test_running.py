"""A process from its command line to its end."""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.mesh.server import Listening
from tests import echo_server
from tests.echo import EchoRequest
from tests.echo_server import calling


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make everybody's certificates."""
    made = tmp_path_factory.mktemp("certs")
    echo_server.make_certificates(made)
    return made


def environment(folder: Path, **changes: str) -> dict[str, str]:
    """Return the variables of a process that can serve, but for the changes."""
    own = {
        "SOUK_LISTEN": "127.0.0.1:0",
        "SOUK_TLS_CA": str(folder / "ca.pem"),
        "SOUK_TLS_CERT": str(folder / "echo.pem"),
        "SOUK_TLS_KEY": str(folder / "echo-key.pem"),
        "SOUK_PASSWORD": "hush",
        "SOUK_DRAIN_WAIT": "0s",
    }
    return os.environ | own | changes


@asynccontextmanager
async def running(
    environ: dict[str, str], *arguments: str, module: str = "tests.echo_process"
) -> AsyncIterator[Process]:
    """Run the module as a process; it is killed if it is still there at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        env=environ,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def end_of(process: Process) -> tuple[int | None, str]:
    """Return the exit code and what was written to standard error."""
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, errors.decode()


async def serving_address(process: Process) -> str:
    """Return where the process serves, as its log says."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        async for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "serving":
                return str(event["address"])
    raise AssertionError("it ended before it served")


async def test_all_faults_of_the_settings_are_told(folder: Path) -> None:
    """Wrong settings end the process with 2 and one line each, not with a traceback."""
    environ = environment(folder, SOUK_PASSWORD="", SOUK_TRACE_RATIO="much")
    async with running(environ) as process:
        code, errors = await end_of(process)
    lines = errors.splitlines()
    assert (2, "echo cannot start:", 3) == (code, lines[0], len(lines))
    assert "SOUK_TRACE_RATIO" in errors
    assert "SOUK_PASSWORD is required" in errors


async def test_a_missing_certificate_is_told(folder: Path) -> None:
    """Without its certificate a process does not start, and says so in one line."""
    async with running(environment(folder, SOUK_TLS_CERT="/nowhere.pem")) as process:
        code, errors = await end_of(process)
    assert (2, False) == (code, "Traceback" in errors)
    assert "/nowhere.pem" in errors


async def test_what_cannot_be_reached_is_told(folder: Path) -> None:
    """A store that is not there yet ends the start with 1 and a line, not with a traceback."""
    async with running(environment(folder, SOUK_LACKS="a store")) as process:
        assert (1, "echo cannot start:\n  the store cannot be reached\n") == await end_of(process)


async def test_a_wrong_command_is_told(folder: Path) -> None:
    """A command that does not exist ends the process with 2 and the usage."""
    async with running(environment(folder), "dance") as process:
        code, errors = await end_of(process)
    assert (2, True) == (code, "serve,migrate" in errors)


async def test_migrate_runs_the_migrations_alone(folder: Path) -> None:
    """The command `migrate` brings the store up to date and ends; it needs no other secret."""
    async with running(environment(folder, SOUK_PASSWORD=""), "migrate") as process:
        assert (0, "migrated\n") == await end_of(process)


@pytest.mark.parametrize("variable", ["SOUK_LISTEN", "SOUK_PROBE_LISTEN", "SOUK_METRICS_LISTEN"])
async def test_a_taken_port_is_told(folder: Path, variable: str) -> None:
    """A process of which a port is taken ends with 1 and says which."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with running(environment(folder, **{variable: address})) as process:
            code, errors = await end_of(process)
    assert (1, True) == (code, f"cannot listen on {address}" in errors)
    assert "Traceback" not in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_begins_the_drain(folder: Path, number: signal.Signals) -> None:
    """At the signal the workers end and what is open is closed, and the process ends with 0."""
    async with running(environment(folder)) as process:
        listening = Listening(
            address=await serving_address(process), probe_address="", metrics_port=None
        )
        async with calling(folder, listening) as stub:
            answer = await stub.Public(EchoRequest(text="hi"))
            process.send_signal(number)
            code, errors = await end_of(process)
    assert ("hi", 0, "worker ended\nclosed\n") == (answer.text, code, errors)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_it_at_once(folder: Path, number: signal.Signals) -> None:
    """Who cannot wait for the drain sends the signal again."""
    async with running(environment(folder, SOUK_DRAIN_WAIT="60s")) as process:
        await serving_address(process)
        process.send_signal(number)
        assert process.stdout is not None
        async with asyncio.timeout(60):
            async for line in process.stdout:
                if json.loads(line)["event"] == "draining":
                    break
        process.send_signal(number)
        code, _ = await end_of(process)
    assert code == -number


@pytest.mark.parametrize("worker", ["fail", "return"])
async def test_an_ended_worker_ends_the_process(folder: Path, worker: str) -> None:
    """A process without its worker is drained and ends with 1, so that it is started again."""
    async with running(environment(folder, SOUK_WORKER=worker)) as process:
        code, errors = await end_of(process)
    assert (1, "worker ended\nclosed\n") == (code, errors)
