"""Tables: every layout read, every kind of wrong row or table met with a line that helps, scores kept to the bit."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from earwitness.errors import TableError
from earwitness.labels import Vocabulary
from earwitness.tables import (
    Clip,
    csv_text,
    read_dataset,
    read_rows,
    read_scores,
    write_csv,
    write_scores,
)

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
TWO = Vocabulary(("Bark", "Meow"))


def shared(name):
    if not (DATA / name).is_dir():
        pytest.skip(f"{DATA / name} is absent")
    return DATA / name


def put(root, files):
    """Write `files` (name -> content) under `root`."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def kaggle(root, **changes):
    """A dataset in FSDKaggle2019's layout: two curated clips, one noisy, one of the test set; `None` removes."""
    files = {
        "train_curated.csv": 'fname,labels\na.wav,Bark\nb.wav,"Bark,Meow"\n',
        "train_curated/a.wav": "",
        "train_curated/b.wav": "",
        "train_noisy.csv": "fname,labels\na.wav,Meow\n",
        "train_noisy/a.wav": "",
        "test_post_competition.csv": "fname,labels,usage,license\nt.wav,Meow,Private,CC0\n",
        "test/t.wav": "",
        "vocabulary.csv": "0,Meow\n1,Bark\n",
    }
    files |= {name.replace("__", "/").replace("_csv", ".csv"): content for name, content in changes.items()}
    return put(root, {name: content for name, content in files.items() if content is not None})


def only_problem(dataset):
    (problem,) = dataset.problems
    assert "\n" not in problem.what
    return problem


# --- FSDKaggle2019's layout ---


def test_kaggle_layout(tmp_path):
    dataset = read_dataset(kaggle(tmp_path))
    assert dataset.root == tmp_path
    assert dataset.vocabulary.names == ("Meow", "Bark")
    assert dataset.problems == ()
    assert dataset.clips == (
        Clip("a.wav", ("Bark",), tmp_path / "train_curated" / "a.wav", "curated", None),
        Clip("b.wav", ("Bark", "Meow"), tmp_path / "train_curated" / "b.wav", "curated", None),
        Clip("a.wav", ("Meow",), tmp_path / "train_noisy" / "a.wav", "noisy", None),
        Clip("t.wav", ("Meow",), tmp_path / "test" / "t.wav", "test", "Private"),
    )
    assert [clip.fname for clip in dataset.by_role("curated")] == ["a.wav", "b.wav"]


def test_any_one_table_is_enough(tmp_path):
    dataset = read_dataset(kaggle(tmp_path, train_noisy_csv=None, train_curated_csv=None))
    assert {clip.role for clip in dataset.clips} == {"test"}


def test_names_of_the_post_competition_tables(tmp_path):
    table = "fname,labels,freesound_id,license\na.wav,Bark,1,CC0\n"
    root = kaggle(tmp_path, train_curated_csv=None, train_curated_post_competition_csv=table)
    assert read_dataset(root).by_role("curated")[0].labels == ("Bark",)


def test_folders_as_zenodo_unpacks_them(tmp_path):
    put(
        tmp_path,
        {
            "FSDKaggle2019.meta/train_curated_post_competition.csv": "fname,labels\na.wav,Bark\n",
            "FSDKaggle2019.meta/vocabulary.csv": "0,Bark\n1,Meow\n",
            "FSDKaggle2019.audio_train_curated/a.wav": "",
        },
    )
    dataset = read_dataset(tmp_path)
    assert dataset.vocabulary == TWO
    assert dataset.clips[0].path == tmp_path / "FSDKaggle2019.audio_train_curated" / "a.wav"


def test_vocabulary_from_the_sample_submission_else_from_the_labels(tmp_path):
    root = kaggle(tmp_path, vocabulary_csv=None)
    assert read_dataset(root).vocabulary.names == ("Bark", "Meow")
    put(root, {"sample_submission.csv": "fname,Purr,Meow,Bark\nx.wav,0,0,0\n"})
    assert read_dataset(root).vocabulary.names == ("Purr", "Meow", "Bark")


