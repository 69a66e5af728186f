"""Beliefs about sets of labels: by hand for one clip, by simulation for many."""

import itertools

import numpy as np
import pytest

from earwitness import labelsets
from earwitness.labelsets import Clips, Shrinkage


def simulated(clips: int, classes: int, *, kept: float, empty: float, seed: int = 0) -> tuple[Clips, np.ndarray]:
    """Returns clips of one class or none, a good ear, labels given as the model has it; and the truth.

    Clips that hold nothing come from elsewhere, which the context tells, and mostly get the labels 0 and 1.
    """
    rng = np.random.default_rng(seed)
    truth = np.zeros((clips, classes))
    context = rng.normal(size=(clips, 1))
    nothing = rng.random(clips) < 1 / (1 + np.exp(-(np.log(empty / (1 - empty)) + 2 * context[:, 0])))
    truth[np.arange(clips), rng.integers(classes, size=clips)] = ~nothing
    rates = np.where(truth > 0, kept, np.where(nothing[:, None], np.where(np.arange(classes) < 2, 0.5, 0.02), 0.04))
    given = np.zeros(truth.shape)
    while len(bare := np.flatnonzero(given.sum(axis=1) == 0)):
        given[bare] = rng.random((len(bare), classes)) < rates[bare]
    # The log of a likelihood ratio of two normal distributions, 3 deviations apart.
    heard = 3 * (rng.normal(size=truth.shape) + 3 * truth) - 4.5
    return Clips(heard, given, context), truth


def test_one_clip_by_hand() -> None:
    """Two classes: the weights of {}, {0}, {1}, {0, 1}, worked out with the docstring's formula."""
    model = labelsets.begin(2, kept=0.5, false=0.2, lost=0.8)
    clip = Clips(np.log(np.array([[3.0, 0.5]])), np.array([[1.0, 0.0]]), np.zeros((1, 0)))
    any_given = {"empty": 1 - 0.6**2, "one": 1 - 0.5 * 0.9, "both": 1 - 0.5 * 0.5}
    weights = np.array([
        0.3 * (0.4 * 0.6) / any_given["empty"],
        0.6 / 2 * 3.0 * (0.5 * 0.9) / any_given["one"],
        0.6 / 2 * 0.5 * (0.1 * 0.5) / any_given["one"],
        0.1 * 1.5 * (0.5 * 0.5) / any_given["both"],
    ])  # fmt: skip
    weights /= weights.sum()
    belief = labelsets.believe(clip, model)
    assert belief.empty[0] == pytest.approx(weights[0], rel=1e-5)
    np.testing.assert_allclose(belief.present[0], [weights[1] + weights[3], weights[2] + weights[3]], rtol=1e-5)


def enumerated(clips: Clips, model: labelsets.LabelModel) -> tuple[list[tuple[int, ...]], np.ndarray, np.ndarray]:
    """Returns all sets, P(S | heard, given) and P(any given | S), each set written out as the docstring has it."""
    classes = len(model.share)
    sets = [(), *((one,) for one in range(classes)), *itertools.combinations(range(classes), 2)]
    numbers = np.bincount([len(one) for one in sets], minlength=3)
    moved = clips.context @ model.slopes.T
    weights, any_given = np.zeros((len(clips.given), len(sets))), np.zeros(len(sets))
    for column, one in enumerate(sets):
        rate = np.array(model.false if one else model.lost)
        rate[list(one)] = model.kept[list(one)]
        any_given[column] = 1 - np.prod(1 - rate)
        said = np.prod(np.where(clips.given > 0, rate, 1 - rate), axis=1) / any_given[column]
        weight = np.full(len(said), model.size[len(one)] / numbers[len(one)]) * said
        weight *= np.exp(sum(clips.heard_odds[:, c] + moved[:, 1 + c] for c in one) if one else moved[:, 0])
        weights[:, column] = weight * np.prod(model.share[list(one)] * classes)
    return sets, weights / weights.sum(axis=1, keepdims=True), any_given


def random_case(classes: int, clips: int = 40) -> tuple[Clips, labelsets.LabelModel]:
    rng = np.random.default_rng(classes)
    given = (rng.random((clips, classes)) < 1.5 / classes).astype(float)
    model = labelsets.LabelModel(
        rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(classes)), rng.uniform(0.2, 0.9, classes),
        rng.uniform(0.01, 0.1, classes), rng.uniform(0.01, 0.2, classes), rng.normal(0, 0.3, (1 + classes, 2)),
    )  # fmt: skip
    return Clips(rng.normal(-3, 4, given.shape), given, rng.normal(size=(clips, 2))), model


