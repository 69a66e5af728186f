"""docs/paper.md says what the code does: every name, test, number and row in it is checked against the code."""

import ast
import json
import re
import tomllib
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earwitness import recipe

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "earwitness"
TESTS = ROOT / "tests"
PAPER = (ROOT / "docs" / "paper.md").read_text("utf-8")
DATA = (ROOT / "docs" / "data.md").read_text("utf-8")

# Table 2 of the report: symbol and value, with the symbol that the recipe's explanation gives.
TABLE_2: dict[str, tuple[float, str]] = {
    "m_f": (2, "m_f"), "m_t": (2, "m_t"), "p_f": (0.1, "p_f"), "p_t": (0.1, "p_t"),
    "eta": (0.5, "eta"), "alpha": (0.4, "alpha"), "s": (30, "s"), "m": (0.5, "m"),
    "N_V": (6, "N_V"), "N_W": (58, "N_W"),
    "w_1": (10, "w"), "w_2": (15, "w"), "l_1": (90, "l"), "l_2": (285, "l"),
}  # fmt: skip
TABLE_1 = {"Conv1": 64, "Conv2": 64, "Conv3": 128, "Conv4": 128, "Conv5": 256, "Conv6": 256, "Conv7": 512, "Conv8": 512}
ROWS = tuple(range(1, 29))
OTHER_PACKAGES = {"librosa", "numpy", "torch"}
FILE_SUFFIXES = {"csv", "json", "md", "py", "sh", "toml"}


# --- reading the document ---


def part(heading: str) -> str:
    """The text under a heading, up to the next one of its level or above."""
    level = heading.partition(" ")[0]
    match = re.search(rf"^{re.escape(heading)}$(.*?)(?=^#{{1,{len(level)}}} |\Z)", PAPER, re.MULTILINE | re.DOTALL)
    assert match, f"docs/paper.md has no {heading!r}"
    return match[1]


