"""What a reader of security reports would look for in our own code, and no general linter knows."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

ROOT = Path(__file__).parents[2]
CODE = [
    path
    for folder in ("libs", "services")
    for path in sorted((ROOT / folder).glob("*/src/**/*.py"))
    if "contracts" not in path.parts
]
SAID_IN_LOGS = {"token", "password", "secret", "authorization", "claims", "kek"}

Rule: TypeAlias = Callable[[ast.AST], bool]


def sql_out_of_values(node: ast.AST) -> bool:
    """A statement is a literal, or is put together by psycopg.sql."""
    if not (isinstance(node, ast.Call) and _name(node.func) in {"execute", "executemany"}):
        return False
    statement = node.args[0] if node.args else None
    formatted = isinstance(statement, ast.JoinedStr | ast.BinOp)
    return formatted or (
        isinstance(statement, ast.Call)
        and _name(statement.func) == "format"
        and isinstance(statement.func, ast.Attribute)
        and isinstance(statement.func.value, ast.Constant | ast.JoinedStr)
    )


def tenant_out_of_a_request(node: ast.AST) -> bool:
    """It comes from the caller: a request may say anything."""
    return (
        isinstance(node, ast.Attribute)
        and node.attr == "tenant"
        and isinstance(node.value, ast.Name)
        and node.value.id == "request"
    )


def tenant_set_by_hand(node: ast.AST) -> bool:
    """Rows are reached through `rows` and `tenant_connection`."""
    return isinstance(node, ast.Constant) and "app.tenant" in str(node.value)


def tenant_out_of_metadata(node: ast.AST) -> bool:
    """Only where it is known that the caller is a service."""
    return isinstance(node, ast.Constant) and node.value == "bayline-tenant"


def secret_in_a_log(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "log"):
        return False
    revealed = any(
        isinstance(each, ast.Attribute) and each.attr == "get_secret_value"
        for each in ast.walk(node)
    )
    return revealed or any(each.arg in SAID_IN_LOGS for each in node.keywords)


def signature_not_checked(node: ast.AST) -> bool:
    """`verify=False`, `verify_signature`, contexts that trust everybody."""
    if isinstance(node, ast.keyword) and node.arg in {"verify", "verify_ssl", "ssl"}:
        return isinstance(node.value, ast.Constant) and node.value.value is False
    return (isinstance(node, ast.Constant) and node.value == "verify_signature") or (
        isinstance(node, ast.Attribute) and node.attr == "_create_unverified_context"
    )


ALLOWED: dict[Rule, set[str]] = {
    sql_out_of_values: set(),
    tenant_out_of_a_request: {
        "libs/eventstore/src/eventstore/servicer.py",  # services ask for a tenant's events
        "services/keyring/src/keyring/adapters/keys.py",  # and for the keys of its subjects
        "libs/testkit/src/testkit/store_contract.py",  # a request of the tests' own
    },
    tenant_set_by_hand: {"libs/runtime/src/runtime/database.py"},
    tenant_out_of_metadata: {
        "libs/runtime/src/runtime/calls.py",
        "libs/runtime/src/runtime/workload.py",
    },
    secret_in_a_log: set(),
    signature_not_checked: set(),
}
PLANTED: dict[Rule, str] = {
    sql_out_of_values: "connection.execute(f'SELECT {name}'); c.execute('S %s' % n); c.execute('{}'.format(n))",
    tenant_out_of_a_request: "store.read(request.tenant)",
    tenant_set_by_hand: "c.execute(\"SELECT set_config('app.tenant', %s, true)\", (t,))",
    tenant_out_of_metadata: "metadata.get('bayline-tenant')",
    secret_in_a_log: "log.info('login', token=token); log.info('x', y=s.get_secret_value())",
    signature_not_checked: "get(url, verify=False); decode(options={'verify_signature': False})",
}


@pytest.mark.parametrize("rule", ALLOWED, ids=lambda rule: rule.__name__)
def test_nothing_unsafe_stands_in_our_code(rule: Rule) -> None:
    found = {
        str(path.relative_to(ROOT)): lines
        for path in CODE
        if (lines := list(_broken(rule, path.read_text())))
    }

    assert {path: lines for path, lines in found.items() if path not in ALLOWED[rule]} == {}
    assert found.keys() >= ALLOWED[rule], "an exception that nobody needs any more"


@pytest.mark.parametrize("rule", PLANTED, ids=lambda rule: rule.__name__)
def test_each_rule_finds_what_is_planted(rule: Rule) -> None:
    planted = PLANTED[rule].split("; ")

    assert [len(list(_broken(rule, each))) > 0 for each in planted] == [True] * len(planted)


def _broken(rule: Rule, text: str) -> Iterator[int]:
    for node in ast.walk(ast.parse(text)):
        if rule(node):
            yield getattr(node, "lineno", 0)


def _name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else ""
