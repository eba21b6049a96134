"""Structured logs: one line per event, on standard output, as JSON or for a console.

    {"event":"call","level":"info","timestamp":"…Z","service":"order","rpc":"/…","code":"OK",…}

What libraries log by the standard `logging` comes out in the same form. A protobuf message that is
given to a log by mistake appears as the name of its type.
"""

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any

import orjson
import structlog
from google.protobuf.message import Message
from structlog.typing import Processor

from services.mesh import served_call
from services.mesh.settings import MeshSettings

_Event = MutableMapping[str, Any]

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure(name: str, settings: MeshSettings) -> None:
    """Log as `settings` say, in the name of the service `name`.

    Lines are written at once: a line in a buffer is lost when the process is killed, and the write
    is not what a line costs (docs/decisions/0012).
    """
    level = _LEVELS[settings.log_level]
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(name),
        _in_call,
        _without_messages,
    ]
    if settings.log_format == "json":
        shared.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*shared, _bytes_renderer(settings.log_format)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_standard_handler(shared, settings)], level=level, force=True)


def _standard_handler(shared: list[Processor], settings: MeshSettings) -> logging.Handler:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _text_renderer(settings.log_format),
            ],
        )
    )
    return handler


def _bytes_renderer(form: str) -> Callable[[Any, str, _Event], bytes]:
    if form == "json":
        return lambda _logger, _name, event: orjson.dumps(event, default=repr)
    render = _text_renderer(form)
    return lambda logger, name, event: render(logger, name, event).encode()


def _text_renderer(form: str) -> Callable[[Any, str, _Event], str]:
    if form == "json":
        return lambda _logger, _name, event: orjson.dumps(event, default=repr).decode()
    return structlog.dev.ConsoleRenderer(
        colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
    )


def _named(name: str) -> Processor:
    def add(_logger: Any, _name: str, event: _Event) -> _Event:
        event["service"] = name
        return event

    return add


def _in_call(_logger: Any, _name: str, event: _Event) -> _Event:
    request_id = served_call.request_id()
    if request_id:
        event["request_id"] = request_id
    return event


def _without_messages(_logger: Any, _name: str, event: _Event) -> _Event:
    for key, value in event.items():
        if isinstance(value, Message):
            event[key] = value.DESCRIPTOR.full_name
    return event
