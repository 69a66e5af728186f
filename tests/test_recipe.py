"""The recipe: the report's numbers by default, differences by file and override, refusals that teach."""

import tomllib
from pathlib import Path

import pytest

from earwitness import recipe
from earwitness.errors import RecipeError


def test_the_defaults_are_table_2() -> None:
    r = recipe.Recipe()
    assert (r.augmentation.frequency_masks, r.augmentation.time_masks) == (2, 2)
    assert (r.augmentation.frequency_mask_fraction, r.augmentation.time_mask_fraction) == (0.1, 0.1)
    assert (r.stage2.threshold, r.augmentation.mixup_alpha) == (0.5, 0.4)
    assert (r.loss.arcface_scale, r.loss.arcface_margin) == (30, 0.5)
    assert (r.stage1.curated + r.stage1.noisy, r.stage2.curated, r.stage2.noisy) == (64, 6, 58)
    assert (r.stage1.ramp_epochs, r.stage1.anneal_epochs) == (10, 90)
    assert (r.stage2.ramp_epochs, r.stage2.anneal_epochs) == (15, 285)
    assert (r.optimizer.kind, r.optimizer.learning_rate) == ("nadam", 0.0035)
    assert r.stage1.lengths(310) == (3_100, 27_900) and r.stage2.lengths(310) == (4_650, 88_350)


def test_a_dump_reads_back_as_the_same_recipe(tmp_path: Path) -> None:
    changed = recipe.load(
        None, ["stage1.ramp_steps=5", "stage1.anneal_steps=7", "loss.kind=focal", "features.reference=2.5"]
    )
    for explain in (False, True):
        path = tmp_path / "all.toml"
        path.write_text(recipe.dump(changed, explain=explain), "utf-8")
        assert recipe.load(path) == changed


def test_show_recipe_explains_every_field() -> None:
    for line in recipe.dump(recipe.Recipe(), explain=True).splitlines():
        assert not line or line.startswith("[") or len(line.partition("# ")[2]) > 10, line


def test_overrides_come_after_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[network]\nwidth = 0.5\n[stage2]\nthreshold = 0.4\n", "utf-8")
    found = recipe.load(path, ["network.width=0.25", 'loss.kind="focal"'])
    assert (found.network.width, found.stage2.threshold, found.loss.kind) == (0.25, 0.4, "focal")
    assert found.stage2.noisy == 58


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["stage2.ramp_epoch=5"], ["stage2.ramp_epoch", "stage2.ramp_epochs"]),
        (["netwrk.width=1"], ["netwrk", "network.width"]),
        (["network.width=9"], ["network.width = 9", "less than or equal to 4"]),
        (["loss.kind=cross-entrpy"], ["loss.kind", "'cross-entropy'"]),
        (["stage2.curated=1"], ["stage2", "curated >= 2"]),
        (["patches.frames=8", "network.input_pooling=2"], ["input_pooling = 2", "frames", ">= 16"]),
        (["features.mel_bands=24", "network.input_pooling=4"], ["input_pooling = 4", "mel_bands >= 32"]),
        (["stage2.shared=true", "stage2.apart=true"], ["stage2", "shared", "apart"]),
        (["features.fmax_hz=20000"], ["fmax_hz", "half of sample_rate_hz"]),
        (["stage2.pseudo_labels=masked"], ["masked", "cross-entropy"]),
        (["training.seed=18446744073709551616"], ["training.seed", "less than or equal to 9223372036854775807"]),
        (["features.floor_db=-70000"], ["features.floor_db", "greater than or equal to -1000"]),  # float16 ends before
        (["stage1.ramp_epochs=inf"], ["stage1.ramp_epochs = inf", "finite"]),
        (["augmentation.mixup_alpha=inf"], ["augmentation.mixup_alpha = inf", "finite"]),
        (["nonsense"], ["nonsense", "section.field=value"]),
        (["network.width=9", "stage1.noisy=-1", "loss.s=1"], ["network.width", "stage1.noisy", "loss.s"]),
    ],
)
def test_refusals_name_field_value_and_range_all_at_once(overrides: list[str], words: list[str]) -> None:
    with pytest.raises(RecipeError) as refused:
        recipe.load(None, overrides)
    message = str(refused.value)
    assert "\n" not in message and ": :" not in message
    for word in words:
        assert word in message, message


def test_a_file_of_windows_editor_begins_with_a_mark(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[network]\nwidth = 0.5\n", "utf-8-sig")
    assert recipe.load(tmp_path / "mine.toml").network.width == 0.5


def test_one_override_may_stand_by_itself() -> None:
    assert recipe.load("laptop", "training.seed=3") == recipe.load(["laptop"], ["training.seed=3"])


def test_an_unknown_recipe_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"labtop: no such recipe; did you mean laptop\?$"):
        recipe.load("labtop")
    with pytest.raises(RecipeError, match=r"give a TOML file or one of: .*laptop.*warm-up"):
        recipe.load("nothing of the kind")
    broken = tmp_path / "broken.toml"
    broken.write_text("[network\n", "utf-8")
    with pytest.raises(RecipeError, match=r"broken\.toml"):
        recipe.load(broken)


