"""The documents say what the command line does, their links lead somewhere, and no text names a machine."""

import re
import shlex
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main

from earwitness import audio, cli, recipe, synthetic

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("docs", "src", "tests", "benchmarks", "recipes", ".ci")
TEXT_SUFFIXES = {".cff", ".csv", ".json", ".md", ".py", ".sh", ".toml", ".txt", ""}
LINES_OF_ALL = {"--help", "--version", "--traceback"}

# Written in pieces, so that this file does not find itself.
FORBIDDEN = re.compile("|".join(("/" + "work/", "/" + "home/", "/" + "root/", "/" + "Users/", r"\bTO" + r"DO\b")))


def text_files() -> list[Path]:
    """The files of the project that hold text, without what is made from them."""
    inside = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    files = [path for path in [*ROOT.iterdir(), *inside] if path.is_file() and path.suffix in TEXT_SUFFIXES]
    # In a worktree .git is a file.
    return [path for path in files if "__pycache__" not in path.parts and path.name != ".git"]


def documents() -> list[Path]:
    return [path for path in text_files() if path.suffix == ".md"]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def verbs() -> dict[str, Any]:
    """The verbs as the command line knows them: name -> command."""
    group: Any = typer.main.get_command(cli.app)
    return dict(group.commands)


def options_of(verb: str) -> dict[str, Any]:
    """Every option of a verb that is its own, by each of its spellings."""
    options = [option for option in verbs()[verb].params if option.param_type_name == "option"]
    return {spelling: option for option in options for spelling in (*option.opts, *option.secondary_opts)}


def arguments_of(verb: str) -> set[str]:
    return {each.metavar or each.name for each in verbs()[verb].params if each.param_type_name == "argument"}


# --- docs/cli.md ---


@cache
def chapters() -> dict[str, str]:
    """The chapters of docs/cli.md by their headings."""
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    return dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))


def rows_of(chapter: str) -> dict[str, str]:
    """The rows of a chapter's tables, by the first word that is quoted in them; a bar is escaped in a table."""
    return {
        match[1].replace("\\|", "|"): match[0]
        for match in re.finditer(r"^\| `(\S+?)(?: [^`]*)?` \|.*$", chapter, re.MULTILINE)
    }


def test_every_verb_has_its_chapter() -> None:
    assert set(verbs()) <= set(chapters())


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_a_verbs_chapter_has_its_options_and_no_other(verb: str) -> None:
    rows = rows_of(chapters()[verb])
    assert set(rows) == set(options_of(verb)) | arguments_of(verb)


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_defaults_are_the_verbs(verb: str) -> None:
    rows = rows_of(chapters()[verb])
    for spelling, option in options_of(verb).items():
        if option.default not in (None, False):
            assert f"default: {option.default} |" in rows[spelling], spelling


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_a_verbs_chapter_has_an_example(verb: str) -> None:
    assert f"\nearwitness {verb} " in chapters()[verb]


def test_exit_statuses_are_the_command_lines() -> None:
    stated = re.findall(r"^\| (\d+) \|", chapters()["Exit status"], re.MULTILINE)
    assert [int(status) for status in stated] == [0, cli.SOME_FAILED, cli.REFUSED, cli.INTERRUPTED, cli.BROKEN_PIPE]


def test_options_of_all_verbs_are_described() -> None:
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    assert set(LINES_OF_ALL) <= set(re.findall(r"`(--[a-z-]+)`", text))
    mentioned = set(re.findall(r"`(--[a-z-]+)", text))
    assert mentioned <= LINES_OF_ALL | {spelling for verb in verbs() for spelling in options_of(verb)}


# --- docs/data.md ---


def test_the_sound_sets_noise_is_as_described() -> None:
    text = (ROOT / "docs" / "data.md").read_text("utf-8")
    stated = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", text, re.MULTILINE)
    assert {name: float(value) for name, value in stated} == vars(synthetic.LabelNoise())
    assert set(synthetic.CLASSES) <= set(re.findall(r"[\w-]+", text))


def test_suffixes_of_sound_are_listed() -> None:
    text = (ROOT / "docs" / "data.md").read_text("utf-8")
    listed = re.search(r"taken for sound: (.*?)\. A file", text, re.DOTALL)
    assert listed and set(listed[1].split()) == audio.SUFFIXES