@pytest.mark.parametrize("on_disk", ["a.flac", "a.OGG", "a.wav.mp3"])
def test_file_with_another_suffix_is_found(tmp_path, on_disk):
    root = kaggle(tmp_path, train_noisy__a_wav=None)
    (root / "train_noisy" / "a.wav").rename(root / "train_noisy" / on_disk)
    put(root, {"train_noisy/a.txt": "", "train_noisy/a.json": ""})
    (clip,) = read_dataset(root).by_role("noisy")
    assert (clip.fname, clip.path.name) == ("a.wav", on_disk)


def test_exact_name_wins_and_any_is_taken_exactly(tmp_path):
    root = kaggle(tmp_path, train_noisy_csv="fname,labels\na.wav,Meow\nodd.xyz,Meow\nbare,Bark\nt.2,Bark\n")
    put(root, {f"train_noisy/{name}": "" for name in ("a.aiff", "odd.xyz", "bare.wav", "t.2.wav", "t.wav")})
    found = [clip.path.name for clip in read_dataset(root).by_role("noisy")]
    assert found == ["a.wav", "odd.xyz", "bare.wav", "t.2.wav"]


@pytest.mark.parametrize(
    ("vocabulary", "complaint"),
    [
        ("0,Bark\n2,Meow\n", r"vocabulary\.csv line 2: expected '1,name', found '2,Meow'"),
        ("index,name\n0,Bark\n", r"vocabulary\.csv line 1: expected '0,name'"),
        ("0,Bark\n1,Bark\n", r"vocabulary\.csv: 'Bark' stands twice"),
        ("0\n", r"line 1: expected '0,name', found '0'"),
        ("", r"vocabulary\.csv: the vocabulary is empty"),
    ],
)
def test_vocabulary_that_is_none(tmp_path, vocabulary, complaint):
    with pytest.raises(TableError, match=complaint):
        read_dataset(kaggle(tmp_path, vocabulary_csv=vocabulary))


# --- one CSV ---


def test_csv_with_splits(tmp_path):
    table = (
        "split,fname,ignored,labels\n"
        "train,a.wav,1, Bark ; Meow;Bark \n"
        "Noisy,sub/b.wav,2,Meow\n"
        'test,c.wav,3,"Meow, Bark"\n'
        ",d.wav,4,Bark\n"
    )
    root = put(tmp_path, {"clips.csv": table, "a.wav": "", "sub/b.wav": "", "c.wav": "", "d.wav": ""})
    dataset = read_dataset(root / "clips.csv")
    assert [clip.role for clip in dataset.clips] == ["curated", "noisy", "test", "curated"]
    assert [clip.labels for clip in dataset.clips] == [("Bark", "Meow"), ("Meow",), ("Meow", "Bark"), ("Bark",)]
    assert dataset.clips[1].path == root / "sub" / "b.wav"
    assert dataset.vocabulary == TWO
    assert read_dataset(str(root)) == dataset


def test_csv_with_absolute_names_elsewhere(tmp_path):
    put(tmp_path, {"sounds/a.wav": ""})
    put(tmp_path, {"lists/clips.csv": f"fname,labels\n{tmp_path / 'sounds' / 'a.wav'},Bark\n"})
    (clip,) = read_dataset(tmp_path / "lists").clips
    assert clip.path == tmp_path / "sounds" / "a.wav"


def test_vocabulary_beside_a_csv_and_other_tables_around_it(tmp_path):
    files = {"clips.csv": "fname,labels\na.wav,Bark\n", "a.wav": "", "vocabulary.csv": "0,Meow\n1,Bark\n"}
    dataset = read_dataset(put(tmp_path, files | {"notes.csv": "who,what\n", "broken.csv": b"\xff\xfe"}))
    assert dataset.vocabulary.names == ("Meow", "Bark")


def test_relative_path_yields_absolute_clips(tmp_path, monkeypatch):
    put(tmp_path, {"d/clips.csv": "fname,labels\na.wav,Bark\n", "d/a.wav": ""})
    monkeypatch.chdir(tmp_path)
    assert read_dataset("d").clips[0].path == tmp_path / "d" / "a.wav"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_byte_order_mark_line_ends_blank_lines_and_padding(tmp_path, encoding, line_end):
    lines = [" fname , labels", "", 'é.wav, " Bark , Meow ",,', ",", "b.wav,Meow", ""]
    table = line_end.join(lines).encode(encoding)
    dataset = read_dataset(put(tmp_path, {"clips.csv": table, "é.wav": "", "b.wav": ""}))
    assert [(clip.fname, clip.labels) for clip in dataset.clips] == [
        ("é.wav", ("Bark", "Meow")),
        ("b.wav", ("Meow",)),
    ]
    assert dataset.problems == ()


