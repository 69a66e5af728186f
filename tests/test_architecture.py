"""The street keeps to its plan: docs/architecture.md's floors, light paths, one door, no pickle, no long function."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "earwitness"
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def name_of(path: Path) -> str:
    """A module's name below earwitness: tables, layouts (a wing, its __init__.py), layouts.esc50."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


PATHS = {name_of(path): path for path in sorted(SOURCE.rglob("*.py"))}
MODULES = sorted(PATHS.keys() - {"__init__"})

HEAVY = {"torch", "accelerate", "matplotlib", "tensorboard"}
NUMERICAL = {"numpy", "scipy", "pydantic", "soundfile", "soxr", "av", "safetensors"}
PICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
LONGEST_FUNCTION_LINES = 60


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(PATHS[module].read_text("utf-8"))


@cache
def floors() -> dict[str, int]:
    """The floor of every module and every wing, as the document's table has it: tables, layouts, cleaning.votes."""
    rows = re.findall(r"^\| (\d+) \| [^|]+ \| ([^|]+) \|$", ARCHITECTURE, re.MULTILINE)
    cells = [(name, int(floor)) for floor, cell in rows for name in re.findall(r"`(\w+(?:/\w+)?)(?:\.py|/)`", cell)]
    named = [(name.replace("/", "."), floor) for name, floor in cells]
    assert len(named) == len(dict(named)), "a module has two floors"
    return dict(named)


@cache
def spread_wings() -> set[str]:
    """The wings whose modules have floors of their own; they themselves have none."""
    return {name.partition(".")[0] for name in floors() if "." in name}


def place_of(module: str) -> str:
    """Where the table has a module: under its own name, or its wing's where the wing is on one floor."""
    wing = module.partition(".")[0]
    return module if wing in spread_wings() else wing


def floor_of(module: str) -> int:
    """The floor of a module; the empty __init__.py of a wing on several floors is below them all."""
    return 1 if module in spread_wings() else floors()[place_of(module)]


def at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            yield from at_import(statement.orelse)
            continue
        yield statement
        for inner in ("body", "orelse", "finalbody"):
            yield from at_import(getattr(statement, inner, []))
        for handler in getattr(statement, "handlers", []):
            yield from at_import(handler.body)


def imports(module: str, nodes: Iterable[ast.AST]) -> tuple[set[str], set[str]]:
    """What import statements among `nodes` of a module name: modules of earwitness, and other packages."""
    ours: set[str] = set()
    others: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            others |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = origin_of(module, node)
            if origin is None:
                others.add((node.module or "").partition(".")[0])
                continue
            named = {f"{origin}.{alias.name}".strip(".") for alias in node.names}
            ours |= {origin if origin and each not in PATHS else each for each in named}
    return ours - {"__version__"}, others


def origin_of(module: str, node: ast.ImportFrom) -> str | None:
    """What of earwitness an import in a module takes names from, "" for earwitness itself; None for others."""
    if node.level == 0:
        first, _, rest = (node.module or "").partition(".")
        return rest if first == "earwitness" else None
    package = PATHS[module].relative_to(SOURCE).parts[:-1]
    above = package[: len(package) - node.level + 1]
    return ".".join([*above, *([node.module] if node.module else [])])


def light_needs(module: str) -> set[str]:
    """The packages that importing a module imports, directly or through other modules."""
    seen: set[str] = set()
    packages: set[str] = set()
    waiting = [module]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            ours, others = imports(current, at_import(tree(current).body))
            packages |= others
            waiting += ours
    return packages


def functions(module: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_module_has_a_floor() -> None:
    assert set(floors()) == {place_of(module) for module in MODULES} - spread_wings()


def test_wings_on_several_floors_are_a_docstring_themselves() -> None:
    """Else each of their modules would load what the others need, whatever its floor."""
    assert spread_wings()
    for wing in spread_wings():
        assert len(tree(wing).body) == 1 and ast.get_docstring(tree(wing)), wing


def test_imports_never_go_up() -> None:
    upward = [
        f"{module} (floor {floor_of(module)}) imports {used} (floor {floor_of(used)})"
        for module in MODULES
        for used in imports(module, ast.walk(tree(module)))[0]
        if floor_of(used) > floor_of(module)
    ]
    assert not upward


def test_imports_never_go_round() -> None:
    """Postponed imports and those for type checkers count too."""
    TopologicalSorter({module: imports(module, ast.walk(tree(module)))[0] for module in MODULES}).prepare()


def test_the_package_itself_imports_nothing() -> None:
    ours, others = imports("__init__", at_import(tree("__init__").body))
    assert not ours and others <= {"typing"}


def test_floor_1_knows_no_settings_disk_or_clock() -> None:
    for module in (name for name in MODULES if floor_of(name) == 1):
        ours, others = imports(module, ast.walk(tree(module)))
        assert not ours - {"errors"}, module
        assert not others & {"os", "pathlib", "io", "json", "time", "datetime", "random", "pydantic"}, module


def test_modules_are_named_for_something() -> None:
    assert not {"utils", "util", "common", "helpers", "core", "misc"} & {
        part for module in MODULES for part in module.split(".")
    }


@pytest.mark.parametrize("module", ["cli", "corpus", "audio", "logmel", "tables", "layouts", "download"])
def test_light_modules_need_nothing_heavy(module: str) -> None:
    assert not light_needs(module) & HEAVY


def test_decoding_processes_do_not_load_torch() -> None:
    """As `light_needs` reads it from the text, but as it happens, with what other packages import."""
    code = "import sys, earwitness.corpus; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(run.stdout.split()) & HEAVY


def test_help_imports_no_numerical_package() -> None:
    code = "import sys; sys.argv = ['earwitness', '--help']; from earwitness.cli import main; main()"
    run = subprocess.run([sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True)
    assert "prepare" in run.stdout
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in run.stderr.splitlines()}
    assert "typer" in imported
    assert not imported & (HEAVY | NUMERICAL)


@pytest.mark.parametrize("module", MODULES)
def test_only_the_door_prints(module: str) -> None:
    if module.partition(".")[0] == "cli":
        return
    calls = [ast.unparse(node.func) for node in ast.walk(tree(module)) if isinstance(node, ast.Call)]
    assert not {"print", "sys.stdout.write", "sys.stderr.write", "Console"} & set(calls)


@pytest.mark.parametrize("module", ["__init__", *MODULES])
def test_nothing_is_ever_unpickled(module: str) -> None:
    assert not imports(module, ast.walk(tree(module)))[1] & PICKLING
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Attribute):
            assert ast.unparse(node) not in {"torch.load", "torch.save", "np.load", "numpy.load"}
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in {"eval", "exec"}
            assert "allow_pickle" not in {keyword.arg for keyword in node.keywords}


@pytest.mark.parametrize("module", ["__init__", *MODULES])
def test_functions_fit_on_a_screen(module: str) -> None:
    long = {each.name: (each.end_lineno or each.lineno) - each.lineno + 1 for each in functions(module)}
    assert not {name: lines for name, lines in long.items() if lines > LONGEST_FUNCTION_LINES}
