"""What a caller is told of each error, and what it is not told."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NoReturn

import grpc
import grpc.aio
import pytest
import structlog
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2
from structlog.testing import capture_logs

from services.mesh import errors, policy
from services.mesh.errors import DomainError, FieldViolation, RemoteError
from services.mesh.interceptors import errors as errors_interceptor
from services.mesh.interceptors.errors import errors as intercept
from services.mesh.status import DETAILS_KEY, error_from_call, status_from_error
from tests import echo

METHOD = next(each for each in policy.methods([echo.SERVICE]) if each.name == "Public")
SECRET = "postgresql://souk:hush@db"


class OutOfStock(errors.FailedPrecondition):
    """A service's own error."""

    reason = "OUT_OF_STOCK"


class Context:
    """Remembers how the call was ended, as grpc.aio would."""

    def __init__(self) -> None:
        self.code: grpc.StatusCode | None = None
        self.message = ""
        self.trailers: tuple[tuple[str, bytes], ...] = ()

    async def abort(
        self, code: grpc.StatusCode, message: str, trailing_metadata: Any = ()
    ) -> NoReturn:
        """End the call."""
        self.code, self.message, self.trailers = code, message, trailing_metadata
        raise grpc.aio.AbortError

    def status(self) -> status_pb2.Status:
        """Return the status in the trailer."""
        return status_pb2.Status.FromString(dict(self.trailers)[DETAILS_KEY])


@pytest.fixture(autouse=True)
def plain_logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let logs be captured, whatever other tests have configured and used, and not be written.

    What nobody foresaw is logged as it is. Here it has secrets on purpose, that must not leave.
    """
    structlog.reset_defaults()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    monkeypatch.setattr(errors_interceptor, "_log", structlog.get_logger())
    yield
    structlog.reset_defaults()


async def told(error: BaseException) -> Context:
    """Return how a call ends whose handler raises `error`."""

    async def fail(_request: Any, _context: Any) -> NoReturn:
        raise error

    context: Any = Context()
    with pytest.raises(grpc.aio.AbortError):
        await intercept(METHOD, fail)(None, context)
    assert isinstance(context, Context)
    return context


def detail(status: status_pb2.Status, kind: type[Message]) -> Any:
    """Return the one detail of a kind, None if there is none."""
    found = kind()
    packed = [each for each in status.details if each.TypeName() == kind.DESCRIPTOR.full_name]
    return packed[0].Unpack(found) and found if packed else None


KINDS = [
    errors.InvalidArgument,
    errors.FailedPrecondition,
    errors.NotFound,
    errors.AlreadyExists,
    errors.Aborted,
    errors.Unauthenticated,
    errors.PermissionDenied,
    errors.ResourceExhausted,
    errors.Unavailable,
    errors.DeadlineExceeded,
]


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_has_its_code(kind: type[DomainError]) -> None:
    """A domain error is told by its code, its message and its reason in the service's domain."""
    context = await told(kind("so it is", order_id="7"))
    info = detail(context.status(), details.ErrorInfo)
    assert (kind.code, "so it is", kind.reason, "echo.souk", {"order_id": "7"}) == (
        context.code.name if context.code else None,
        context.message,
        info.reason,
        info.domain,
        dict(info.metadata),
    )


async def test_violations_name_the_fields() -> None:
    """What is wrong with a request is told field by field."""
    violations = [FieldViolation("items[0].quantity", "must be positive", "int32.gt")]
    status = (await told(errors.InvalidArgument("bad", violations=violations))).status()
    assert [("items[0].quantity", "must be positive", "int32.gt")] == [
        (each.field, each.description, each.reason)
        for each in detail(status, details.BadRequest).field_violations
    ]


async def test_a_precondition_is_told() -> None:
    """What the state forbids is told as a failed precondition, with its reason as the type."""
    status = (await told(OutOfStock("only 2 are left"))).status()
    assert [("OUT_OF_STOCK", "", "only 2 are left")] == [
        (each.type, each.subject, each.description)
        for each in detail(status, details.PreconditionFailure).violations
    ]


async def test_when_to_come_back_is_told() -> None:
    """A wait that helps is told."""
    error = errors.Aborted("busy", retry_after=timedelta(milliseconds=1500))
    retry = detail((await told(error)).status(), details.RetryInfo)
    assert retry.retry_delay.ToTimedelta() == timedelta(milliseconds=1500)


