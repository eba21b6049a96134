"""Log lines: JSON with what matters, and never a message."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from services.mesh import logs, served_call
from services.mesh.identity import Caller
from services.mesh.served_call import ServedCall
from services.mesh.settings import MeshSettings
from tests.echo import EchoRequest

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level
    served_call.begin(ServedCall())


def test_the_line_of_a_call(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """A call's line says who called what, how it ended and how long it took."""
    logs.configure("echo", MeshSettings())
    tell = logs.call_log("/souk.echo.v1.EchoService/Public")
    call = ServedCall("request-1", {}, TRACEPARENT)
    tell(call, Caller(service="gateway", subject="ann"), "NOT_FOUND", 0.0123456, is_fault=False)
    line = json.loads(capfdbinary.readouterr().out)
    del line["timestamp"]
    assert line == {
        "level": "info",
        "event": "call",
        "service": "echo",
        "request_id": "request-1",
        "rpc": "/souk.echo.v1.EchoService/Public",
        "code": "NOT_FOUND",
        "duration_ms": 12.345,
        "caller": "gateway",
        "subject": "ann",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_message_is_never_shown(
    capfdbinary: pytest.CaptureFixture[bytes], log_format: str
) -> None:
    """A message that is given to a log appears as the name of its type."""
    logs.configure("echo", MeshSettings(log_format=log_format))  # type: ignore[arg-type]  # one of both
    structlog.get_logger().info("oops", request=EchoRequest(password="hush, hush"))
    out = capfdbinary.readouterr().out
    assert (True, False) == (b"souk.echo.v1.EchoRequest" in out, b"hush" in out)


def test_lines_in_a_call_have_its_id(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """What a service logs while it serves a call can be found by the call's id."""
    logs.configure("echo", MeshSettings())
    with served_call.named("request-2"):
        structlog.get_logger().info("noted", count=3)
    line = json.loads(capfdbinary.readouterr().out)
    assert ("request-2", 3) == (line["request_id"], line["count"])


def test_what_libraries_log_has_the_same_form(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """A record of the standard logging comes out as JSON, with its traceback."""
    logs.configure("echo", MeshSettings())
    logging.getLogger("library").error("it %s", "failed", exc_info=RuntimeError("broken"))
    line = json.loads(capfdbinary.readouterr().out)
    assert ("it failed", "library", "error") == (line["event"], line["logger"], line["level"])
    assert "RuntimeError: broken" in line["exception"]


def test_levels_are_kept(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """At level warning, a call that went well has no line, one that failed by our fault has."""
    logs.configure("echo", MeshSettings(log_level="warning"))
    tell = logs.call_log("/rpc")
    tell(ServedCall(), Caller(), "OK", 0.1, is_fault=False)
    assert capfdbinary.readouterr().out == b""
    tell(ServedCall(), Caller(), "INTERNAL", 0.1, is_fault=True)
    assert json.loads(capfdbinary.readouterr().out)["code"] == "INTERNAL"


async def test_lines_wait_for_each_other(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    """In a running loop lines are written together, at once when something is wrong."""
    logs.configure("echo", MeshSettings())
    log = structlog.get_logger()
    log.info("first")
    assert capfdbinary.readouterr().out == b""
    log.warning("second")
    lines = capfdbinary.readouterr().out.splitlines()
    assert ["first", "second"] == [json.loads(line)["event"] for line in lines]
