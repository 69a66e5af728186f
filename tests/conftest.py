"""What many tests need: a tiny dataset in FSDKaggle2019's layout, a store prepared from it, and a tiny model."""

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import soundfile

from earwitness import cli, corpus, layouts, recipe, tables
from earwitness.labels import Vocabulary

CLASSES = ("Bark", "Child_speech_and_kid_speaking", "Meow", "Purr")
RATE_HZ = 32_000
# The suffixes that the clips of each role have, in turn; the tables say .wav of all of them, as people's tables do.
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")


class TinySound(NamedTuple):
    """A clip of the tiny dataset: its sound is a tone for each label, and noise."""

    role: str
    fname: str
    labels: tuple[str, ...]
    usage: str = ""


def tone(*labels: str, seconds: float, seed: int, rate_hz: int = RATE_HZ) -> np.ndarray:
    """A (samples,) waveform with one tone a label, in noise."""
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    sound = 0.02 * np.random.default_rng(seed).standard_normal(len(time))
    for label in labels:
        sound += 0.2 * np.sin(2 * np.pi * 300 * 2 ** CLASSES.index(label) * time)
    return sound.astype(np.float32)


def tiny_sounds() -> list[TinySound]:
    """10 curated, 10 noisy and 6 test clips; every class in each, some clips with two labels."""

    def labels(number: int) -> tuple[str, ...]:
        first = CLASSES[number % 4]
        return (first, CLASSES[(number + 1) % 4]) if number % 3 == 2 else (first,)

    sounds = [TinySound(role, f"{role}{n}.wav", labels(n)) for role in ("curated", "noisy") for n in range(10)]
    usages = ("Public", "Private", "Private")
    return sounds + [TinySound("test", f"test{n}.wav", labels(n), usages[n % 3]) for n in range(6)]


_TABLES = {"curated": "train_curated", "noisy": "train_noisy", "test": "test_post_competition"}
_FOLDERS = {"curated": "train_curated", "noisy": "train_noisy", "test": "test"}


def write_tables(root: Path, sounds: list[TinySound]) -> None:
    """Writes the dataset's tables, vocabulary.csv among them."""
    for role, name in _TABLES.items():
        rows = [(one.fname, ",".join(one.labels), one.usage) for one in sounds if one.role == role]
        tables.write_csv(root / f"{name}.csv", ("fname", "labels", "usage"), rows)
    (root / "vocabulary.csv").write_text("".join(f"{n},{name}\n" for n, name in enumerate(CLASSES)))


def write_sounds(root: Path, sounds: list[TinySound]) -> None:
    """Writes a file for each clip, 0.1 to 4 seconds long."""
    for number, one in enumerate(sounds):
        path = (root / _FOLDERS[one.role] / one.fname).with_suffix(SUFFIXES[number % len(SUFFIXES)])
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone(*one.labels, seconds=(0.1, 1.0, 4.0)[number % 3], seed=number), RATE_HZ)


def write_tiny_dataset(root: Path) -> Path:
    """Writes the tiny dataset; returns its folder."""
    write_sounds(root, tiny_sounds())
    write_tables(root, tiny_sounds())
    return root


def tiny_recipe(*settings: str) -> recipe.Recipe:
    """A recipe whose network is as small as it gets, changed as `--set` would."""
    return recipe.load(None, ("network.width=0.015625", "network.input_pooling=2", *settings))


def write_tiny_model(folder: Path, settings: recipe.Recipe, moments: corpus.Moments) -> Path:
    """Writes a model with random weights for the tiny dataset; returns its folder."""
    from earwitness import checkpoint  # torch takes seconds to import; most tests don't need it

    config = checkpoint.ModelConfig(Vocabulary(CLASSES), settings, moments.mean, moments.std)
    network = checkpoint.new_network(settings, classes=len(CLASSES))
    checkpoint.save_model(folder, config, network, card="# a tiny model\n")
    return folder


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serves an application's pages by this process, which is quicker to begin; gives their address."""
    import uvicorn

    from earwitness.serving import run

    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    with run.listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield run.address_of(listener)
        server.should_exit = server.force_exit = True
        thread.join()


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny dataset's folder; not to be written to."""
    return write_tiny_dataset(tmp_path_factory.mktemp("tiny") / "dataset")


@pytest.fixture(scope="session")
def tiny_store(tiny_dataset: Path) -> Path:
    """A store prepared from the tiny dataset; not to be written to."""
    out = tiny_dataset.parent / "store"
    corpus.prepare(layouts.read_dataset(tiny_dataset), out, recipe.Features(), workers=1)
    return out


@pytest.fixture(scope="session")
def tiny_model(tiny_store: Path) -> Path:
    """A model folder for the tiny dataset, its weights random, in a run's folder `run`; not to be written to."""
    folder = tiny_store.parent / "run" / "model"
    return write_tiny_model(folder, tiny_recipe(), corpus.Store(tiny_store).moments)


@pytest.fixture(scope="session")
def tiny_trained_run(tiny_store: Path) -> Path:
    """A finished run of the recipe `rehearsal` on the tiny store, fold 0 held out; not to be written to."""
    from earwitness import training

    folder = tiny_store.parent / "trained"
    training.train(corpus.Store(tiny_store), folder, recipe.load("rehearsal"), fold=0, cpu=True)
    return folder


@pytest.fixture
def own_dataset(tiny_dataset: Path, tmp_path: Path) -> Path:
    """A tiny dataset of the test's own, to be changed."""
    return shutil.copytree(tiny_dataset, tmp_path / "dataset")


@pytest.fixture(scope="session")
def tiny_review(tiny_store: Path) -> Path:
    """A review folder on the tiny store's curated and noisy clips; not to be written to."""
    from review_maker import write_review

    out = tiny_store.parent / "review"
    out.mkdir()
    return write_review(out, tiny_store)


@pytest.fixture
def own_review(tiny_review: Path, tmp_path: Path) -> Path:
    """A review folder of the test's own, to be changed."""
    return shutil.copytree(tiny_review, tmp_path / "review")


class Answer(NamedTuple):
    """What a call printed and its exit status."""

    status: int
    out: str
    err: str


Earwitness = Callable[..., Answer]


@pytest.fixture
def earwitness(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Earwitness:
    """Gives a command line, in this process."""

    def call(*arguments: Any) -> Answer:
        monkeypatch.setattr(sys, "argv", ["earwitness", *map(str, arguments)])
        try:
            cli.main()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        out, err = capsys.readouterr()
        return Answer(status, out, err)

    return call