def table(heading: str) -> list[list[str]]:
    """The rows under a heading's table head, each as its cells."""
    lines = [line for line in part(heading).splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert rows and len({len(row) for row in rows}) == 1, f"the rows under {heading!r} differ in length"
    return rows


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def quoted_tests(text: str) -> list[str]:
    return [name for name in quoted(text) if "::" in name]


def names_in(text: str) -> list[str]:
    """What is quoted as module.name or section.field."""
    dotted = [name for name in quoted(text) if re.fullmatch(r"[A-Za-z_]\w*(\.\w+)+", name)]
    return [name for name in dotted if name.rpartition(".")[2] not in FILE_SUFFIXES]


# --- reading the code ---


@cache
def defined(path: Path) -> frozenset[str]:
    """The dotted names that a module defines: functions, classes with what they hold, constants."""
    found: set[str] = set()

    def collect(body: list[ast.stmt], prefix: str) -> None:
        for statement in body:
            if isinstance(statement, ast.FunctionDef | ast.ClassDef):
                found.add(prefix + statement.name)
                if isinstance(statement, ast.ClassDef):
                    collect(statement.body, f"{prefix}{statement.name}.")
            elif isinstance(statement, ast.Assign):
                found.update(prefix + ast.unparse(target) for target in statement.targets)
            elif isinstance(statement, ast.AnnAssign):
                found.add(prefix + ast.unparse(statement.target))

    collect(ast.parse(path.read_text("utf-8")).body, "")
    return frozenset(found)


def fields() -> set[str]:
    return {f"{section}.{field}" for section, content in recipe.Recipe() for field in type(content).model_fields}


def exists(name: str) -> bool:
    """Whether module.name or section.field is there; a module and a section may share their name."""
    if "::" in name:
        file, _, test = name.partition("::")
        return (TESTS / file).is_file() and test in defined(TESTS / file)
    head, _, rest = name.partition(".")
    module = SOURCE / f"{head}.py"
    return head in OTHER_PACKAGES or name in fields() or (module.is_file() and rest in defined(module))


def code_in(text: str) -> list[str]:
    return [name for name in names_in(text) if (SOURCE / f"{name.partition('.')[0]}.py").is_file()]


def docstring(name: str) -> str:
    module, _, function = name.partition(".")
    for node in ast.walk(ast.parse((SOURCE / f"{module}.py").read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return ast.get_docstring(node) or ""
    return ""


# --- the document against the code ---


def test_every_name_in_it_exists() -> None:
    missing = [name for name in names_in(PAPER) + quoted_tests(PAPER) if not exists(name)]
    assert not missing


@pytest.mark.parametrize("section", ["1", "2", *(f"2.{number}" for number in range(1, 8)), "3"])
def test_every_section_stands_in_code_and_tests(section: str) -> None:
    rows = [row for row in table("## Section by section") if row[0] == section]
    assert rows
    for row in rows:
        assert code_in(row[2]) and quoted_tests(row[3]), row[1]


@pytest.mark.parametrize("number", range(1, 7))
def test_every_equation_has_formula_code_and_tests(number: int) -> None:
    text = part(f"### Equation {number}")
    entries = dict(re.findall(r"^- (Printed|Here|Code|Tests): (.*?)(?=^- |\Z)", text, re.MULTILINE | re.DOTALL))
    assert set(entries) == {"Printed", "Here", "Code", "Tests"}
    assert code_in(entries["Code"]) and quoted_tests(entries["Tests"])
    assert f"Eq. {number}" in docstring(code_in(entries["Code"])[0])


def test_every_line_of_algorithm_1() -> None:
    rows = table("## Algorithm 1")
    assert [row[0] for row in rows] == [str(line) for line in range(1, 8)]
    for row in rows:
        assert names_in(row[2]) and quoted_tests(row[3]), row[0]
    source = (SOURCE / "pseudolabels.py").read_text("utf-8")
    assert re.findall(r"# line (\d)", source) == [str(line) for line in range(1, 8)]


def test_table_1() -> None:
    assert {row[0]: int(row[1]) for row in table("## Table 1")} == TABLE_1
    stages = re.search(r"^STAGES = \(([\d, ]+)\)$", (SOURCE / "network.py").read_text("utf-8"), re.MULTILINE)
    assert stages
    assert [int(channels) for channels in stages[1].split(",") for _ in range(2)] == list(TABLE_1.values())


def test_every_part_of_figure_1_stands_in_code_and_tests() -> None:
    rows = table("## Figure 1")
    assert len(rows) == 7
    for part_, code, tests in rows:
        assert code_in(code) and quoted_tests(tests), part_
    assert "Fig. 1" in (SOURCE / "network.py").read_text("utf-8")


def test_every_row_of_table_2_stands_in_code_and_tests() -> None:
    for symbol, _, _, code, tests in table("## Table 2"):
        assert code_in(code) and quoted_tests(tests), symbol


def test_table_2_is_what_show_recipe_shows() -> None:
    rows = {symbol: (float(value), *names_in(field)) for symbol, value, field, _, _ in table("## Table 2")}
    assert {symbol: row[0] for symbol, row in rows.items()} == {symbol: value for symbol, (value, _) in TABLE_2.items()}
    shown = recipe.dump(recipe.Recipe(), explain=True)
    values: dict[str, Any] = tomllib.loads(shown)
    for symbol, (value, field) in rows.items():
        section, _, name = str(field).partition(".")
        assert values[section][name] == value, symbol
        line = re.search(rf"^\[{section}\]$.*?^({name} = .*?)$", shown, re.MULTILINE | re.DOTALL)
        assert line and line[1].partition("# ")[2].startswith(TABLE_2[symbol][1]), symbol


def test_every_open_point_has_its_row() -> None:
    rows = table("## What the report leaves open")
    assert [row[0] for row in rows] == [str(number) for number in ROWS]
    for number, *texts, where in rows:
        assert all(texts), number
        assert names_in(where) or "not in the code yet" in texts[-1], number


def test_rows_that_the_code_names_are_there() -> None:
    named: set[int] = set()
    for path in SOURCE.rglob("*.py"):
        text = path.read_text("utf-8")
        for first, joint, last in re.findall(r"paper\.md,\s+rows?\s+(\d+)(?:\s+(to|and)\s+(\d+))?", text):
            named |= set(range(int(first), int(last) + 1)) if joint == "to" else {int(first), int(last or first)}
        named |= {int(number) for number in re.findall(r"\(row (\d+)\)", text)}
    assert named, "no comment names a row"
    assert named <= set(ROWS)


def test_every_recipe_that_comes_along_is_described() -> None:
    described = {name for row in table("## Recipes that come along") for name in quoted(row[0])}
    ablations = {name for row in table("## Ablations") for name in quoted(row[0])}
    assert described | ablations <= set(recipe.names())
    assert ablations == {name for name in recipe.names() if name.startswith("ablation/")}
    assert set(recipe.names()) <= described | ablations | set(quoted(DATA))


def test_every_system_of_the_ensembles_is_in_the_script() -> None:
    """reproduce.sh trains all systems that come along, and prints the report's figures that the page states."""
    script = (ROOT / "reproduce.sh").read_text("utf-8")
    listed = re.search(r"^SYSTEMS=\((.*)\)$", script, re.MULTILINE)
    assert listed
    assert sorted(f"ensemble/{name}" for name in listed[1].split()) == [
        name for name in recipe.names() if name.startswith("ensemble/")
    ]
    stated = re.search(r"^REPORTED=\((.*)\)$", script, re.MULTILINE)
    assert stated
    assert re.findall(r"=([\d.]+)", stated[1]) == [row[3] for row in table("## The three submissions")]


def test_every_setting_is_named() -> None:
    assert fields() <= set(names_in(PAPER))


def test_defaults_of_the_options_are_the_recipes() -> None:
    """The second column of the options' table: a default for each setting of the row, or one for all of them."""
    for names, stated, _ in table("## Options beyond the report"):
        settings, defaults = names_in(names), stated.split(", ")
        for name, default in zip(settings, defaults * (len(settings) // len(defaults)), strict=True):
            section, _, field = name.partition(".")
            assert getattr(getattr(recipe.Recipe(), section), field) == parsed(default.strip("`")), name


def parsed(text: str) -> Any:
    if text == "unset":
        return None
    return float(Fraction(text)) if "/" in text else json.loads(text)


# --- equations that have no other test ---


def test_equation_6_gives_at_least_ten_patches() -> None:
    """Row 24: the plain pass and k more: n (1 + k) patches for n windows."""
    from earwitness.tagging import extra_passes

    assert [extra_passes(windows) for windows in range(1, 10)] == [9, 5, 3, 2, 2, 1, 1, 0, 0]
    assert [n * (1 + extra_passes(n)) for n in range(1, 8)] == [10, 12, 12, 12, 15, 12, 14]


def test_the_original_half_meets_the_reversed_half() -> None:
    """Row 25: of two classes doubled, the first half of Z and the second half of the reversed Z."""
    from earwitness.tagging import combine

    forward = np.array([[0.0, 9.0, -7.0, -7.0]], np.float32)
    backward = np.array([[-7.0, -7.0, 9.0, 0.0]], np.float32)
    nearly_one = 1 / (1 + np.exp(-9.0))
    np.testing.assert_allclose(combine(forward, backward, classes=2), [[0.5 * (0.5 + nearly_one)] * 2])
    np.testing.assert_allclose(combine(forward[:, :2], None, classes=2), [[0.5, nearly_one]])
