"""A program that runs as a child process: how to prepare it, start it, know it is ready, stop it.

    async with program.running(redis.program(folder, port)) as process:
        ...                               # it answers its readiness check
                                          # it has exited

On Linux a child is told to stop when the thread that started it dies, however it dies.
"""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

_POLL_SECONDS = 0.05
_SETPRIV = shutil.which("setpriv") if sys.platform == "linux" else None


class StartFailed(Exception):
    """A program did not become ready; the message says which one, why, and its last output.

    `program` is its name, where it wrote anything itself.
    """

    def __init__(self, message: str, *, program: str | None = None) -> None:
        super().__init__(message)
        self.program = program


async def _nothing() -> None:
    """Stands for a program that needs no preparation or has no readiness check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is needed to run one child process.

    `check` raises any exception while the program is not ready. `parent_death_signal` is what the
    child gets when its parent dies: a store is stopped cleanly, anything else must survive SIGKILL.
    `log` is the file that its output is appended to; None leaves it to who starts the program.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], Awaitable[None]] = _nothing
    check: Callable[[], Awaitable[None]] = _nothing
    account: str | None = None
    log: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    parent_death_signal: signal.Signals = signal.SIGKILL
    start_timeout: timedelta = timedelta(seconds=45)
    stop_timeout: timedelta = timedelta(seconds=10)


def base_environment() -> dict[str, str]:
    """Returns the variables any child may have; nothing that could hold a secret of the parent."""
    allowed = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH")
    return {name: os.environ[name] for name in allowed if name in os.environ}


def guarded(
    argv: tuple[str, ...], *, account: str | None, death_signal: signal.Signals
) -> tuple[str, ...]:
    """Wraps `argv` so that it dies with its parent and, given an `account`, runs as that account.

    The account keeps one capability of root, to pass folders closed to others above its own.
    """
    if _SETPRIV is None:
        if account:
            message = f"setpriv (util-linux) is needed to run {argv[0]} as {account}"
            raise StartFailed(message)
        return argv
    identity: tuple[str, ...] = ()
    if account:
        identity = (
            f"--reuid={account}",
            f"--regid={pwd.getpwnam(account).pw_gid}",
            "--clear-groups",
            "--inh-caps=+dac_override",
            "--ambient-caps=+dac_override",
        )
    return (_SETPRIV, *identity, f"--pdeathsig={death_signal.name}", "--", *argv)


async def spawn(
    program: Program, *, output: int | None = None, pass_fds: tuple[int, ...] = ()
) -> asyncio.subprocess.Process:
    """Starts `program` in a session of its own, so that a terminal's Ctrl-C reaches only us.

    `output`, unless the program has a log, takes stdout and stderr together: `PIPE`, `DEVNULL`, or
    None for our own.
    """
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(program.log.open("ab")) if program.log else output
        return await asyncio.create_subprocess_exec(
            *guarded(
                program.argv, account=program.account, death_signal=program.parent_death_signal
            ),
            env={**base_environment(), **program.environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=target,
            stderr=target if target is None else asyncio.subprocess.STDOUT,
            start_new_session=True,
            pass_fds=pass_fds,
        )


async def wait_until_ready(program: Program, process: asyncio.subprocess.Process) -> None:
    """Returns once `program.check` passes.

    Raises StartFailed when the process exits first or the start timeout passes.
    """
    fault: Exception | None = None
    try:
        async with asyncio.timeout(program.start_timeout.total_seconds()):
            while process.returncode is None:
                try:
                    await program.check()
                except Exception as error:  # noqa: BLE001 - a check may fail in any way until ready
                    fault = error
                else:
                    return
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        seconds = program.start_timeout.total_seconds()
        message = f"{program.name} is not ready after {seconds:g} s: {fault!r}"
        raise StartFailed(message + _end_of_log(program), program=program.name) from fault
    message = f"{program.name} exited with code {process.returncode} while starting"
    raise StartFailed(message + _end_of_log(program), program=program.name)


async def stop(program: Program, process: asyncio.subprocess.Process) -> bool:
    """Stops `process`, at first kindly; returns whether it went within the stop timeout."""
    if process.returncode is not None:
        return True
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(program.stop_signal)
    try:
        async with asyncio.timeout(program.stop_timeout.total_seconds()):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        return False
    return True


@contextlib.asynccontextmanager
async def running(program: Program) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs `program` for the length of the block.

    Raises StartFailed, with the end of its log, when it does not become ready.
    """
    await program.prepare()
    process = await spawn(program)
    try:
        await wait_until_ready(program, process)
        yield process
    finally:
        await stop(program, process)


def _end_of_log(program: Program) -> str:
    if program.log is None:
        return ""
    return f"; the end of {program.log}:\n{program.log.read_text(errors='replace')[-1500:]}"
