"""Every number of a run: Table 2 of the report as typed, checked defaults; TOML files hold the differences.

The defaults are the report. A recipe is built from them, any number of files and `--set a.b=c` overrides, in that
order; whatever is unknown or out of range is refused, all of it at once. The resolved recipe is written into every
run and model.
"""

import difflib
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from .errors import RecipeError

# How a tagger does a clip's windows (`windowed`), and a network's arithmetic; auto: bfloat16 where that is fast.
Windows: TypeAlias = Literal["sliding", "exact", "dense"]
Precision: TypeAlias = Literal["auto", "float32", "bfloat16"]


def setting(default: Any, meaning: str, *, symbol: str = "", unit: str = "", **limits: Any) -> Any:
    """Declares one field of the recipe: its default, the report's symbol for it, its unit, meaning and limits."""
    return Field(default, description=meaning, json_schema_extra={"symbol": symbol, "unit": unit}, **limits)


class Section(BaseModel):
    """A table of the recipe: unchangeable, and nothing in it that is not declared."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Features(Section):
    """Section 2.1: from a file to a log-mel. A store is bound to these."""

    sample_rate_hz: int = setting(32_000, "sampling rate all sound is brought to", unit="Hz", ge=8_000, le=192_000)
    trim_below_peak_db: float = setting(
        55.0, "leading and trailing sound this far below the peak is cut", unit="dB", gt=0
    )
    fft_length: int = setting(
        1024, "length of the Hann window and the Fourier transform", unit="samples", ge=16, multiple_of=2
    )
    hop_length: int = setting(500, "distance between frames", unit="samples", ge=1)
    mel_bands: int = setting(128, "mel bands of a frame", unit="bands", ge=8)
    fmin_hz: float = setting(0.0, "lowest frequency of the mel bands", unit="Hz", ge=0)
    fmax_hz: float = setting(16_000.0, "highest frequency of the mel bands", unit="Hz", gt=0)
    reference: Literal["peak"] | Annotated[float, Field(gt=0)] = setting(
        "peak", "0 dB is the clip's own peak, or this power (for streams)"
    )
    floor_db: float = setting(-100.0, "lowest value of a log-mel", unit="dB", ge=-1_000, lt=0)

    @property
    def fixed_reference_db(self) -> float | None:
        """The reference in dB, None where it is the peak."""
        return None if self.reference == "peak" else 10 * math.log10(self.reference)

    def spectrum(self) -> dict[str, Any]:
        """Returns the numbers of the mel spectrum by name: all but trimming, reference and floor."""
        return self.model_dump(exclude={"trim_below_peak_db", "reference", "floor_db"})

    @model_validator(mode="after")
    def _within_nyquist(self) -> Self:
        if not self.fmin_hz < self.fmax_hz <= self.sample_rate_hz / 2:
            raise ValueError("fmax_hz must lie above fmin_hz and at or below half of sample_rate_hz")
        return self


class Patches(Section):
    """Section 2.2: what the network sees at once."""

    frames: int = setting(192, "length of a patch", unit="frames", ge=8, multiple_of=8)


class Augmentation(Section):
    """Sections 2.2 and 2.4."""

    frequency_masks: int = setting(2, "frequency masks of SpecAugment", symbol="m_f", ge=0)
    time_masks: int = setting(2, "time masks of SpecAugment", symbol="m_t", ge=0)
    frequency_mask_fraction: float = setting(
        0.1, "widest frequency mask", symbol="p_f", unit="of all bands", ge=0, le=1
    )
    time_mask_fraction: float = setting(0.1, "widest time mask", symbol="p_t", unit="of all frames", ge=0, le=1)
    reversal: bool = setting(True, "time reversal, with a class of its own for every reversed class")
    mixup_alpha: float = setting(0.4, "parameter of mixup's Beta distribution; 0: no mixup", symbol="alpha", ge=0)
    overlay_chance: float = setting(
        0.0, "share of rows whose sound is laid over another row's, with the labels of both; mixup comes after",
        ge=0, le=1,
    )  # fmt: skip
    overlay_db: float = setting(10.0, "largest difference in level of two sounds laid over each other", unit="dB", ge=0)

    def spec_augment(self) -> dict[str, Any]:
        """Returns the four numbers of SpecAugment by name."""
        return self.model_dump(
            include={"frequency_masks", "time_masks", "frequency_mask_fraction", "time_mask_fraction"}
        )


class Network(Section):
    """Table 1, and the backbones of the ensembles."""

    backbone: Literal["vgg", "vgg-max", "vgg-mean-max", "vgg-attention", "residual", "separable"] = setting(
        "vgg", "Table 1, the same with other poolings, or another convolutional network"
    )
    width: float = setting(1.0, "factor on Table 1's channels", gt=0, le=4)
    input_pooling: int = setting(1, "p x p cells of the log-mel averaged before the first convolution", ge=1, le=4)


class Loss(Section):
    """Section 2.5."""

    kind: Literal["focal+arcface", "focal", "cross-entropy"] = setting(
        "focal+arcface", "Eq. 3 + Eq. 4, Eq. 3 alone, or plain binary cross-entropy in place of both"
    )
    focal_gamma: float = setting(2.0, "focusing parameter of focal loss", symbol="gamma", ge=0, le=10)
    arcface_scale: float = setting(30.0, "scale of ArcFace's cosines", symbol="s", gt=0)
    arcface_margin: float = setting(0.5, "angular margin of ArcFace", symbol="m", unit="radians", ge=0, lt=1.5)
    arcface_weight: float = setting(1 / 160, "weight of ArcFace's sum over classes; 1: as Eq. 5 is printed", ge=0)
    noisy_rows: Literal["same", "bootstrapped", "generalised"] = setting(
        "same", "kind = cross-entropy: noisy rows are judged the same, by labels mixed with scores, or by L_q"
    )
    bootstrap_beta: float = setting(0.7, "share of the label beside the score, in bootstrapped labels", ge=0, le=1)
    generalised_q: float = setting(0.7, "q of L_q: near 0 is cross-entropy, 1 the mean absolute error", gt=0, le=1)

    @model_validator(mode="after")
    def _forgives_only_cross_entropy(self) -> Self:
        if self.noisy_rows != "same" and self.kind != "cross-entropy":
            raise ValueError("noisy_rows other than same needs kind = cross-entropy")
        return self


class Stage(Section):
    """One stage of training; section 2.6 and Table 2."""

    method: Literal["supervised", "teacher-student"] = setting(
        "supervised",
        "labels as given for every row; or Algorithm 1, which alone heeds threshold and all that follows it",
    )
    curated: int = setting(0, "curated rows of a batch", symbol="N_V", unit="patches", ge=0, le=4096)
    noisy: int = setting(64, "noisy rows of a batch", symbol="N_W", unit="patches", ge=0, le=4096)
    ramp_epochs: float = setting(0.0, "the learning rate rises from 0 to its peak in", symbol="w", unit="epochs", ge=0)
    anneal_epochs: float = setting(0.0, "and falls to 0 in", symbol="l", unit="epochs", ge=0)
    ramp_steps: int | None = setting(None, "the same in steps; replaces ramp_epochs", unit="steps", ge=0)
    anneal_steps: int | None = setting(None, "the same in steps; replaces anneal_epochs", unit="steps", ge=0)
    threshold: float = setting(
        0.5, "pseudo_labels = hard: the teacher's score above which one is 1", symbol="eta", ge=0, le=1
    )
    pseudo_labels: Literal["hard", "soft", "clip", "masked", "given"] = setting(
        "hard",
        "Eq. 1; the teacher's scores as they are; its scores of the whole clip; the given labels, less absences that "
        "the teacher doubts; or the given labels kept",
    )
    masked_share: float = setting(
        0.02, "pseudo_labels = masked: of the clips that a class was not given to, so many are left out of its loss: "
        "those in which the teacher hears it most", ge=0, le=1,
    )  # fmt: skip
    relabel_every_steps: int = setting(
        200,
        "pseudo_labels = clip, masked: the teacher hears all noisy clips anew every so many steps",
        unit="steps",
        ge=1,
    )
    believe: Literal["heard", "classes", "sets"] = setting(
        "classes", "pseudo_labels = clip: what is heard alone, or moved by what the given label is found to be worth: "
        "class by class, or weighing all sets of at most two classes and where the recording seems to come from",
    )  # fmt: skip
    teacher_average: float = setting(
        0.0, "decay, each step, of the moving average of weights whose teacher labels; 0: the network's own labels",
        ge=0, lt=1,
    )  # fmt: skip
    given_weight: float = setting(
        0.0, "pseudo_labels = hard, soft: share of the given label in a noisy row's label, beside the pseudo-label",
        ge=0, le=1,
    )  # fmt: skip
    keep_direction: bool = setting(
        False,
        "pseudo_labels = hard, soft: set to 0 in the half of the doubled classes that contradicts the known reversal, "
        "as the others are by themselves",
    )
    shared: bool = setting(
        False,
        "the teacher learns from the curated rows of U' in place of rows V' of its own; these mix among themselves",
    )
    apart: bool = setting(False, "V' and U' go through the network in two passes instead of one")

    @model_validator(mode="after")
    def _has_rows(self) -> Self:
        if self.curated + self.noisy < 2:
            raise ValueError("a batch needs at least 2 rows; curated + noisy is less")
        # The teacher's rows are curated ones, and its head normalises over them.
        if self.method == "teacher-student" and not (self.curated >= 2 and self.noisy):
            raise ValueError("method = teacher-student needs curated >= 2 and noisy >= 1")
        if self.shared and self.apart:
            raise ValueError("shared leaves no V' to be apart from U'; set one of the two to false")
        return self

    def lengths(self, steps_per_epoch: int) -> tuple[int, int]:
        """Returns (ramp, anneal) in steps, for epochs of `steps_per_epoch` steps."""
        ramp = round(self.ramp_epochs * steps_per_epoch) if self.ramp_steps is None else self.ramp_steps
        anneal = round(self.anneal_epochs * steps_per_epoch) if self.anneal_steps is None else self.anneal_steps
        return ramp, anneal

    @property
    def is_empty(self) -> bool:
        """Tells whether the stage has no steps, however long an epoch is."""
        ramp = self.ramp_epochs if self.ramp_steps is None else self.ramp_steps
        anneal = self.anneal_epochs if self.anneal_steps is None else self.anneal_steps
        return not ramp and not anneal

    @property
    def hears_noisy(self) -> bool:
        """Tells whether the stage has steps, and noisy rows in them."""
        return self.noisy > 0 and not self.is_empty


class Optimizer(Section):
    """Section 2.6: Nadam. Muon is not in the report: `optimizers`."""

    kind: Literal["nadam", "muon"] = setting("nadam", "muon: the backbone's convolutions by Muon, all else by Nadam")
    learning_rate: float = setting(0.0035, "peak learning rate", gt=0, le=1)
    beta1: float = setting(0.9, "decay of the first moment", ge=0, lt=1)
    beta2: float = setting(0.999, "decay of the second moment", ge=0, lt=1)
    momentum_decay: float = setting(0.004, "Nadam's momentum decay", ge=0)
    clip_norm: float = setting(0.0, "largest norm of the gradient; 0: no clipping", ge=0)


class Tagging(Section):
    """Section 2.7."""

    hop_frames: int = setting(16, "distance between sliding windows (0.25 s)", unit="frames", ge=1)
    augment_short: bool = setting(True, "Eq. 6: clips of at most 7 windows get further, SpecAugmented passes")


class Training(Section):
    """How a run is carried out; none of it is in the report."""

    seed: int = setting(0, "seed of everything drawn in a run", ge=0, le=2**63 - 1)
    precision: Precision = setting("auto", "arithmetic of the backbone; auto: bfloat16 where the machine is fast in it")
    checkpoint_every_steps: int = setting(500, "a checkpoint is written every so many steps", unit="steps", ge=1)
    evaluate_every_steps: int = setting(
        3_100, "the held-out fold is tagged every so many steps, and at each stage's end; 0: only there", unit="steps",
        ge=0,
    )  # fmt: skip


class Recipe(Section):
    """All settings of a run. `Recipe()` is the report."""

    features: Features = Features()
    patches: Patches = Patches()
    augmentation: Augmentation = Augmentation()
    network: Network = Network()
    loss: Loss = Loss()
    stage1: Stage = Stage(ramp_epochs=10, anneal_epochs=90)
    stage2: Stage = Stage(method="teacher-student", curated=6, noisy=58, ramp_epochs=15, anneal_epochs=285)
    optimizer: Optimizer = Optimizer()
    tagging: Tagging = Tagging()
    training: Training = Training()

    @model_validator(mode="after")
    def _masks_only_in_cross_entropy(self) -> Self:
        if self.loss.kind != "cross-entropy" and any(stage.pseudo_labels == "masked" for stage in self.stages):
            raise ValueError("pseudo_labels = masked needs loss.kind = cross-entropy, which can leave classes out")
        return self

    @model_validator(mode="after")
    def _leaves_a_cell(self) -> Self:
        # Table 1 halves frames and bands three times, after pooling.
        least = 8 * self.network.input_pooling
        if min(self.patches.frames, self.features.mel_bands) < least:
            raise ValueError(f"input_pooling = {self.network.input_pooling} needs frames and mel_bands >= {least}")
        return self

    @property
    def stages(self) -> tuple[Stage, Stage]:
        """The two stages in their order."""
        return self.stage1, self.stage2

    def outputs(self, classes: int) -> int:
        """Returns the network's outputs for so many classes: doubled where patches are reversed."""
        return 2 * classes if self.augmentation.reversal else classes