@pytest.mark.parametrize("name", recipe.names())
def test_every_recipe_that_comes_along_loads_and_differs_from_the_report(name: str) -> None:
    assert recipe.load(name) != recipe.Recipe() or name == "report"
    assert tomllib.loads(recipe.dump(recipe.load(name)))


def test_later_recipes_lie_on_top_of_earlier_ones(tmp_path: Path) -> None:
    found = recipe.load(["laptop-report", "ablation/no-arcface"])
    assert found == recipe.load("laptop-report", ["loss.kind=focal"])
    path = tmp_path / "mine.toml"
    path.write_text("[network]\nwidth = 0.5\n", "utf-8")
    assert recipe.load(["laptop-report", path]).network.width == 0.5
    assert recipe.load([path, "laptop-report"]).network.width == 0.25
    assert recipe.load([path, "laptop-report"], ["network.width=2"]).network.width == 2
    assert recipe.load([]) == recipe.load("report") == recipe.Recipe()
    path.write_text("[network]\nwidht = 0.5\n", "utf-8")
    with pytest.raises(RecipeError, match=r"^laptop-report \+ .*mine\.toml: .*network\.widht.*network\.width"):
        recipe.load(["laptop-report", path])


def test_a_recipe_lies_on_top_of_its_base(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('base = "laptop"\n[network]\nwidth = 0.5\n', "utf-8")
    (tmp_path / "wider.toml").write_text('base = "mine.toml"\n[network]\ninput_pooling = 1\n', "utf-8")
    assert recipe.load(tmp_path / "mine.toml") == recipe.load("laptop", "network.width=0.5")
    # From its own folder, wherever it is asked for.
    wider = recipe.load(tmp_path / "wider.toml")
    assert wider == recipe.load("laptop", ["network.width=0.5", "network.input_pooling=1"])
    assert recipe.load(["report", tmp_path / "wider.toml"]) == wider
    assert recipe.load([tmp_path / "wider.toml", "warm-up"]) != wider


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ('"mine.toml"', r"mine\.toml -> .*mine\.toml: a recipe that lies on top of itself: take a `base` out"),
        ("3", "base = 3: give the name or file of one recipe"),
        ('"lapdog"', "lapdog: no such recipe; .*laptop"),
    ],
)
def test_a_base_that_is_none_is_refused(tmp_path: Path, base: str, words: str) -> None:
    (tmp_path / "mine.toml").write_text(f"base = {base}\n", "utf-8")
    with pytest.raises(RecipeError, match=words):
        recipe.load(tmp_path / "mine.toml")


def test_recipes_in_folders_have_its_name_before_theirs() -> None:
    assert {"ensemble/residual", "ablation/no-tta", "laptop"} <= set(recipe.names())
    assert recipe.load("ensemble/residual").network.backbone == "residual"


@pytest.mark.parametrize("name", [name for name in recipe.names() if name.startswith(("ablation/", "ensemble/"))])
def test_an_ablation_and_a_system_are_one_idea(name: str) -> None:
    """They touch one section, or one and the further passes that would be copies; sizes are left to other recipes."""
    differing = {line.partition(".")[0] for line in recipe.differences(recipe.Recipe(), recipe.load(name))}
    assert len(differing) == 1 or (name, differing) == ("ablation/no-specaugment", {"augmentation", "tagging"})
    size = recipe.load("laptop-report")
    changed = recipe.differences(size, recipe.load(["laptop-report", name]))
    assert {line.partition(".")[0] for line in changed} == differing


def test_what_is_compared_learns_alike_and_the_report_as_it_says() -> None:
    grid = tomllib.loads((Path(__file__).parents[1] / "benchmarks" / "quality" / "grid.toml").read_text("utf-8"))["run"]
    for entry in grid:
        literal = entry["recipes"] == ["laptop-report"]
        assert recipe.load(entry["recipes"], entry.get("set", [])).optimizer.kind == ("nadam" if literal else "muon")


def test_the_laptops_hour_is_its_minutes_in_six_times_the_steps() -> None:
    short, long = recipe.load("laptop"), recipe.load("laptop-hour")
    for one, other in zip(short.stages, long.stages, strict=True):
        assert sum(other.lengths(1)) == 6 * sum(one.lengths(1))


def test_differences_are_named() -> None:
    ours, theirs = recipe.Recipe(), recipe.load(None, ["features.mel_bands=64"])
    assert recipe.differences(ours, theirs) == ["features.mel_bands is 128, not 64"]


@pytest.mark.parametrize(
    ("lengths", "empty"),
    [
        ({}, True), ({"anneal_epochs": 0.1}, False), ({"ramp_steps": 1}, False),
        ({"anneal_epochs": 3.0, "anneal_steps": 0}, True),
    ],
)  # fmt: skip
def test_a_stage_is_empty_only_without_any_steps(lengths: dict[str, float], empty: bool) -> None:
    assert recipe.Stage(**lengths).is_empty is empty