@pytest.mark.parametrize("classes", [1, 2, 3, 9])
def test_no_set_is_forgotten(classes: int) -> None:
    """Beliefs, confusions and a step of the fit are those of all sets written out."""
    clips, model = random_case(classes)
    sets, posterior, any_given = enumerated(clips, model)
    member = np.array([[c in one for c in range(classes)] for one in sets], dtype=float)
    belief = labelsets.believe(clips, model)
    np.testing.assert_allclose(belief.present, posterior @ member, atol=1e-12)
    np.testing.assert_allclose(belief.empty, posterior[:, 0], atol=1e-12)
    expected = np.einsum("ng,ns,sg,st->gt", clips.given, posterior, 1 - member, member)
    np.testing.assert_allclose(
        labelsets.confusions(clips, model), expected * (1 - np.eye(classes)), rtol=1e-9, atol=1e-12
    )
    improved = labelsets.fit(clips, model, shrinkage=Shrinkage(rates_clips=1e-12), steps=1)
    whole = (posterior / any_given).sum(axis=0)
    given_and = np.einsum("ng,ns->gs", clips.given, posterior)
    some = np.array([bool(one) for one in sets])
    np.testing.assert_allclose(improved.kept, np.clip((given_and * member.T).sum(1) / (whole @ member), 1e-5, 0.995))
    np.testing.assert_allclose(improved.lost, np.clip(given_and[:, 0] / whole[0], 1e-5, 0.9))
    if classes > 1:
        absent = (1 - member) * some[:, None]
        np.testing.assert_allclose(improved.false, np.clip((given_and * absent.T).sum(1) / (whole @ absent), 1e-5, 0.5))


def test_pairs_that_weigh_alike_need_no_product_of_matrices() -> None:
    factor = np.exp(np.random.default_rng(0).normal(0, 8, (50, 30)))
    factor[0] = 0.0
    factor[0, 3] = 1.0  # one class is all there is: no pair weighs less than nothing
    alike = labelsets._paired(factor, 0.25)
    np.testing.assert_allclose(alike, labelsets._paired(factor, 0.25 * (1 - np.eye(30))), rtol=1e-6)
    assert (alike >= 0).all()


def test_many_classes_are_no_matter() -> None:
    """1,000 classes have half a million sets; the ear is right of clips of one class, of two, and of none."""
    heard = np.full((3, 1000), -12.0)
    heard[0, 3] = heard[1, [5, 999]] = 30.0
    belief = labelsets.believe(Clips(heard, np.eye(3, 1000), np.zeros((3, 0))), labelsets.begin(1000))
    assert [set(np.flatnonzero(row > 0.9)) for row in belief.present] == [{3}, {5, 999}, set()]
    assert belief.empty[2] > 0.9


def test_rates_are_found_without_the_truth() -> None:
    clips, truth = simulated(3000, 8, kept=0.6, empty=0.3)
    model = labelsets.fit(clips, labelsets.begin(8, contexts=1), shrinkage=Shrinkage())
    assert model.kept.mean() == pytest.approx(0.6, abs=0.05)
    assert model.lost[:2].mean() == pytest.approx(0.5, abs=0.08) and model.lost[2:].max() < 0.1
    belief = labelsets.believe(clips, model)
    assert belief.empty.mean() == pytest.approx((truth.sum(axis=1) == 0).mean(), abs=0.05)
    assert model.slopes[0, 0] > 0.8


def test_labels_help_the_ear_and_the_ear_the_labels() -> None:
    clips, truth = simulated(3000, 8, kept=0.6, empty=0.3)
    model = labelsets.fit(clips, labelsets.begin(8, contexts=1), shrinkage=Shrinkage())
    belief = labelsets.believe(clips, model).present
    deaf = labelsets.believe(clips._replace(heard_odds=np.zeros_like(clips.heard_odds)), model).present
    unread = 1 / (1 + np.exp(-(clips.heard_odds + np.log(0.1))))

    def brier(p: np.ndarray) -> float:
        return float(((p - truth) ** 2).mean())

    assert brier(belief) < 0.7 * min(brier(deaf), brier(unread))


def test_confusions_are_counted() -> None:
    """Class 2 is always called 3: the strongest confusion of given 3 is true 2, in about as many clips as there are."""
    clips, truth = simulated(2000, 5, kept=1.0, empty=0.05)
    swapped = truth[:, 2] > 0
    given = clips.given.copy()
    given[swapped] = np.eye(5)[3]
    clips = clips._replace(given=given)
    model = labelsets.fit(clips, labelsets.begin(5, contexts=1), shrinkage=Shrinkage())
    found = labelsets.confusions(clips, model)
    assert found[3].argmax() == 2
    assert found[3, 2] == pytest.approx(swapped.sum(), rel=0.25)
    assert (np.diag(found) == 0).all()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clips, _ = simulated(200, 6, kept=0.6, empty=0.3)
    whole = labelsets.fit(clips, labelsets.begin(6, contexts=1), shrinkage=Shrinkage(), steps=3)
    monkeypatch.setattr(labelsets, "_BLOCK_ENTRIES", 500)
    parts = labelsets.fit(clips, labelsets.begin(6, contexts=1), shrinkage=Shrinkage(), steps=3)
    np.testing.assert_allclose(whole.kept, parts.kept, rtol=1e-4)
    np.testing.assert_allclose(
        labelsets.believe(clips, whole).present, labelsets.believe(clips, parts).present, atol=1e-4
    )


def test_a_single_class_is_enough() -> None:
    clips = Clips(np.array([[2.0], [-2.0]]), np.array([[1.0], [1.0]]), np.zeros((2, 0)))
    belief = labelsets.believe(clips, labelsets.begin(1))
    assert np.isfinite(belief.present).all() and belief.present[0, 0] > belief.present[1, 0]