# --- commands in all documents ---


def commands(text: str) -> Iterator[str]:
    """The lines of a document's fenced and indented blocks, continued ones joined."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$|^((?: {4}.*\n)+)", text, re.MULTILINE | re.DOTALL)
    for line in "\n".join(fenced or indented for fenced, indented in blocks).replace("\\\n", " ").splitlines():
        yield line.strip().removeprefix("$ ")


def own_commands() -> list[tuple[str, str]]:
    """Every earwitness command in documents and in the recipes' head comments, with where it stands."""
    found = [(name_of(path), line) for path in documents() for line in commands(path.read_text("utf-8"))]
    for path in (ROOT / "src" / "earwitness" / "recipes").rglob("*.toml"):
        heads = re.findall(r"^# (?:Command|Before it): (.+)$", path.read_text("utf-8"), re.MULTILINE)
        found += [(name_of(path), head) for head in heads]
    return [(place, line) for place, line in found if line.startswith("earwitness ")]


def complaint(line: str) -> str | None:
    """What is wrong with an earwitness command, if anything is."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in list(lexer)[1:]:
        if set(word) <= set("|&;<>"):
            break
        words.append(word.strip("[]…"))
    verb = next((word for word in words if not word.startswith("-")), None)
    if verb is None:
        return None if set(words) <= LINES_OF_ALL else "unknown option"
    if verb not in verbs():
        return f"no verb {verb}"
    for word, following in zip(words, [*words[1:], ""], strict=True):
        option, equals, value = word.partition("=")
        if not option.startswith("--"):
            continue
        if option not in LINES_OF_ALL | set(options_of(verb)):
            return f"no option {option}"
        value = value if equals else following
        if option == "--recipe" and not (value.isupper() or value.endswith(".toml") or value in recipe.names()):
            return f"no recipe {value}"
        if option == "--set" and not value.isupper():
            recipe.load(None, [value])
    return None


def test_documented_commands_exist() -> None:
    found = own_commands()
    assert found
    wrong = [f"{place}: {line}: {trouble}" for place, line in found if (trouble := complaint(line))]
    assert not wrong


def test_complaints_are_made() -> None:
    assert complaint("earwitness fly away") == "no verb fly"
    assert complaint("earwitness tag MODEL a.wav --loud | sort") == "no option --loud"
    assert complaint("earwitness train STORE --out RUN --recipe labtop") == "no recipe labtop"
    assert complaint("earwitness tag MODEL a.wav [--out FILE] && rm --force a.wav") is None


def test_documented_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for path in documents():
        text = path.read_text("utf-8")
        lines = [line for line in commands(text) if line.startswith("make ")]
        named = {
            word for line in lines for word in line.split("#")[0].split()[1:] if re.fullmatch(r"[a-z][\w-]*", word)
        }
        named |= set(re.findall(r"`make ([a-z][\w-]*)`", text))
        assert named <= targets, path.name


# --- all documents ---


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", documents(), ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_says_how_to_begin() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert "make demo" in text and "make test" in text


@pytest.mark.parametrize("path", text_files(), ids=name_of)
def test_texts_name_no_machine_and_leave_nothing_open(path: Path) -> None:
    found = FORBIDDEN.search(path.read_text("utf-8"))
    assert found is None, found


def test_what_the_page_on_python_shows_runs(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it as one program, on the tiny dataset, with a recipe of a few steps."""
    (tmp_path / "my_clips").symlink_to(tiny_dataset)
    for name in ("a.wav", "b.wav"):
        shutil.copy(next((tiny_dataset / "test").glob("*.wav")), tmp_path / name)
    (tmp_path / "raw.s16").write_bytes(np.random.default_rng(0).integers(-9, 9, 40_000, "<i2").tobytes())
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "python.md").read_text("utf-8"), re.M | re.S)
    assert len(blocks) == 7
    names: dict[str, Any] = {}
    exec("\n".join(blocks).replace('"laptop"', '"rehearsal"'), names)
    assert names["judged"].probability.shape == names["judged"].given.shape
    assert (tmp_path / "doubts" / "verdicts.csv").is_file()
    assert 0 < names["result"].overall <= 1
    assert len(names["last"]) == 1, "less than a window was fed"