# --- what is wrong about one clip ---


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("gone.wav,Bark", "line 3, fname: no sound file gone.wav in "),
        ("b.wav,", "line 3, labels: no label"),
        ("b.wav,;", "line 3, labels: no label"),
        (",Bark", "line 3, fname: no file name"),
        ("b.wav,Bark;Mow", "line 3, labels: unknown label 'Mow', the nearest known is 'Meow'"),
        ("a.wav,Meow", "line 3, fname: a.wav was named before ("),
        ("a.flac,Meow", "line 3, fname: a.flac was named before ("),
        ("b.wav,Bark,Meow", "line 3: 3 cells under a header of 2"),
        ("b.wav", "line 3: 1 cells under a header of 2"),
    ],
)
def test_bad_row_is_a_problem_and_the_rest_go_on(tmp_path, row, what):
    table = f"fname,labels\na.wav,Bark\n{row}\nc.wav,Meow\n"
    dataset = read_dataset(kaggle(tmp_path, train_curated_csv=table))
    assert [clip.fname for clip in dataset.by_role("curated")] == ["a.wav"]
    bad, missing = dataset.problems
    assert bad.what.startswith(f"{tmp_path / 'train_curated.csv'} {what}")
    assert "\n" not in bad.what
    assert (bad.fname, bad.role) == (row.split(",")[0], "curated")
    assert missing.fname == "c.wav"
    assert missing.path == tmp_path / "train_curated" / "c.wav"


def test_line_numbers_are_those_of_the_file(tmp_path):
    table = 'fname,labels,note\na.wav,Bark,"two\nlines"\n\nx.wav,Bark,"three\n\nlines"\n'
    dataset = read_dataset(put(tmp_path, {"clips.csv": table, "a.wav": ""}))
    assert f"{tmp_path / 'clips.csv'} line 5, fname" in only_problem(dataset).what


def test_same_file_in_two_roles_is_no_problem_and_a_second_try_counts(tmp_path):
    table = "fname,labels,split\na.wav,Bark,curated\na.wav,Bark,test\nb.wav,,test\nb.wav,Bark,test\n"
    dataset = read_dataset(put(tmp_path, {"clips.csv": table, "a.wav": "", "b.wav": ""}))
    assert [(clip.fname, clip.role) for clip in dataset.clips] == [
        ("a.wav", "curated"),
        ("a.wav", "test"),
        ("b.wav", "test"),
    ]
    assert "line 4, labels" in only_problem(dataset).what


def test_slipped_cells_give_neither_role_nor_class(tmp_path):
    table = "fname,labels,split\na.wav,Bark,noisy\nb.wav,Oops,Meow,test\n"
    dataset = read_dataset(put(tmp_path, {"clips.csv": table, "a.wav": "", "b.wav": ""}))
    assert dataset.vocabulary.names == ("Bark",)
    assert only_problem(dataset).role == ""


# --- what is wrong about a whole table ---


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("name,labels\na.wav,Bark\n", r"clips\.csv line 1: no column 'fname' among 'name, labels'"),
        ("fname;labels\na.wav;Bark\n", r"no column 'fname' among 'fname;labels'"),
        ("fname,labels,labels\na.wav,Bark,Bark\n", r"more than one column 'labels'"),
        ("", r"clips\.csv: empty"),
        ("fname,labels\n", r"no row of its tables has a label"),
        ("fname,labels\na.wav,\n", r"no row of its tables has a label"),
        ("fname,labels\ngone.wav,Bark\n", r"no usable clip: the first of 1 problems: .*clips\.csv line 2, fname"),
        ("fname,labels,split\na.wav,Bark,dev\n", r"clips\.csv line 2, split: unknown split 'dev': use curated"),
        ('fname,labels\na.wav,"Bark\n', r"clips\.csv line 2: not a CSV"),
        (b"fname,labels\na.wav,B\xe9\n", r"clips\.csv line 2: not UTF-8"),
        ("fname,labels\n".encode("utf-16"), r"clips\.csv line 1: not UTF-8"),
        (b"RIFF\0\0\0\0WAVE", r"clips\.csv: not a CSV"),
    ],
)
def test_table_that_cannot_be_used(tmp_path, table, complaint):
    with pytest.raises(TableError, match=complaint) as caught:
        read_dataset(put(tmp_path, {"clips.csv": table, "a.wav": ""}))
    assert "\n" not in str(caught.value)


