"""Windows that share a pass: the same logits as windows by themselves, and as few multiply-adds as they should take."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from earwitness import backbones, patches, windowed
from earwitness.network import Backbone, TeacherStudent
from earwitness.windowed import WindowScorer, student_scorer

BANDS = 32
CPU = torch.device("cpu")
KINDS = pytest.mark.parametrize("kind", backbones.KINDS)


def network_of(kind: type[Backbone] = Backbone, *, width: float = 0.125, input_pooling: int = 1) -> TeacherStudent:
    """A network whose batch normalisation has seen something: untrained, the signal would fade with depth."""
    torch.manual_seed(0)
    network = TeacherStudent(width=width, input_pooling=input_pooling, outputs=6, backbone=kind)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    with torch.no_grad():
        network.train()(None, torch.randn(8, 192, BANDS))
    return network.eval()


def sound(frames: int) -> NDArray[np.float32]:
    return np.random.default_rng(frames).standard_normal((frames, BANDS)).astype(np.float32)


def one_by_one(network: TeacherStudent, log_mel: NDArray[np.float32], starts: NDArray[np.int64]) -> NDArray[np.float32]:
    """The plain way: every window cut out, through the network as it was trained."""
    windows = np.stack([log_mel[start : start + 192] for start in starts])
    return np.asarray(network.student_logits(torch.from_numpy(windows)))


def scorer_of(network: TeacherStudent, windows: str) -> WindowScorer:
    return student_scorer(network, CPU, frames=192, windows=windows)  # type: ignore[arg-type]


@KINDS
@pytest.mark.parametrize("input_pooling", [1, 2])
@pytest.mark.parametrize("windows", ["sliding", "exact"])
def test_scores_are_those_of_the_windows_one_by_one(kind: str, input_pooling: int, windows: str) -> None:
    network = network_of(backbones.KINDS[kind], input_pooling=input_pooling)
    log_mel = sound(437)
    starts = patches.window_starts(437, frames=192, hop=16)
    found = scorer_of(network, windows).of_windows(log_mel, starts)
    expected = one_by_one(network, log_mel, starts)
    assert found.dtype == np.float32 and expected.std(axis=0).min() > 1e-3
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("hop", [1, 6, 8, 26, 100, 192, 300])
def test_any_hop_will_do(hop: int) -> None:
    """Windows that are no whole number of columns apart share with others, or with none."""
    network, log_mel = network_of(width=0.0625), sound(603)
    starts = patches.window_starts(603, frames=192, hop=hop)
    found = scorer_of(network, "exact").of_windows(log_mel, starts)
    np.testing.assert_allclose(found, one_by_one(network, log_mel, starts), atol=1e-4)


def test_long_log_mels_go_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seams between blocks are not heard."""
    network, log_mel = network_of(width=0.0625), sound(1511)
    starts = patches.window_starts(1511, frames=192, hop=16)
    whole = [scorer_of(network, windows).of_windows(log_mel, starts) for windows in ("exact", "dense")]
    monkeypatch.setattr("earwitness.windowed._FRAMES_AT_ONCE", 256)
    for windows, expected in zip(("exact", "dense"), whole, strict=True):
        found = scorer_of(network, windows).of_windows(log_mel, starts)
        np.testing.assert_allclose(found, expected, atol=1e-5)