def load(sources: str | Path | Sequence[str | Path] | None = None, overrides: str | Iterable[str] = ()) -> Recipe:
    """Returns the report's recipe with the differences of named recipes or TOML files, then of `a.b=c` overrides.

    A later source lies on top of the earlier ones: where two set the same field, the later counts. A source may name
    another as its `base`, and lies on top of that. One source or override may stand by itself.
    Raises RecipeError naming every unknown or out-of-range value, its allowed range and the nearest known name.
    """
    listed = [sources] if isinstance(sources, str | Path) else list(sources or ())
    differences: dict[str, Any] = {}
    for source in listed:
        differences = _merged(differences, _with_bases(source))
    changes = [overrides] if isinstance(overrides, str) else list(overrides)
    for change in changes:
        differences = _merged(differences, _parse_override(change))
    return resolve(differences, where=" + ".join(map(str, [*listed, *changes])) or "recipe")


def resolve(differences: Mapping[str, Any], *, where: str) -> Recipe:
    """Returns the report's recipe with `differences` (nested tables) put in; RecipeError as `load`."""
    try:
        return Recipe.model_validate(_merged(Recipe().model_dump(), differences))
    except ValidationError as error:
        problems = "; ".join(_explain(problem) for problem in error.errors())
        raise RecipeError(f"{where}: {problems}") from None