def test_header_alone_under_a_stated_vocabulary(tmp_path):
    with pytest.raises(TableError, match="no usable clip: its tables are empty"):
        read_dataset(put(tmp_path, {"clips.csv": "fname,labels\n", "vocabulary.csv": "0,Bark\n"}))


def test_no_dataset_there(tmp_path):
    with pytest.raises(TableError, match="no such file or folder"):
        read_dataset(tmp_path / "nowhere")
    with pytest.raises(TableError, match="no dataset found: it needs train_curated"):
        read_dataset(tmp_path)
    lists = {"one.csv": "fname,labels\n", "two.csv": "fname,labels\n"}
    with pytest.raises(TableError, match=r"more than one clip list \(one\.csv, two\.csv\)"):
        read_dataset(put(tmp_path, lists))


# --- real metadata ---


def test_esc_noisy_is_read_whole():
    dataset = read_dataset(shared("esc-noisy"))
    counts = {role: len(dataset.by_role(role)) for role in ("curated", "noisy", "test")}
    assert counts == {"curated": 395, "noisy": 1822, "test": 400}
    assert len(dataset.vocabulary) == 50
    assert dataset.problems == ()
    assert all(clip.path.is_file() for clip in dataset.clips)


def test_genuine_tables_of_fsdkaggle2019(tmp_path):
    root = tmp_path / "FSDKaggle2019"
    for source in (shared("fsdkaggle2019") / "meta").glob("*.csv"):
        put(root, {f"FSDKaggle2019.meta/{source.name}": source.read_bytes()})
    put(root, {"FSDKaggle2019.audio_test/43023d54.flac": "", "FSDKaggle2019.audio_test/44044585.wav": ""})
    dataset = read_dataset(root)
    assert [(clip.fname, clip.labels) for clip in sorted(dataset.clips, key=lambda clip: clip.fname)] == [
        ("43023d54.wav", ("Stream",)),
        ("44044585.wav", ("Applause", "Crowd", "Cheering")),
    ]
    assert len(dataset.problems) == 4970 + 19815 + 4481 - 2
    assert all("fname: no sound file" in problem.what for problem in dataset.problems)
    assert len(dataset.vocabulary) == 80


# --- CSV out, and in again ---


def test_csv_round_trip(tmp_path):
    rows = [("é, x", 1.5, None), ('"', "two\nlines", "")]
    write_csv(tmp_path / "t.csv", ("a", "b", "c"), iter(rows))
    assert (tmp_path / "t.csv").read_bytes().decode() == csv_text(("a", "b", "c"), rows)
    assert read_rows(tmp_path / "t.csv", ("a", "c")) == [
        {"a": "é, x", "b": "1.5", "c": ""},
        {"a": '"', "b": "two\nlines", "c": ""},
    ]


def test_failing_rows_leave_the_old_table(tmp_path):
    write_csv(tmp_path / "t.csv", ("a",), [("old",)])
    with pytest.raises(ZeroDivisionError):
        write_csv(tmp_path / "t.csv", ("a",), ((1 / n,) for n in (1, 0)))
    assert (tmp_path / "t.csv").read_text() == "a\nold\n"


def test_read_rows_wants_its_columns_and_whole_rows(tmp_path):
    put(tmp_path, {"t.csv": "a,b\n1,2\n3\n"})
    with pytest.raises(TableError, match="no column 'c'"):
        read_rows(tmp_path / "t.csv", ("a", "c"))
    with pytest.raises(TableError, match=r"t\.csv line 3: 1 cells under a header of 2"):
        read_rows(tmp_path / "t.csv", ("a",))


# --- scores ---