@KINDS
def test_dense_windows_are_cut_out_of_one_pass(kind: str) -> None:
    """With the features by hand: the columns of the whole log-mel, 24 of them for each window."""
    network, log_mel = network_of(backbones.KINDS[kind], width=0.0625), sound(480)
    with torch.no_grad():
        columns = network.backbone.over_frequency(network.backbone.maps(torch.from_numpy(log_mel)[None]))
        starts = np.array([0, 16, 160, 288])
        features = torch.cat([network.backbone.over_time(columns[:, :, at // 8 : at // 8 + 24]) for at in starts])
        expected = network.student.logits(features)
    scorer = scorer_of(network, "dense")
    np.testing.assert_allclose(scorer.of_windows(log_mel, starts), expected, atol=1e-4)
    assert np.abs(one_by_one(network, log_mel, starts) - expected.numpy()).max() > 1e-3


@pytest.mark.parametrize("input_pooling", [1, 3])
def test_long_sound_is_done_in_blocks_of_whole_columns(input_pooling: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a length that no column divides: the columns are those of one pass all the same."""
    monkeypatch.setattr(windowed, "_FRAMES_AT_ONCE", 260)
    network, log_mel = network_of(width=0.0625, input_pooling=input_pooling), torch.from_numpy(sound(1_200))
    folded = windowed.Folded(network.backbone, dtype=torch.float32)
    with torch.no_grad():
        found, expected = folded.columns_of_all(log_mel), folded.columns(log_mel[None])
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_dense_windows_begin_at_columns() -> None:
    scorer, log_mel = scorer_of(network_of(width=0.0625), "dense"), sound(245)
    found = scorer.of_windows(log_mel, np.array([0, 48, 53]))
    np.testing.assert_array_equal(found[1], found[2])


@pytest.mark.parametrize("windows", ["sliding", "exact", "dense"])
def test_bfloat16_is_near(windows: str) -> None:
    network, log_mel = network_of(), sound(400)
    starts = patches.window_starts(400, frames=192, hop=16)
    exact, rough = (
        student_scorer(network, CPU, frames=192, windows=windows, bfloat16=bfloat16).of_windows(log_mel, starts)  # type: ignore[arg-type]
        for bfloat16 in (False, True)
    )
    assert 0 < np.abs(rough - exact).max() < 0.05 * np.abs(exact).max()


def test_a_scorer_is_the_network_as_it_was() -> None:
    network, log_mel = network_of(width=0.0625), sound(192)
    scorer = scorer_of(network, "exact")
    before = scorer(log_mel[None])
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(scorer(log_mel[None]), before)


def test_windows_too_short_to_share_are_scored_one_by_one() -> None:
    """Of 6 columns 4 at either end see zeros: there is nothing to share."""
    network = network_of(width=0.0625, input_pooling=4)
    assert scorer_of(network, "exact").windows == "sliding"
    assert scorer_of(network, "dense").windows == "dense"
    log_mel, starts = sound(300), np.array([0, 16, 108])
    found = scorer_of(network, "exact").of_windows(log_mel, starts)
    np.testing.assert_allclose(found, one_by_one(network, log_mel, starts), atol=1e-4)


class Novel(Backbone):
    """A backbone with a layer that nobody has worked out."""

    def stage(self, inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=2, dilation=2), nn.Tanh())


def test_an_unknown_backbone_is_scored_one_by_one() -> None:
    network, log_mel = network_of(Novel), sound(300)
    scorer, starts = scorer_of(network, "exact"), np.array([0, 16, 108])
    assert scorer.windows == "sliding"
    np.testing.assert_allclose(scorer.of_windows(log_mel, starts), one_by_one(network, log_mel, starts), atol=1e-4)


# --- how much is computed ---


def multiply_adds(scorer: WindowScorer, frames: int) -> float:
    """The multiply-adds of all windows of so many frames, as they happen, the heads' left out."""
    starts = patches.window_starts(frames, frames=192, hop=16)
    with FlopCounterMode(display=False) as counter:
        scorer.of_windows(sound(frames), starts)
    head = len(starts) * (64 * 64 + 64 * 6)
    return counter.get_total_flops() / 2 - head


def of_a_frame(width: float) -> float:
    """Table 1: nine weights for each pair of channels, for every cell; the cells fall by four a stage."""
    sizes = [round(width * size) for size in (1 / width, 64, 128, 256, 512)]
    pairs = [before * after + after * after for before, after in pairwise(sizes)]
    return sum(9 * pair * BANDS / 4**stage for stage, pair in enumerate(pairs))


def of_an_end(width: float) -> float:
    """The columns that see zeros at one end of a window, after each convolution of each stage."""
    sizes = [round(width * size) for size in (1 / width, 64, 128, 256, 512)]
    columns = ((1, 2), (2, 3), (3, 4), (3, 4))
    return sum(
        9 * BANDS / 2**stage * (before * after * first + after * after * second)
        for stage, (before, after, (first, second)) in enumerate(zip(sizes[:-1], sizes[1:], columns, strict=True))
    )


@pytest.mark.parametrize("windows", [1, 2, 29])
def test_every_way_computes_what_its_formula_says(windows: int) -> None:
    network, frames = network_of(), 192 + 16 * (windows - 1)
    expected = {
        "sliding": windows * 192 * of_a_frame(0.125),
        "exact": frames * of_a_frame(0.125) + 2 * (windows - 1) * of_an_end(0.125),
        "dense": frames * of_a_frame(0.125),
    }
    for way, count in expected.items():
        assert multiply_adds(scorer_of(network, way), frames) == pytest.approx(count, rel=1e-9), way


def test_what_an_end_costs_is_known_beforehand() -> None:
    """By it the scorer decides which windows share; with Table 1 at full width, two ends cost 28 frames."""
    scorer = scorer_of(network_of(), "exact")
    assert scorer._folded.edge_frames == pytest.approx(2 * of_an_end(0.125) / of_a_frame(0.125))
    assert 2 * of_an_end(1.0) / of_a_frame(1.0) == pytest.approx(27.6, abs=0.2)


def test_ten_seconds_take_a_quarter_and_a_ninth() -> None:
    network = network_of()
    sliding, exact, dense = (multiply_adds(scorer_of(network, way), 640) for way in ("sliding", "exact", "dense"))
    assert sliding / exact > 3.8 and sliding / dense == pytest.approx(29 * 192 / 640)


def test_windows_that_hardly_overlap_share_nothing() -> None:
    """Where the ends cost more than the overlap saves."""
    scorer, log_mel = scorer_of(network_of(), "exact"), sound(192 * 4)
    with FlopCounterMode(display=False) as counter:
        scorer.of_windows(log_mel, np.array([0, 176, 352]))
    assert counter.get_total_flops() / 2 == pytest.approx(3 * (192 * of_a_frame(0.125) + 64 * 64 + 64 * 6))
