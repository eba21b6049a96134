"""Rules for the code that no linter here knows, over the syntax tree of every module.

ruff's `S` (bandit's rules) is on everywhere; it has no eye for who formats SQL from what, and for
what our own logger is given.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.mesh import errors
from souk.mesh.v1.errors_pb2 import ErrorReason

ROOT = Path(__file__).parents[2]
MODULES = [path for folder in ("services", "gateway") for path in (ROOT / folder).rglob("*.py")]
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}

_SQL = {"execute", "executemany", "fetch", "fetchrow", "fetchval", "cursor"}
_LOG = {"debug", "info", "warning", "error", "exception", "critical"}
_SECRET_WORDS = ("password", "token", "secret", "authorization", "email", "request", "message")
# What these words may be followed by and still be harmless.
_HARMLESS = ("request_id", "message_type", "token_path")


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Give every call."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def shell(tree: ast.AST) -> Iterator[ast.AST]:
    """Give what a shell would interpret."""
    for call in calls(tree):
        name = ast.unparse(call.func)
        is_shell = any(each.arg == "shell" and not _is_false(each.value) for each in call.keywords)
        if is_shell or name in {"os.system", "os.popen", "asyncio.create_subprocess_shell"}:
            yield call


def unverified_tls(tree: ast.AST) -> Iterator[ast.AST]:
    """Give connections that trust anybody."""
    for call in calls(tree):
        for each in call.keywords:
            if each.arg in {"verify", "ssl", "verify_ssl", "check_hostname"} and _is_false(
                each.value
            ):
                yield call
        if ast.unparse(call.func) == "ssl._create_unverified_context":
            yield call
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "CERT_NONE":
            yield node


def built_sql(tree: ast.AST) -> Iterator[ast.AST]:
    """Give statements put together from anything but our own constants and what they are made of.

    A name in capitals is a constant of its module. A parameter goes in as `$1`.
    """
    for call in calls(tree):
        if not (isinstance(call.func, ast.Attribute) and call.func.attr in _SQL and call.args):
            continue
        statement = call.args[0]
        parts = (
            [each.value for each in statement.values if isinstance(each, ast.FormattedValue)]
            if isinstance(statement, ast.JoinedStr)
            else [statement.left, statement.right]
            if isinstance(statement, ast.BinOp)
            else []
        )
        for part in parts:
            if not (isinstance(part, ast.Constant) or _is_constant_name(part)):
                yield part


def logged_secrets(tree: ast.AST) -> Iterator[ast.AST]:
    """Give what is logged under a name that says it should not be, or as a whole message."""
    for call in calls(tree):
        if not (isinstance(call.func, ast.Attribute) and call.func.attr in _LOG):
            continue
        if not ast.unparse(call.func.value).endswith(("_log", "log", "logger")):
            continue
        for each in (*call.args, *(keyword.value for keyword in call.keywords)):
            last = ast.unparse(each).rpartition(".")[2]
            if last.startswith(_SECRET_WORDS) and not last.startswith(_HARMLESS):
                yield each


def checked_after_loading(tree: ast.AST) -> Iterator[ast.AST]:
    """Give comparisons of an owner in Python: the query is to ask for the owner's own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and not isinstance(node.ops[0], (ast.Is, ast.IsNot)):
            for side in (node.left, *node.comparators):
                if any(
                    isinstance(each, ast.Attribute) and each.attr in {"user_id", "subject"}
                    for each in ast.walk(side)
                ):
                    yield node
                    break


def unsafe_loading(tree: ast.AST) -> Iterator[ast.AST]:
    """Give what runs code that it reads."""
    unsafe = {"eval", "exec", "pickle.loads", "pickle.load", "marshal.loads", "yaml.load"}
    return (call for call in calls(tree) if ast.unparse(call.func) in unsafe)


def untold_reasons(tree: ast.AST) -> Iterator[ast.AST]:
    """Give errors of a kind whose own reason is in no contract: a subclass is to state the fact."""
    documented = {name.removeprefix("ERROR_REASON_") for name, _ in ErrorReason.items()}
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            kind = getattr(errors, ast.unparse(node.exc.func), None)
            if getattr(kind, "reason", None) not in {None, *documented}:
                yield node


def _is_false(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def _is_constant_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id.lstrip("_").isupper()


RULES: dict[str, tuple[Callable[[ast.AST], Iterator[ast.AST]], str]] = {
    "no shell": (shell, "subprocess.run('ls ' + name, shell=True)"),
    "no unverified TLS": (unverified_tls, "requests.get(url, verify=False)"),
    "no SQL made of values": (built_sql, "conn.execute(f'DELETE FROM users WHERE id = {user_id}')"),
    "no owner checked after loading": (
        checked_after_loading,
        "if order.user_id != caller.subject: raise NotFound",
    ),
    "no secret in a log": (logged_secrets, "_log.info('call', body=request)"),
    "no code from outside": (unsafe_loading, "pickle.loads(body)"),
    "no reason that no contract has": (untold_reasons, "raise FailedPrecondition('no pictures')"),
}

_TELL_ERRORS = (
    "services/notification/worker.py",
    "services/order/worker.py",
    "services/payment/worker.py",
    "services/payment/workflow/_reconciliation.py",
    "services/product/stock_watch.py",
)

ALLOWED = {
    # A repeated call must be the same one.
    ("services/payment/domain/payment.py", "(self.user_id, self.amount) != (user_id, amount)"),
    # The request names an owner: nothing was loaded yet.
    ("services/mesh/interceptors/policy.py", "owner not in ('', who.subject)"),
    # The assignment is ours and gives `$2` to one column.
    ("services/user/store.py", "assignment"),
    # Conditions over parameters alone, and the number of one.
    *(("services/order/store/_orders.py", part) for part in ("each_state", "found", "newest")),
    ("services/order/store/_orders.py", "'FOR UPDATE OF o' * lock"),
    # `, $2::text, $3::text`, and as many question marks as there are values.
    ("services/local/databases.py", "arguments"),
    ("services/sandbox/ledger.py", "marks"),
    # A domain error's message is what the caller may read.
    *((module, "error.message") for module in _TELL_ERRORS),
    ("services/mesh/interceptors/errors.py", "remote.message"),
    # The name of the index that a migration of ours makes.
    ("services/mesh/migrate.py", "index"),
    # A whole number of milliseconds.
    ("services/mesh/migrate.py", "int(lock_timeout.total_seconds() * 1000)"),
}
"""What breaks a rule and does no harm, by module and text."""


@pytest.mark.parametrize("rule", RULES)
def test_no_module_breaks_the_rule(rule: str):
    """Every module of services and gateway keeps it, but for what is allowed by name."""
    check, _ = RULES[rule]
    broken = [
        (str(path.relative_to(ROOT)), ast.unparse(node))
        for path, tree in TREES.items()
        for node in check(tree)
    ]

    assert [] == [each for each in broken if each not in ALLOWED]


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_finds_what_it_is_for(rule: str):
    """The example of each rule breaks it."""
    check, example = RULES[rule]

    assert [*check(ast.parse(example))]


def test_nothing_is_allowed_that_is_not_there():
    """What was mended is not allowed for the next one."""
    found = {
        (str(path.relative_to(ROOT)), ast.unparse(node))
        for path, tree in TREES.items()
        for check, _ in RULES.values()
        for node in check(tree)
    }

    assert set() == ALLOWED - found
