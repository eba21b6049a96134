"""Structured logs: one line per event, on standard output, as JSON or for a console.

    {"timestamp":"…Z","level":"info","event":"call","service":"order","request_id":"…","rpc":"/…",…}

What libraries log by the standard `logging` comes out in the same form. A protobuf message that is
given to a log by mistake appears as the name of its type.
"""

import asyncio
import atexit
import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, BinaryIO, Protocol

import orjson
import structlog
from google.protobuf.message import Message

from services.mesh import served_call
from services.mesh.identity import Caller
from services.mesh.served_call import ServedCall
from services.mesh.settings import MeshSettings

_Event = MutableMapping[str, Any]

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
_FLUSH_SECONDS = 0.1
_FLUSH_LINES = 256


class CallLog(Protocol):
    """Writes the line of one call that was served; as a warning if the fault is the server's."""

    def __call__(
        self, call: ServedCall, who: Caller, code: str, seconds: float, *, is_fault: bool
    ) -> None:
        """Write the line."""


def configure(name: str, settings: MeshSettings) -> None:
    """Log as `settings` say, in the name of the service `name`."""
    level = getattr(logging, settings.log_level.upper())
    lines = _Lines(sys.stdout.buffer)
    structlog.configure(
        processors=[_Json(name) if settings.log_format == "json" else _console(name)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_ToStructlog()], level=level, force=True)


def flush() -> None:
    """Write what still waits, before the process ends without Python's own clean-up."""
    structlog.get_config()["logger_factory"]().flush()


def call_log(rpc: str) -> CallLog:
    """Return what writes the line of each call of one RPC.

    As JSON the line is made in one go, since it is the one that every call pays: by way of
    structlog it costs twice as much (docs/decisions/0012).
    """
    config = structlog.get_config()
    render, log = config["processors"][0], structlog.get_logger().bind()
    if isinstance(render, _Json) and log.is_enabled_for(logging.INFO):
        return render.call_log(rpc, config["logger_factory"]())

    def tell(call: ServedCall, who: Caller, code: str, seconds: float, *, is_fault: bool) -> None:
        write = log.warning if is_fault else log.info
        write(
            "call",
            rpc=rpc,
            code=code,
            duration_ms=round(seconds * 1000, 3),
            caller=who.service,
            subject=who.subject,
            trace_id=call.traceparent[3:35],
        )

    return tell


class _Lines:
    """Writes lines to a file, many at a time.

    A write for each line costs a call a tenth of its time: while it lasts, gRPC's threads take the
    interpreter (docs/decisions/0012). So a line waits for others, at most a tenth of a second. What
    is worse than `info`, and what is logged outside of an event loop, is written at once. A line
    may be given as what makes it: many made in a row cost less than each in the midst of a call.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._waiting: list[bytes | Callable[[], bytes]] = []
        self._flush: asyncio.TimerHandle | None = None
        atexit.register(self.flush)

    def debug(self, line: bytes | Callable[[], bytes]) -> None:
        """Write the line soon."""
        self._waiting.append(line)
        if len(self._waiting) >= _FLUSH_LINES:
            self.flush()
        elif self._flush is None:
            self._flush_later()

    info = debug

    def warning(self, line: bytes | Callable[[], bytes]) -> None:
        """Write the line at once, and those before it."""
        self._waiting.append(line)
        self.flush()

    error = critical = warning

    def flush(self) -> None:
        """Write what waits."""
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        lines, self._waiting = self._waiting, []
        if lines:
            self._file.write(
                b"".join([each if isinstance(each, bytes) else each() for each in lines])
            )
            self._file.flush()

    def _flush_later(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
        else:
            self._flush = loop.call_later(_FLUSH_SECONDS, self.flush)


class _ToStructlog(logging.Handler):
    """Takes what libraries log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record as an event."""
        structlog.get_logger().log(
            record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info
        )


class _Json:
    """Renders events as JSON; one processor for everything, since each costs every line."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, logger: Any, level: str, event: _Event) -> bytes:
        """Return the line of an event; a structlog processor."""
        line = {
            "timestamp": datetime.now(UTC),
            "level": level,
            "event": event.pop("event", None),
            "service": self._name,
            "request_id": served_call.request_id(),
            **event,
        }
        if line.get("exc_info"):
            structlog.processors.format_exc_info(logger, level, line)
        return orjson.dumps(line, _shown, _OPTIONS)

    def call_log(self, rpc: str, lines: "_Lines") -> CallLog:
        """Return what writes the line of each call of one RPC."""

        def render(
            at: float, call: ServedCall, who: Caller, code: str, seconds: float, *, is_fault: bool
        ) -> bytes:
            line = {
                "timestamp": datetime.fromtimestamp(at, UTC),
                "level": "warning" if is_fault else "info",
                "event": "call",
                "service": self._name,
                "request_id": call.request_id,
                "rpc": rpc,
                "code": code,
                "duration_ms": int(seconds * 1e6) / 1000,
                "caller": who.service,
                "subject": who.subject,
                "trace_id": call.traceparent[3:35],
            }
            return orjson.dumps(line, _shown, _OPTIONS)

        def tell(
            call: ServedCall, who: Caller, code: str, seconds: float, *, is_fault: bool
        ) -> None:
            line = partial(render, time.time(), call, who, code, seconds, is_fault=is_fault)
            (lines.warning if is_fault else lines.info)(line)

        return tell


def _console(name: str) -> Callable[[Any, str, _Event], bytes]:
    """Return a processor for people, with colours if they look on."""
    paint = structlog.dev.ConsoleRenderer(
        colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
    )

    def render(logger: Any, level: str, event: _Event) -> bytes:
        line = {
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": level,
            **{key: _redacted(value) for key, value in event.items()},
            "service": name,
        }
        return f"{paint(logger, level, line)}\n".encode()

    return render


def _shown(value: object) -> str:
    return value.DESCRIPTOR.full_name if isinstance(value, Message) else repr(value)


def _redacted(value: object) -> object:
    return _shown(value) if isinstance(value, Message) else value
