"""Failpoints: how they are armed, what they do, and that every one of them stands in the code."""

import ast
import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.mesh import failpoints
from services.mesh.settings import SettingsError

_ROOT = Path(__file__).parents[3]
_LOOPBACK = "127.0.0.1:50053"
_PROGRAM = """
import asyncio, os
from services.mesh import failpoints
failpoints.arm(os.environ, listen="127.0.0.1:1")
async def main():
    for _ in range(3):
        await failpoints.reach("order.after_place", "PENDING")
        print("passed", flush=True)
asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    """Leaves nothing armed behind."""
    yield
    failpoints.reach = failpoints._off  # noqa: SLF001 - what it is when a process begins


def _run(**environment: str) -> tuple[int, int]:
    """Returns the exit code of a process that reaches a point three times, and how often it did."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", _PROGRAM],
        check=False,
        capture_output=True,
        cwd=_ROOT,
        env=environment,
        timeout=30,
    )
    return done.returncode, done.stdout.count(b"passed")


async def test_off():
    """Without the variables a point does nothing, wherever the process listens."""
    failpoints.arm({}, listen="0.0.0.0:50053")
    assert failpoints._off is failpoints.reach  # noqa: SLF001 - it is what costs nothing
    await failpoints.reach("order.after_place")


def test_kill_at_the_nth_hit():
    """`kill@3` ends the process by SIGKILL when the point is reached for the third time."""
    assert _run(SOUK_FAILPOINTS="order.after_place=kill@3") == (-signal.SIGKILL, 2)


def test_the_file_is_taken_once(tmp_path: Path):
    """The process that acts on the file's point renames the file first, so the next one lives."""
    once = tmp_path / "once"
    once.write_text("order.after_place=kill")
    assert _run(SOUK_FAILPOINTS_ONCE=str(once)) == (-signal.SIGKILL, 0)
    assert ["once.reached"] == [each.name for each in tmp_path.iterdir()]
    assert _run(SOUK_FAILPOINTS_ONCE=str(once)) == (0, 3)


async def test_error_for_one_detail():
    """`[detail]` narrows a point: others pass, this one fails as if something were unavailable."""
    failpoints.arm({"SOUK_FAILPOINTS": "order.before_effect[PENDING]=error"}, listen=_LOOPBACK)
    await failpoints.reach("order.before_effect", "CANCELLING")
    with pytest.raises(failpoints.Injected):
        await failpoints.reach("order.before_effect", "PENDING")


async def test_delay():
    """`delay:ms` waits without holding up anything else."""
    failpoints.arm({"SOUK_FAILPOINTS": "outbox.before_mark=delay:20"}, listen=_LOOPBACK)
    began = asyncio.get_running_loop().time()
    await failpoints.reach("outbox.before_mark")
    assert asyncio.get_running_loop().time() - began >= 0.02


async def test_probability_by_seed():
    """`%p` acts at about that part of the hits, at the same ones whenever the seed is the same."""

    async def acted() -> list[bool]:
        environment = {"SOUK_FAILPOINTS": "outbox.before_mark=error%0.25"}
        failpoints.arm(environment | {"SOUK_FAILPOINTS_SEED": "7"}, listen=_LOOPBACK)
        seen = []
        for _ in range(200):
            try:
                await failpoints.reach("outbox.before_mark")
                seen.append(False)
            except failpoints.Injected:
                seen.append(True)
        return seen

    first = await acted()
    assert 25 <= sum(first) <= 75
    assert await acted() == first


def test_stop():
    """`stop` stops the process as SIGSTOP does, until somebody lets it go on."""
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", _PROGRAM],
        cwd=_ROOT,
        env={"SOUK_FAILPOINTS": "order.after_place=stop@2"},
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"passed\n"
        state = Path(f"/proc/{process.pid}/stat")
        while state.read_text().rpartition(")")[2].split()[0] != "T":
            assert process.poll() is None
        process.send_signal(signal.SIGCONT)
        assert process.stdout.read() == b"passed\npassed\n"


@pytest.mark.parametrize(
    "text", ["order.after_place", "order.nowhere=kill", "order.after_place=explode", "kill"]
)
def test_refused(text: str):
    """What is no point of ours stops the start."""
    with pytest.raises(SettingsError):
        failpoints.arm({"SOUK_FAILPOINTS": text}, listen=_LOOPBACK)


def test_refused_in_a_cluster():
    """A process that others can reach refuses to start with points armed."""
    with pytest.raises(SettingsError, match="loopback"):
        failpoints.arm({"SOUK_FAILPOINTS_ONCE": "/tmp/x"}, listen="0.0.0.0:50051")  # noqa: S108


def test_every_point_stands_in_the_code():
    """The table and the code name the same points."""
    trees = [ast.parse(path.read_text()) for path in (_ROOT / "services").rglob("*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    reached = [call.args[0] for call in calls if ast.unparse(call.func) == "failpoints.reach"]
    assert set(failpoints.POINTS) == {ast.literal_eval(name) for name in reached}
