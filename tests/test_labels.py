"""Vocabulary: names to rows and back, and errors that name the nearest known name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earwitness.errors import TableError
from earwitness.labels import Vocabulary, misspelt

THREE = Vocabulary(("Bark", "Meow", "Bathtub_(filling_or_washing)"))


def test_positions_and_length():
    assert len(THREE) == 3
    assert [THREE.index(name) for name in THREE.names] == [0, 1, 2]
    assert "Meow" in THREE
    assert "Moo" not in THREE


def test_encode():
    row = THREE.encode(["Meow", "Bark", "Meow"])
    assert row.dtype == np.float32
    np.testing.assert_array_equal(row, [1, 1, 0])
    np.testing.assert_array_equal(THREE.encode([]), [0, 0, 0])


def test_encode_all():
    rows = THREE.encode_all([("Bark",), (), ("Meow", "Bark")])
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, [[1, 0, 0], [0, 0, 0], [1, 1, 0]])
    assert THREE.encode_all([]).shape == (0, 3)


def test_decode_takes_a_row_of_another_kind_but_not_of_another_length():
    assert THREE.decode([0, 1, 1]) == ("Meow", "Bathtub_(filling_or_washing)")
    assert THREE.decode(np.array([True, False, False])) == ("Bark",)
    with pytest.raises(ValueError, match=r"shape \(3,\), not \(6,\)"):
        THREE.decode(np.zeros(6))


@given(st.sets(st.sampled_from(THREE.names)))
def test_decode_undoes_encode(labels):
    assert set(THREE.decode(THREE.encode(labels))) == labels


def test_doubled_names_keep_the_order():
    doubled = THREE.doubled()
    assert len(set(doubled)) == 6
    assert doubled[:3] == THREE.names
    assert doubled[3] == "Bark_reversed"
    assert Vocabulary(doubled).index("Meow_reversed") == THREE.index("Meow") + 3


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("Brak", "Bark"),
        ("MEOW", "Meow"),
        ("Bathtub", "Bathtub_(filling_or_washing)"),
        ("", "Bark"),
        ("Ж", "Bark"),
    ],
)
def test_unknown_label_names_the_nearest(wrong, nearest):
    with pytest.raises(TableError, match="unknown label") as caught:
        THREE.index(wrong)
    if wrong and wrong.isascii():
        assert f"nearest known is {nearest!r}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_label_says_where():
    with pytest.raises(TableError, match=r"^clips\.csv line 7, labels: unknown label 'Moo'"):
        THREE.encode(["Bark", "Moo"], where="clips.csv line 7, labels")


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (("Bark", "Meow", "Bark"), "'Bark' stands twice"),
        (("Bark", " "), "name 1 .* blank"),
        ((), "empty"),
    ],
)
def test_refuses_names_that_cannot_be_columns(names, complaint):
    with pytest.raises(TableError, match=complaint):
        Vocabulary(names)


def test_from_labels_is_sorted_and_unique():
    vocabulary = Vocabulary.from_labels([("b", "a"), (), ("Z", "a")])
    assert vocabulary.names == ("Z", "a", "b")


def test_equal_names_make_equal_vocabularies():
    THREE.index("Bark")  # what it remembers of this must not count
    assert Vocabulary(THREE.names) == THREE
    assert hash(Vocabulary(THREE.names)) == hash(THREE)


@pytest.mark.parametrize(
    ("rare", "other"),
    [
        ("Knok", "Knock"), ("Konck", "Knock"), ("knokc", "Knock"), ("Bas_drum", "Bass drum"), ("Hihat", "Hi-hat"),
        ("Barks", "Bark"), ("Bushes", "Bush"), ("Acoustic_gitar", "Acoustic_guitar"),
    ],
)  # fmt: skip
def test_a_name_that_may_be_another_misspelt(rare, other):
    assert misspelt({other: 40, "Purr": 9, rare: 2}) == [(rare, other)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Take 12", "Take 13"), ("Bark2", "Bark"), ("Male_speech", "Female_speech"), ("Parus_major", "Parus_minor"),
        ("Bark", "Park"), ("Call type a", "Call type b"), ("bark", "Bark"), ("Car_door", "Cat_door"),
    ],
)  # fmt: skip
def test_names_that_are_no_misspelling(one, other):
    assert misspelt({one: 1, other: 40}) == misspelt({one: 40, other: 1}) == []


def test_names_as_frequent_as_each_other_are_two_classes_but_for_a_plural():
    assert misspelt({"Rain": 40, "Train": 20, "Crow": 9, "Crows": 9}) == [("Crow", "Crows")]


def test_a_thousand_names_are_compared_soon():
    assert misspelt({f"Species name {number}": 1 + number % 5 for number in range(1000)}) == []


def test_names_that_look_alike():
    names = ("Hi-hat", "hi hat", "Bark", "Ma\u0308use", "M\u00e4use", "Hi_Hat ", "Barks", "Purr", "Purr?")
    alike = (("Hi-hat", "hi hat", "Hi_Hat "), ("Ma\u0308use", "M\u00e4use"), ("Purr", "Purr?"))
    assert Vocabulary(names).alike() == alike
    assert THREE.alike() == ()