def names() -> tuple[str, ...]:
    """Returns the names of the recipes that come with earwitness; those in a folder begin with its name and a slash."""
    return tuple(sorted(_names_below(_shelf(), "")))


def dump(recipe: Recipe, *, explain: bool = False) -> str:
    """Returns the whole recipe as TOML that `load` reads back; `explain` adds symbol, unit and meaning to each line."""
    lines: list[str] = []
    for name, section in recipe:
        lines += ["", f"[{name}]"]
        for key, info in type(section).model_fields.items():
            value = getattr(section, key)
            if value is None and not explain:
                continue
            line = f"# {key} =" if value is None else f"{key} = {_toml(value)}"
            lines.append(f"{line:<40}# {_legend(info)}" if explain else line)
    return "\n".join(lines[1:]) + "\n"


def differences(ours: Section, theirs: Section, prefix: str = "") -> list[str]:
    """Returns a line for every field in which two recipes, or two sections of the same kind, differ."""
    found: list[str] = []
    for (key, mine), (_, other) in zip(ours, theirs, strict=True):
        if isinstance(mine, Section):
            found += differences(mine, other, f"{prefix}{key}.")
        elif mine != other:
            found.append(f"{prefix}{key} is {_toml(mine)}, not {_toml(other)}")
    return found


