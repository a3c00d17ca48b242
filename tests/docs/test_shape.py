"""The shape of the product's code: names that mean one thing, and sizes that fit on a screen."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = sorted(
    path
    for package in ("libs/common", "services", "deploy/onebox", "command", "demo")
    for path in (ROOT / package).rglob("*.py")
    if "build" not in path.parts
)
# Each service has one of these, for the same purpose.
_SAME_IN_EACH = {"__init__", "__main__", "service", "settings", "wiring"}
_MOST_LINES_OF_A_FUNCTION, _MOST_LINES_OF_A_MODULE = 30, 250

# What is left to be renamed or shortened. The lists only shrink.
DOUBLE_CLASSES: set[str] = set()
DOUBLE_MODULES: set[str] = set()
LONG: set[str] = set()

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def nodes(path: Path) -> Iterator[ast.AST]:
    yield from ast.walk(ast.parse(path.read_text()))


def lines_of_docstring(node: ast.Module | ast.ClassDef | _Function) -> int:
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        return (first.end_lineno or first.lineno) - first.lineno + 1
    return 0


def long_functions(path: Path) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1 - lines_of_docstring(node)
            if lines > _MOST_LINES_OF_A_FUNCTION:
                yield f"{path.relative_to(ROOT)}:{node.name}"


def is_long(path: Path) -> bool:
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    docstrings = sum(lines_of_docstring(n) for n in nodes(path) if isinstance(n, documented))
    return len(path.read_text().splitlines()) - docstrings > _MOST_LINES_OF_A_MODULE


def double(names: Iterator[str]) -> set[str]:
    return {name for name, count in Counter(names).items() if count > 1}


def test_no_class_name_is_defined_twice() -> None:
    classes = (n.name for path in PRODUCT for n in nodes(path) if isinstance(n, ast.ClassDef))
    assert DOUBLE_CLASSES == double(name for name in classes if not name.startswith("_"))


def test_no_module_name_is_used_twice() -> None:
    modules = (path.stem for path in PRODUCT if path.stem not in _SAME_IN_EACH)
    assert DOUBLE_MODULES == double(modules)


def test_no_function_and_no_module_is_long() -> None:
    functions = {name for path in PRODUCT for name in long_functions(path)}
    modules = {str(path.relative_to(ROOT)) for path in PRODUCT if is_long(path)}
    assert LONG == functions | modules
