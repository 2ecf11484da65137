"""The rules of the house, as docs/explanation/house.md tells them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = Path(__file__).parents[2] / "pytest_quantcheck"
# programs of their own: what they import stays out of pytest's process
_PROGRAMS: Final = ("engines.child", "engines.sizing_child", "engines.devices")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


FILES: Final = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text(encoding="utf-8"))


def walked(node: ast.AST, *, functions: bool) -> Iterator[ast.AST]:
    """All nodes but those of TYPE_CHECKING, with or without the bodies of functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not functions:
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from walked(child, functions=functions)


@cache
def imported(module: str, *, functions: bool = False) -> frozenset[str]:
    """What a module imports when it is imported, or ever."""
    found: set[str] = set()
    for node in walked(tree(module), functions=functions):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # 'from package import module' is the module's import, not the package's
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & FILES.keys() or {node.module}
    return frozenset(found)


def test_nothing_imports_the_plugin() -> None:
    assert [module for module in FILES if "pytest_quantcheck.plugin" in imported(module, functions=True)] == []


def test_imports_go_one_way() -> None:
    done: set[str] = set()

    def follow(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for needed in imported(module) & FILES.keys():
                follow(needed, (*path, module))
            done.add(module)

    for module in FILES:
        follow(module, ())
    assert len(done) == len(FILES)


PURE = [module for module in FILES if "Pure" in (ast.get_docstring(tree(module)) or "").partition("\n\n")[0]]


@pytest.mark.parametrize("module", PURE)
def test_what_judges_is_pure(module: str) -> None:
    roots = {name.partition(".")[0] for name in imported(module, functions=True)}

    assert roots & {"pytest", "_pytest", "llama_cpp", "syrupy", "xdist", "httpx"} == set()


def test_llama_cpp_stays_in_its_own_process() -> None:
    programs = {f"pytest_quantcheck.{name}" for name in _PROGRAMS}

    @cache
    def brings(module: str) -> bool:
        """Whether llama.cpp is loaded with it."""
        needed = imported(module)
        return "llama_cpp" in {name.partition(".")[0] for name in needed} or any(map(brings, needed & FILES.keys()))

    inside = {module for module in FILES if brings(module)} | programs
    outside = FILES.keys() - inside
    assert {"pytest_quantcheck.engines.llama", "pytest_quantcheck.engines.loading"} <= inside
    assert {"pytest_quantcheck.engines.process", "pytest_quantcheck.run", "pytest_quantcheck.plugin"} <= outside
    # also in no function that pytest's process may call
    found = {module: imported(module, functions=True) & inside for module in outside}
    assert {module: sorted(names) for module, names in found.items() if names} == {}