def _shelf() -> Traversable:
    return resources.files(__package__) / "recipes"


def _names_below(folder: Traversable, prefix: str) -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _names_below(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".toml"):
            yield prefix + entry.name.removesuffix(".toml")


def _with_bases(source: str | Path, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """Returns a source's differences on top of those of its `base`; `above`: what this one is itself a base of."""
    table = _read(source)
    base = table.pop("base", None)
    if base is None:
        return table
    if not isinstance(base, str):
        raise RecipeError(f"{source}: base = {_toml(base)}: give the name or file of one recipe")
    # A file looks for others in its own folder, wherever it is taken from.
    below = base if base in names() else str(Path(source).parent / base)
    chain = (*above, str(source))
    if below in chain:
        raise RecipeError(f"{' -> '.join((*chain, below))}: a recipe that lies on top of itself: take a `base` out")
    return _merged(_with_bases(below, chain), table)


def _read(source: str | Path) -> dict[str, Any]:
    path = Path(source)
    try:
        if str(source) in names():
            text = _shelf().joinpath(f"{source}.toml").read_text("utf-8")
        else:
            text = path.read_text("utf-8-sig")  # with the mark that Windows' editor puts before it, or without
        return tomllib.loads(text)
    except FileNotFoundError:
        close = difflib.get_close_matches(str(source), names(), 1, 0.6)
        advice = f"did you mean {close[0]}?" if close else f"give a TOML file or one of: {', '.join(names())}"
        raise RecipeError(f"{source}: no such recipe; {advice}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{source}: not readable as a TOML recipe ({error})") from None


def _parse_override(text: str) -> dict[str, Any]:
    """Reads `a.b=c` as TOML does; a bare word such as cross-entropy counts as a string."""
    key, equals, value = text.partition("=")
    if not (equals and key.strip()):
        raise RecipeError(f"--set {text}: write it as section.field=value, for instance stage2.ramp_epochs=5")
    for candidate in (text, f'{key}="{value.strip()}"'):
        try:
            return tomllib.loads(candidate)
        except tomllib.TOMLDecodeError:
            continue
    raise RecipeError(f"--set {text}: neither the name nor the value can be read as TOML")


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        both_tables = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(old, value) if both_tables else value  # type: ignore[arg-type]
    return merged


def _explain(problem: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in problem["loc"] if part not in ("constrained-float", "literal['peak']"))
    if problem["type"] == "extra_forbidden":
        return f"unknown field {place}; {_nearest(place)}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{place}: {message}" if place else message  # no place: it lies between two sections
    return f"{place} = {_toml(problem['input'])}: {message[0].lower()}{message[1:]}"


def _nearest(place: str) -> str:
    known = [field for field, _ in _fields()]
    tail = place.rpartition(".")[2]
    close = difflib.get_close_matches(place, known, 1, 0.5) or [
        field for field in known if difflib.get_close_matches(tail, [field.rpartition(".")[2]], 1, 0.6)
    ]
    return f"did you mean {close[0]}?" if close else "`earwitness train --show-recipe` lists all fields"


def _fields() -> Iterator[tuple[str, FieldInfo]]:
    for name, section in Recipe():
        for key, info in type(section).model_fields.items():
            yield f"{name}.{key}", info


def _legend(info: FieldInfo) -> str:
    extra = info.json_schema_extra
    assert isinstance(extra, dict)
    marks = " ".join(str(extra[key]) for key in ("symbol", "unit") if extra[key])
    return f"{marks}: {info.description}" if marks else str(info.description)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)