@given(
    scores=hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        st.tuples(st.integers(1, 5), st.just(2)),
        elements={"allow_nan": False, "allow_infinity": False},
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_scores_survive_to_the_bit(tmp_path, scores):
    fnames = tuple(f"{row}.wav" for row in range(len(scores)))
    write_scores(tmp_path / "s.csv", fnames, scores, TWO)
    found_fnames, found, names = read_scores(tmp_path / "s.csv", TWO)
    assert (found_fnames, names) == (fnames, TWO.names)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found.astype(scores.dtype), scores)
    np.testing.assert_array_equal(np.argsort(found.ravel(), kind="stable"), np.argsort(scores.ravel(), kind="stable"))


def test_submission_form(tmp_path):
    write_scores(tmp_path / "s.csv", ["a.wav"], np.array([[0.1, 1e-7]], dtype=np.float32), TWO)
    assert (tmp_path / "s.csv").read_text() == "fname,Bark,Meow\na.wav,0.1,1e-07\n"


def test_scores_that_cannot_be_written(tmp_path):
    with pytest.raises(ValueError, match=r"scores \(1, 3\) for 1 clips and 2 classes"):
        write_scores(tmp_path / "s.csv", ["a.wav"], np.zeros((1, 3)), TWO)
    with pytest.raises(ValueError, match=r"score of a\.wav for Meow is nan"):
        write_scores(tmp_path / "s.csv", ["a.wav"], np.array([[0, np.nan]]), TWO)
    assert not (tmp_path / "s.csv").exists()


def test_columns_are_put_in_vocabulary_order(tmp_path):
    path = put(tmp_path, {"s.csv": "fname,Meow,Bark\na.wav,1,2,\nb.wav,3,4\n"}) / "s.csv"
    fnames, scores, names = read_scores(path)
    assert (fnames, names) == (("a.wav", "b.wav"), ("Meow", "Bark"))
    np.testing.assert_array_equal(scores, [[1, 2], [3, 4]])
    _, scores, names = read_scores(path, TWO)
    assert names == TWO.names
    np.testing.assert_array_equal(scores, [[2, 1], [4, 3]])


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("fname,Bark,Meow\na.wav,0.1,much\n", r"s\.csv line 2, Meow: 'much' is not a finite number"),
        ("fname,Bark,Meow\na.wav,0.1,nan\n", r"line 2, Meow: 'nan' is not a finite number"),
        ("fname,Bark,Meow\na.wav,inf,0\n", r"line 2, Bark: 'inf' is not a finite number"),
        ("fname,Bark,Meow\na.wav,0.1,\n", r"line 2, Meow: '' is not a finite number"),
        ("fname,Bark,Meow\na.wav,0.1\n", r"line 2: 2 cells under a header of 3"),
        ("fname,Bark,Meow\na.wav,1,2,3\n", r"line 2: 4 cells under a header of 3"),
        ("fname,Bark,Meow\na.wav,1,2\n\na.wav,1,2\n", r"line 4, fname: a\.wav has a row already"),
        ("fname,Bark,Meow\n,1,2\n", r"line 2, fname: no file name"),
        ("fname,Bark,Bark\na.wav,1,2\n", r"'Bark' stands twice"),
        ("fname,Bark\na.wav,1\n", r"line 1: no column for Meow \(1 missing\)"),
        ("fname,Bark,Moew\na.wav,1,2\n", r"line 1: unknown label 'Moew', the nearest known is 'Meow'"),
        ("name,Bark,Meow\na.wav,1,2\n", r"line 1: the first column is 'name': it must be fname"),
        ("fname\na.wav\n", r"the vocabulary is empty"),
        ("fname,Bark,Meow\n", r"no rows under the header"),
        ("", r"s\.csv: empty"),
    ],
)
def test_scores_that_cannot_be_read(tmp_path, table, complaint):
    with pytest.raises(TableError, match=complaint) as caught:
        read_scores(put(tmp_path, {"s.csv": table}) / "s.csv", TWO)
    assert "\n" not in str(caught.value)


def test_scores_that_are_not_there(tmp_path):
    with pytest.raises(TableError, match=r"nowhere\.csv: cannot be read"):
        read_scores(tmp_path / "nowhere.csv")
