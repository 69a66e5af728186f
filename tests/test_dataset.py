"""Clips and the recordings they were cut from."""

from pathlib import Path

from earwitness.dataset import Clip, groups_by_recording, leaks


def clip(fname: str, *recordings: str, role: str = "curated") -> Clip:
    return Clip(fname, ("Bark",), Path(fname), role, recordings=recordings)


def partition(*clips: Clip) -> list[str]:
    """The names of the clips of each group, joined."""
    found: dict[int, str] = {}
    for one, group in zip(clips, groups_by_recording(clips), strict=True):
        found[group] = found.get(group, "") + one.fname
    return sorted(found.values())


def test_clips_that_share_a_recording_are_one_group() -> None:
    assert partition(clip("a", "1"), clip("b", "2"), clip("c", "1"), clip("d"), clip("e")) == ["ac", "b", "d", "e"]
    assert groups_by_recording([]) == []
    known = [clip("a", "1"), clip("b"), clip("c", "1"), clip("d")]
    groups = groups_by_recording(known, alike=[(1, 2)])
    assert groups[0] == groups[1] == groups[2] != groups[3], "b is c's recording, which is a's"


def test_a_clip_of_two_recordings_joins_the_groups_of_both() -> None:
    clips = [clip("a", "1"), clip("b", "2"), clip("c", "3"), clip("d", "3", "1"), clip("e", "2", "4"), clip("f", "4")]
    assert partition(*clips) == ["acd", "bef"]
    assert partition(*reversed(clips)) == ["dca", "feb"]


def test_a_long_chain_is_one_group() -> None:
    assert len(set(groups_by_recording([clip(str(n), str(n), str(n + 1)) for n in range(5000)]))) == 1


def test_leaks_are_recordings_of_the_test_set_that_are_learnt_from() -> None:
    noisy, test = clip("n", "2", "3", role="noisy"), clip("t", "1", "3", role="test")
    curated = clip("c", "1")
    clips = [clip("x"), curated, clip("d", "1"), noisy, test, clip("u", "9", role="test"), clip("y", role="test")]
    assert leaks(clips) == (("1", curated, test), ("3", noisy, test))
    assert leaks([curated, noisy]) == ()


def test_a_file_in_two_rows_is_one_recording() -> None:
    learnt, test = clip("a"), clip("a", role="test")
    assert leaks([learnt, clip("b"), test]) == ((str(learnt.path), learnt, test),)
    assert len(set(groups_by_recording([learnt, clip("b"), learnt]))) == 2
