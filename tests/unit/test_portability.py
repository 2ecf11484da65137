"""What exists on Unix only is imported where it is used, not where a module is imported on every system."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
FOLDERS: Final = ("pytest_quantcheck", "example_suites", "benchmarks", "docs", "tests")
UNIX_ONLY: Final = {"curses", "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
EXEMPT: Final = {
    "pytest_quantcheck/sandbox/lockdown.py": "runs in the sandbox's own process, which is started on Linux only",
    "pytest_quantcheck/sandbox/child.py": "likewise; nothing imports it but the command line of that process",
    "tests/terminals.py": "a terminal to draw on, for tests that need one",
    "tests/plugin/test_progress.py": "the tests that need one",
}


def on_import(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every module that is imported when this one is, whatever the system."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Try) and any("ImportError" in ast.unparse(h.type or h) for h in node.handlers):
            for handler in node.handlers:
                yield from on_import(handler)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        else:
            yield from on_import(node)


def imports(path: Path) -> list[tuple[int, str]]:
    return list(on_import(ast.parse(path.read_text(encoding="utf-8"))))


def not_everywhere(path: Path) -> list[str]:
    """What of a file's imports fails on some system: a module of Unix, or one of ours that imports such a one."""
    exempt = {name.removesuffix(".py").replace("/", ".") for name in EXEMPT}
    found = imports(path)
    return [f"line {line}: {name}" for line, name in found if name.partition(".")[0] in UNIX_ONLY or name in exempt]


def test_modules_of_unix_are_imported_where_they_are_used() -> None:
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]
    found = {str(file.relative_to(ROOT)): not_everywhere(file) for file in files}

    assert {name: lines for name, lines in found.items() if lines and name not in EXEMPT} == {}
    assert [name for name in EXEMPT if not found[name]] == [], "needs no exemption any more"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import fcntl", ["line 1: fcntl"]),
        ("from resource import getrlimit", ["line 1: resource", "line 1: resource.getrlimit"]),
        ("if True:\n    import pwd", ["line 2: pwd"]),
        ("class A:\n    import termios", ["line 2: termios"]),
        ("from pytest_quantcheck.sandbox import lockdown", ["line 1: pytest_quantcheck.sandbox.lockdown"]),
        ("try:\n    import pwd\nexcept ValueError:\n    pass", ["line 2: pwd"]),
        ("try:\n    import pwd\nexcept ImportError:\n    pass", []),
        ("def f():\n    import fcntl", []),
        ("import os", []),
    ],
)
def test_the_test_sees(tmp_path: Path, code: str, found: list[str]) -> None:
    file = tmp_path / "it.py"
    file.write_text(code, encoding="utf-8")

    assert not_everywhere(file) == found
