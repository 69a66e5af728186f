"""Four clips of FSDKaggle2019 itself: log-mels as librosa makes them, scores in the challenge's own form."""

import contextlib
import csv
import io
import sys
from pathlib import Path

import librosa
import numpy as np
import pytest

from earwitness import Tagger, audio, checkpoint, cli, layouts, longsound, recipe, tables

FSDKAGGLE2019 = Path(__file__).resolve().parents[2] / "shared" / "data" / "fsdkaggle2019"
CLIPS = sorted((FSDKAGGLE2019 / "clips").glob("*.wav"))

pytestmark = pytest.mark.skipif(not CLIPS, reason=f"no genuine clips: {FSDKAGGLE2019} is not there")


def log_mel_by_librosa(path: Path) -> np.ndarray:
    """All of section 2.1 by librosa: read at 32 kHz, trim at 55 dB, log-mel (frames, 128) dB below its peak."""
    waveform, rate_hz = librosa.load(path, sr=32_000)
    trimmed, _ = librosa.effects.trim(waveform, top_db=55)
    power = librosa.feature.melspectrogram(
        y=trimmed.astype(np.float64), sr=rate_hz, n_fft=1024, hop_length=500, n_mels=128, pad_mode="constant"
    )[:, : len(trimmed) // 500]
    return np.maximum(librosa.power_to_db(power, ref=np.max, amin=1e-60, top_db=None), -100).T


@pytest.mark.parametrize("path", CLIPS, ids=lambda path: path.stem)
def test_log_mels_are_librosas(path: Path) -> None:
    expected = log_mel_by_librosa(path)
    sound = longsound.read_sound(path, recipe.Features())
    found = sound.log_mel[:]
    assert not sound.silent and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.fixture(scope="module")
def genuine() -> tuple[str, ...]:
    """The challenge's 80 classes, in the order of its vocabulary."""
    with (FSDKAGGLE2019 / "meta" / "vocabulary.csv").open(encoding="utf-8", newline="") as stream:
        return tuple(name for _, name in csv.reader(stream))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of the dataset's classes, its weights drawn, its moments made up."""
    vocabulary = layouts.read_dataset(FSDKAGGLE2019, without_sound=True).vocabulary
    settings = recipe.load(None, ["network.width=0.0625", "network.input_pooling=2"])
    mean, std = np.full(128, -50, np.float32), np.full(128, 20, np.float32)
    folder = tmp_path_factory.mktemp("genuine") / "model"
    network = checkpoint.new_network(settings, classes=len(vocabulary))
    checkpoint.save_model(folder, checkpoint.ModelConfig(vocabulary, settings, mean, std), network, card="# drawn\n")
    return folder


@pytest.fixture(scope="module")
def submission(model: Path) -> Path:
    """What `tag` writes of the four clips."""
    out = model.parent / "submission.csv"
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.setattr(sys, "argv", list(map(str, ["earwitness", "tag", model, *CLIPS, "--out", out, "--threads", 1])))
        cli.main()
    assert said.getvalue() == f"{out}: 4 files, 80 classes\n"
    return out


def test_a_submission_has_the_challenges_head_and_a_row_a_clip(submission: Path, genuine: tuple[str, ...]) -> None:
    with (FSDKAGGLE2019 / "meta" / "sample_submission.csv").open(encoding="utf-8") as stream:
        head = stream.readline()
    lines = submission.read_text("utf-8").splitlines(keepends=True)
    assert lines[0] == head == ",".join(("fname", *genuine)) + "\n"
    assert [line.partition(",")[0] for line in lines[1:]] == [path.name for path in CLIPS]
    assert [path.name for path in CLIPS] == ["00c4e82c.wav", "43023d54.wav", "43f2168e.wav", "44044585.wav"]
    _, scores, names = tables.read_scores(submission)
    assert names == genuine and scores.shape == (4, 80)
    assert scores.min() > 0 and scores.max() < 1 and len(np.unique(scores)) == scores.size


def test_every_score_stands_in_its_own_column(submission: Path, model: Path) -> None:
    """As the tagger gives them from a waveform that librosa read, by the names of classes."""
    tagger = Tagger.load(model)
    fnames, scores, names = tables.read_scores(submission)
    for fname, row, path in zip(fnames, scores, CLIPS, strict=True):
        waveform = audio.read(path)
        assert fname == path.name
        np.testing.assert_array_equal(tagger.scores(waveform), row)
        assert tagger.tag(path) == dict(zip(names, row, strict=True))
        by_librosa, _ = librosa.load(path, sr=32_000)
        np.testing.assert_allclose(tagger.scores(by_librosa), row, atol=1e-4)


def test_the_submission_is_judged_by_the_genuine_labels(
    submission: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The three test clips' labels are those of the genuine table; the ranks that lwlrap counts are counted here."""
    dataset = layouts.read_dataset(FSDKAGGLE2019, without_sound=True)
    clips = [clip for clip in dataset.clips if clip.fname in {path.name for path in CLIPS}]
    labels = {clip.fname: set(clip.labels) for clip in clips}
    assert labels == {
        "00c4e82c.wav": {"Motorcycle"}, "43023d54.wav": {"Stream"}, "43f2168e.wav": {"Male_singing"},
        "44044585.wav": {"Applause", "Crowd", "Cheering"},
    }  # fmt: skip
    rows = ([clip.fname, ",".join(clip.labels), "test"] for clip in clips)
    tables.write_csv(tmp_path / "list.csv", ("fname", "labels", "split"), rows)
    tables.write_csv(
        tmp_path / "vocabulary.csv", ("0", dataset.vocabulary.names[0]), enumerate(dataset.vocabulary.names[1:], 1)
    )
    monkeypatch.setattr(
        sys, "argv", ["earwitness", "evaluate", "--scores", str(submission), str(tmp_path / "list.csv")]
    )
    cli.main()
    fnames, scores, names = tables.read_scores(submission)
    precisions = []
    for fname, row in zip(fnames, scores, strict=True):
        best_first = [names[column] for column in np.argsort(-row)]
        for label in labels[fname]:
            rank = best_first.index(label) + 1
            precisions.append(len(labels[fname] & set(best_first[:rank])) / rank)
    assert f"lwlrap {np.mean(precisions):.4f} (95 % interval" in capsys.readouterr().out