async def test_too_many_violations_fit_the_trailer() -> None:
    """Violations beyond what a client takes as metadata are counted, not sent."""
    violations = [FieldViolation(f"items[{n}].quantity", "must be positive") for n in range(1000)]
    status = status_from_error(errors.InvalidArgument("bad", violations=violations), "echo.souk")
    told_of = detail(status, details.BadRequest).field_violations
    assert status.ByteSize() < 6000
    assert told_of[-1].description == f"and {1000 - (len(told_of) - 1)} more"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(SECRET),
        KeyError(SECRET),
        TimeoutError(SECRET),
        RemoteError("NOT_FOUND", SECRET),
        RemoteError("INTERNAL", SECRET, metadata={"dsn": SECRET}),
        RemoteError("PERMISSION_DENIED", SECRET),
        RemoteError("UNAUTHENTICATED", SECRET),
    ],
)
async def test_what_nobody_foresaw_leaks_nothing(error: Exception) -> None:
    """Anything unforeseen is INTERNAL with an error id; the log has that id and the traceback."""
    with capture_logs() as logs:
        context = await told(error)
    error_id = detail(context.status(), details.ErrorInfo).metadata["error_id"]
    assert context.code is grpc.StatusCode.INTERNAL
    assert context.message == f"internal error {error_id}"
    assert SECRET not in f"{context.message}{context.status()}"
    assert [(error_id, error)] == [(each["error_id"], each["exc_info"]) for each in logs]


@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"])
async def test_a_dependency_that_cannot_answer_is_passed_on(code: str) -> None:
    """Another service's inability is this one's, with its wait and without its words."""
    error = RemoteError(code, SECRET, retry_after=timedelta(seconds=3))
    context = await told(error)
    retry = detail(context.status(), details.RetryInfo)
    assert (code, 3) == (context.code.name if context.code else None, retry.retry_delay.seconds)
    assert SECRET not in f"{context.message}{context.status()}"


async def test_a_leaked_client_error_is_treated_alike() -> None:
    """A client's error that no handler caught is judged by its code too."""
    empty = grpc.aio.Metadata()
    unavailable = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, empty, empty, details=SECRET)
    missing = grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, empty, empty, details=SECRET)
    codes = [(await told(error)).code for error in (unavailable, missing)]
    assert [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL] == codes


async def test_a_handler_may_end_the_call_itself() -> None:
    """A call that the handler has ended is not ended again."""

    async def end(_request: Any, context: Any) -> None:
        await context.abort(grpc.StatusCode.OUT_OF_RANGE, "done")

    context: Any = Context()
    with pytest.raises(grpc.aio.AbortError):
        await intercept(METHOD, end)(None, context)
    assert (grpc.StatusCode.OUT_OF_RANGE, "done") == (context.code, context.message)


async def test_cancellation_is_let_go() -> None:
    """A cancelled handler stays cancelled; nothing is told to a caller that has gone."""

    async def wait(_request: Any, _context: Any) -> NoReturn:
        raise asyncio.CancelledError

    context: Any = Context()
    with pytest.raises(asyncio.CancelledError):
        await intercept(METHOD, wait)(None, context)
    assert context.code is None


def test_what_another_service_answered_is_read_back() -> None:
    """The caller reads the error that the other service raised."""
    error = OutOfStock("only 2 are left", retry_after=timedelta(seconds=2), product_id="mug")
    trailers = grpc.aio.Metadata(
        (DETAILS_KEY, status_from_error(error, "order.souk").SerializeToString())
    )
    read = error_from_call(
        grpc.aio.AioRpcError(
            grpc.StatusCode.FAILED_PRECONDITION, grpc.aio.Metadata(), trailers, details="only 2"
        )
    )
    expected = ("FAILED_PRECONDITION", "OUT_OF_STOCK", {"product_id": "mug"}, timedelta(seconds=2))
    assert expected == (read.code, read.reason, read.metadata, read.retry_after)


@pytest.mark.parametrize("trailer", [b"", b"\xff\xff not a status"])
def test_details_that_cannot_be_read_are_left_out(trailer: bytes) -> None:
    """An answer with strange details is still an answer."""
    read = error_from_call(
        grpc.aio.AioRpcError(
            grpc.StatusCode.NOT_FOUND,
            grpc.aio.Metadata(),
            grpc.aio.Metadata((DETAILS_KEY, trailer)),
            details="gone",
        )
    )
    assert ("NOT_FOUND", "gone", "", ()) == (read.code, read.message, read.reason, read.violations)
