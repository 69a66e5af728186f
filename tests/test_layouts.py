"""Layouts: every one recognised by its tables and read right; bad rows and tables met with a line that helps."""

import os
import sys
from collections import Counter
from pathlib import Path

import openpyxl
import pytest

from earwitness.dataset import Clip
from earwitness.errors import TableError
from earwitness.labels import Vocabulary
from earwitness.layouts import LAYOUTS, read_dataset

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


def test_layouts_are_called_what_the_document_calls_them():
    lines = (Path(__file__).parents[1] / "docs" / "data.md").read_text("utf-8").splitlines()
    first = lines.index("| Layout | Tables that tell it | Curated | Noisy | Test |") + 2
    named = [line.split("|")[1].strip() for line in lines[first : first + 8]]
    assert named == list(dict.fromkeys(name for name, _ in LAYOUTS))


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
        ('0,"Owl, barn"\n', r"vocabulary\.csv: the class 'Owl, barn' holds a comma, .* write its name without"),
        ('0,"Owl\nbarn"\n', r"vocabulary\.csv: the class 'Owl\\nbarn' holds a comma, a semicolon or a line end"),
        ("0,Owl;barn\n", r"vocabulary\.csv: the class 'Owl;barn' holds a comma, a semicolon or a line end"),
    ],
)
def test_vocabulary_that_is_none(tmp_path, vocabulary, complaint):
    with pytest.raises(TableError, match=complaint):
        read_dataset(kaggle(tmp_path, vocabulary_csv=vocabulary))


def test_a_test_table_of_any_name_counts_beside_the_others_alone(tmp_path):
    root = kaggle(tmp_path, test_post_competition_csv=None, test_csv="fname,labels,usage\nt.wav,Meow,Public\n")
    assert read_dataset(root).by_role("test")[0].usage == "Public"
    put(root, {"test.csv": "fname,note\nt.wav,heard\n"})
    assert not read_dataset(root).by_role("test")
    alone = put(tmp_path / "alone", {"test.csv": "fname,labels\na.wav,Bark\n", "a.wav": ""})
    assert read_dataset(alone).by_role("curated")[0].path == alone / "a.wav"


KNOWN_BAD = ("1d44b0bd", "6a1f682a", "7752cc8a", "77b925c2", "c7db12aa", "f76181c4")


def test_clips_that_the_authors_name_as_wrong(tmp_path):
    table = "fname,labels\na.wav,Bark\n1d44b0bd.wav,Bark\n77b925c2.wav,Meow\n"
    noisy = "fname,labels\na.wav,Meow\n6a1f682a.wav,Meow\n"
    root = kaggle(tmp_path, train_curated_csv=table, train_noisy_csv=noisy)
    put(root, {"train_curated/1d44b0bd.wav": "", "train_curated/77b925c2.flac": "", "train_noisy/6a1f682a.wav": ""})
    dataset = read_dataset(root)
    assert [(bad.fname, bad.role) for bad in dataset.known_bad] == [
        ("1d44b0bd.wav", "curated"),
        ("77b925c2.wav", "curated"),
    ]
    assert "holds no signal" in dataset.known_bad[0].what and "README" in dataset.known_bad[0].what
    assert "label is that of another file" in dataset.known_bad[1].what
    assert {clip.fname for clip in dataset.by_role("curated")} == {"a.wav", "1d44b0bd.wav", "77b925c2.wav"}
    left = dataset.without_known_bad()
    assert [clip.fname for clip in left.by_role("curated")] == ["a.wav"]
    assert left.left_out == dataset.known_bad
    assert (left.known_bad, left.problems) == ((), ())
    assert len(left.by_role("noisy")) == 2


# --- FSDKaggle2018 ---


def test_fsdkaggle2018_as_zenodo_unpacks_it(tmp_path):
    root = put(
        tmp_path,
        {
            "FSDKaggle2018.meta/train_post_competition.csv": (
                "fname,label,manually_verified,freesound_id,license\n"
                "00044347.wav,Hi-hat,0,28739,Attribution\n001ca53d.wav,Saxophone,1,358827,CC0\n"
            ),
            "FSDKaggle2018.meta/test_post_competition_scoring_clips.csv": (
                "fname,label,usage,freesound_id,license\n00326aa9.wav,Oboe,Private,355125,Attribution\n"
            ),
            "FSDKaggle2018.audio_train/00044347.wav": "",
            "FSDKaggle2018.audio_train/001ca53d.wav": "",
            "FSDKaggle2018.audio_test/00326aa9.wav": "",
        },
    )
    dataset = read_dataset(root)
    train, test = (root / f"FSDKaggle2018.audio_{name}" for name in ("train", "test"))
    assert dataset.clips == (
        Clip("00044347.wav", ("Hi-hat",), train / "00044347.wav", "noisy"),
        Clip("001ca53d.wav", ("Saxophone",), train / "001ca53d.wav", "curated"),
        Clip("00326aa9.wav", ("Oboe",), test / "00326aa9.wav", "test", "Private"),
    )
    assert dataset.vocabulary.names == ("Hi-hat", "Oboe", "Saxophone")


def test_fsdkaggle2018_as_kaggle_gave_it(tmp_path):
    root = put(
        tmp_path,
        {
            "train.csv": "fname,label,manually_verified\n00044347.wav,Hi-hat,0\n001ca53d.wav,Saxophone,1\n",
            "sample_submission.csv": "fname,label\n00063640.wav,Laughter Hi-Hat Flute\n",
            "audio_train/00044347.wav": "",
            "audio_train/001ca53d.wav": "",
            "audio_test/00063640.wav": "",
        },
    )
    dataset = read_dataset(root)
    assert Counter(clip.role for clip in dataset.clips) == {"noisy": 1, "curated": 1}
    assert dataset.vocabulary.names == ("Hi-hat", "Saxophone")


# --- FSDnoisy18k ---


def test_fsdnoisy18k(tmp_path):
    root = put(
        tmp_path,
        {
            "FSDnoisy18k.meta/train.csv": (
                "fname,label,aso_id,manually_verified,noisy_small\n"
                "77.wav,Rain,/m/06mb1,1,0\n5.wav,Fire,/m/02_41,0,1\n9.wav,Rain,/m/06mb1,0,0\n"
            ),
            "FSDnoisy18k.meta/test.csv": "fname,label,aso_id\n3.wav,Wind,/m/03m9d0z\n",
            **{f"FSDnoisy18k.audio_train/{name}.wav": "" for name in (5, 9, 77)},
            "FSDnoisy18k.audio_test/3.wav": "",
        },
    )
    dataset = read_dataset(root)
    assert [(clip.fname, clip.role, clip.labels) for clip in dataset.clips] == [
        ("77.wav", "curated", ("Rain",)),
        ("5.wav", "noisy", ("Fire",)),
        ("9.wav", "noisy", ("Rain",)),
        ("3.wav", "test", ("Wind",)),
    ]
    assert dataset.clips[-1].path == root / "FSDnoisy18k.audio_test" / "3.wav"


def test_a_flag_that_is_neither_0_nor_1(tmp_path):
    table = "fname,label,aso_id,manually_verified,noisy_small\n77.wav,Rain,/m/06mb1,maybe,0\n"
    complaint = r"train\.csv line 2, manually_verified: unknown manually_verified 'maybe': use one of 1, 0"
    with pytest.raises(TableError, match=complaint):  # as it is the only row
        read_dataset(put(tmp_path, {"FSDnoisy18k.meta/train.csv": table}))


# --- FSD50K ---


def test_fsd50k(tmp_path):
    root = put(
        tmp_path,
        {
            "FSD50K.ground_truth/dev.csv": (
                'fname,labels,mids,split\n64760,"Electric_guitar,Music","/m/02sgy,/m/04rlf",train\n'
                "16399,Music,/m/04rlf,val\n"
            ),
            "FSD50K.ground_truth/eval.csv": "fname,labels,mids\n37199,Music,/m/04rlf\n",
            "FSD50K.ground_truth/vocabulary.csv": "0,Electric_guitar,/m/02sgy\n1,Music,/m/04rlf\n2,Rain,/m/06mb1\n",
            "FSD50K.dev_audio/64760.wav": "",
            "FSD50K.dev_audio/16399.wav": "",
            "FSD50K.eval_audio/37199.wav": "",
        },
    )
    dataset = read_dataset(root)
    assert dataset.clips == (
        Clip("64760", ("Electric_guitar", "Music"), root / "FSD50K.dev_audio" / "64760.wav", "curated"),
        Clip("16399", ("Music",), root / "FSD50K.dev_audio" / "16399.wav", "curated"),
        Clip("37199", ("Music",), root / "FSD50K.eval_audio" / "37199.wav", "test"),
    )
    assert dataset.vocabulary.names == ("Electric_guitar", "Music", "Rain")


# --- ESC-50 and UrbanSound8K ---


def esc50(root, fold="5"):
    table = (
        "filename,fold,target,category,esc10,src_file,take\n"
        "1-100032-A-0.wav,1,0,dog,True,100032,A\n"
        f"5-9032-A-0.wav,{fold},14,chirping_birds,False,9032,A\n"
    )
    return put(root, {"meta/esc50.csv": table, "audio/1-100032-A-0.wav": "", "audio/5-9032-A-0.wav": ""})


def test_esc50(tmp_path):
    dataset = read_dataset(esc50(tmp_path))
    assert dataset.clips == (
        Clip("1-100032-A-0.wav", ("dog",), tmp_path / "audio" / "1-100032-A-0.wav", "curated", None, ("100032",)),
        Clip("5-9032-A-0.wav", ("chirping_birds",), tmp_path / "audio" / "5-9032-A-0.wav", "test", None, ("9032",)),
    )
    problem = only_problem(read_dataset(esc50(tmp_path, fold="6")))
    assert "esc50.csv line 3, fold: unknown fold '6': use one of 1, 2, 3, 4, 5" in problem.what


def test_esc50_without_its_sources_has_them_by_name(tmp_path):
    table = "filename,fold,category\n1-100032-A-0.wav,1,dog\nother.wav,2,dog\n"
    put(tmp_path, {"meta/esc50.csv": table, "audio/1-100032-A-0.wav": "", "audio/other.wav": ""})
    assert [clip.recordings for clip in read_dataset(tmp_path).clips] == [("100032",), ()]


def test_problems_name_the_tables_own_columns(tmp_path):
    esc50(tmp_path)
    (tmp_path / "audio" / "5-9032-A-0.wav").unlink()
    assert "esc50.csv line 3, filename: no sound file 5-9032-A-0.wav" in only_problem(read_dataset(tmp_path)).what


def test_urbansound8k(tmp_path):
    root = put(
        tmp_path,
        {
            "metadata/UrbanSound8K.csv": (
                "slice_file_name,fsID,start,end,salience,fold,classID,class\n"
                "100032-3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark\n"
                "100648-1-0-0.wav,100648,4.823402,5.471927,2,10,1,car_horn\n"
            ),
            "audio/fold5/100032-3-0-0.wav": "",
            "audio/fold10/100648-1-0-0.wav": "",
        },
    )
    audio = root / "audio"
    assert read_dataset(root).clips == (
        Clip("100032-3-0-0.wav", ("dog_bark",), audio / "fold5" / "100032-3-0-0.wav", "curated", None, ("100032",)),
        Clip("100648-1-0-0.wav", ("car_horn",), audio / "fold10" / "100648-1-0-0.wav", "test", None, ("100648",)),
    )


def test_a_known_layout_without_rows_is_still_that_layout(tmp_path):
    put(tmp_path, {"meta/esc50.csv": "filename,fold,target,category\n", "Bark/a.wav": ""})
    with pytest.raises(TableError, match="no usable clip: its tables have no rows"):
        read_dataset(tmp_path)


# --- a folder for each class ---


def test_folders_of_classes(tmp_path):
    files = (
        "Bark/a.wav",
        "Bark/b.flac",
        "Bark,Meow/a.wav",
        "Meow/notes.txt",
        "Meow/.hidden.wav",
        ".git/c.wav",
        "Purr/",
    )
    put(tmp_path, {name: "" for name in files if not name.endswith("/")})
    (tmp_path / "Purr").mkdir()
    dataset = read_dataset(tmp_path)
    assert dataset.clips == (
        Clip("Bark/a.wav", ("Bark",), tmp_path / "Bark" / "a.wav", "curated"),
        Clip("Bark/b.flac", ("Bark",), tmp_path / "Bark" / "b.flac", "curated"),
        Clip("Bark,Meow/a.wav", ("Bark", "Meow"), tmp_path / "Bark,Meow" / "a.wav", "curated"),
    )
    assert dataset.vocabulary == TWO


def test_a_folder_of_a_class_that_may_not_be_searched_is_remarked_on(tmp_path, monkeypatch):
    put(tmp_path, {"Bark/a.wav": "", "Meow/a.wav": "", "Purr/a.wav": "", "Purr/deep/b.wav": ""})
    scandir = os.scandir

    def closed(path="."):  # permissions say nothing to root
        if Path(path) == tmp_path / "Purr":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    monkeypatch.setattr(os, "listdir", lambda path=".": [entry.name for entry in closed(path)])
    dataset = read_dataset(tmp_path)
    assert [clip.fname for clip in dataset.clips] == ["Bark/a.wav", "Meow/a.wav"]
    assert dataset.remarks == (f"{tmp_path / 'Purr'}: a folder that may not be searched, so nothing in it is read",)


def test_a_link_that_leads_nowhere_is_a_clip_which_reading_it_refuses(tmp_path):
    put(tmp_path, {"Bark/a.wav": "", "Meow/notes.txt": "", "Purr.wav/a.txt": ""})
    for name, to in {
        "Bark/b.wav": "gone.wav",
        "Meow/a.wav": "../.git/annex/a.wav",
        "Bark/c.wav": "../Purr.wav",
    }.items():
        (tmp_path / name).symlink_to(to)
    names = ["Bark/a.wav", "Bark/b.wav", "Meow/a.wav"]
    assert [clip.fname for clip in read_dataset(tmp_path).clips] == names
    table = "fname,labels\n" + "".join(f"{name},Bark\n" for name in [*names, "Bark/c.wav"])
    dataset = read_dataset(put(tmp_path, {"clips.csv": table}))
    assert [clip.fname for clip in dataset.clips] == names
    assert "no sound file Bark/c.wav" in only_problem(dataset).what


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_text_is_a_problem(tmp_path):
    put(tmp_path, {"Bark/a.wav": "", "Meow/a.wav": ""})
    (tmp_path / "Bark" / os.fsdecode(b"\xff.wav")).write_text("")
    dataset = read_dataset(tmp_path)
    assert [clip.fname for clip in dataset.clips] == ["Bark/a.wav", "Meow/a.wav"]
    (problem,) = dataset.problems
    assert problem.fname == r"Bark/\xff.wav" and r"Bark/\xff.wav is no name in UTF-8" in problem.what
    assert dataset.remarks == ()
    (tmp_path / os.fsdecode(b"\xfe.wav")).write_text("")
    (remark,) = read_dataset(tmp_path).remarks
    assert remark == rf"1 sound file in no class's folder, so not read; the first is {tmp_path}/\xfe.wav"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize(
    ("name", "told"),
    [(b"\xff.wav", r"in no folder, the first \xff.wav:"), (b"a/\xff/b.wav", r"deeper, as a/\xff/b.wav:")],
)
def test_a_name_that_is_no_text_is_told_as_text(tmp_path, name, told):
    path = tmp_path / os.fsdecode(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    with pytest.raises(TableError) as caught:
        read_dataset(tmp_path)
    assert told in str(caught.value)


def test_folders_of_roles_and_classes(tmp_path):
    put(tmp_path, {f"{place}.wav": "" for place in ("Train/Bark/a", "noisy/Meow/a", "test/Bark/a", "docs/Meow/b")})
    assert [(clip.fname, clip.role) for clip in read_dataset(tmp_path).clips] == [
        ("Train/Bark/a.wav", "curated"),
        ("noisy/Meow/a.wav", "noisy"),
        ("test/Bark/a.wav", "test"),
    ]


def test_files_deeper_in_a_class_are_of_that_class(tmp_path):
    put(tmp_path, dict.fromkeys(("Hiss/site1/a.wav", "Hiss/site2/x/a.wav", "Knock/a.wav", "Knock/.b/c.wav"), ""))
    dataset = read_dataset(tmp_path)
    assert [(clip.fname, clip.labels) for clip in dataset.clips] == [
        ("Hiss/site1/a.wav", ("Hiss",)),
        ("Hiss/site2/x/a.wav", ("Hiss",)),
        ("Knock/a.wav", ("Knock",)),
    ]
    what = "2 sound files in folders within those of classes have the label of the outer one; the first is "
    assert dataset.remarks == (f"{what}Hiss/site1/a.wav",)


def test_files_deeper_in_a_class_in_folders_of_roles(tmp_path):
    put(tmp_path, dict.fromkeys(("train/Hiss/a.wav", "train/Hiss/b/a.wav", "test/Hiss/a.wav"), ""))
    dataset = read_dataset(tmp_path)
    assert Counter((clip.role, clip.labels) for clip in dataset.clips) == {
        ("curated", ("Hiss",)): 2,
        ("test", ("Hiss",)): 1,
    }
    assert [remark.partition(" in folders")[0] for remark in dataset.remarks] == ["1 sound file"]


@pytest.mark.parametrize(
    ("names", "seen"),
    [
        (("a.wav", "b.wav"), "; it holds 2 sound files in no folder, the first a.wav: put them in a folder for each"),
        (("site1/Hiss/a.wav", "site1/Knock/b.wav"), "; sound files lie deeper, as site1/Hiss/a.wav: give {}/site1 if"),
    ],
)
def test_what_is_seen_where_no_folder_is_that_of_a_class(tmp_path, names, seen):
    with pytest.raises(TableError) as caught:
        read_dataset(put(tmp_path, dict.fromkeys(names, "")))
    assert seen.format(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_class_may_be_called_test(tmp_path):
    put(tmp_path, {"test/a.wav": "", "Bark/a.wav": ""})
    assert read_dataset(tmp_path).vocabulary.names == ("Bark", "test")


def test_a_clip_list_goes_before_folders_and_these_before_any_other_table(tmp_path):
    root = put(tmp_path, {"Bark/a.wav": "", "notes.csv": "who,what\nme,this\n"})
    assert read_dataset(root).clips[0].labels == ("Bark",)
    put(root, {"clips.csv": "fname,labels\nBark/a.wav,Meow\n"})
    assert read_dataset(root).clips[0].labels == ("Meow",)


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


def test_a_csv_as_spreadsheets_write_it(tmp_path):
    table = "\ufeffFname;Labels;SPLIT;Note\r\na.wav; Bark, Meow ;Noisy;x\r\n;;;\r\nb.wav;Meow;;\r\n"
    root = put(tmp_path, {"clips.csv": table, "Bark/a.wav": "", "a.wav": "", "b.wav": ""})
    dataset = read_dataset(root)
    assert [(clip.fname, clip.role, clip.labels) for clip in dataset.clips] == [
        ("a.wav", "noisy", ("Bark", "Meow")),
        ("b.wav", "curated", ("Meow",)),
    ]
    assert read_dataset(root / "clips.csv") == dataset


def test_a_spreadsheet_is_read_as_the_csv_that_it_would_be_saved_as(tmp_path):
    book = openpyxl.Workbook()
    for row in (["Fname", "LABELS", "split"], [7, "Bark; Meow", "noisy"], [], ["b.wav", "Meow"], [8.0, "Bark", "test"]):
        book.active.append(row)
    book.create_sheet("notes").append(["fname", "labels"])
    root = put(tmp_path, {"7.wav": "", "b.wav": "", "8.wav": "", "~$clips.xlsx": "open"})
    book.save(root / "clips.XLSX")
    dataset = read_dataset(root)
    assert [(clip.fname, clip.role, clip.labels) for clip in dataset.clips] == [
        ("7", "noisy", ("Bark", "Meow")),
        ("b.wav", "curated", ("Meow",)),
        ("8", "test", ("Bark",)),
    ]
    assert read_dataset(root / "clips.XLSX") == dataset
    put(tmp_path, {"clips.csv": "fname,labels\nb.wav,Bark\n"})
    assert [clip.fname for clip in read_dataset(root).clips] == ["b.wav"]  # made from it, and named as ever
    (root / "clips.csv").unlink()
    book.save(root / "more.xlsx")
    with pytest.raises(TableError, match=r"more than one clip list \(clips\.XLSX, more\.xlsx\)"):
        read_dataset(root)


def test_a_row_of_a_spreadsheet_is_named_by_its_number(tmp_path):
    book = openpyxl.Workbook()
    for row in (
        ["fname", "labels", "split"],
        [],
        ["a.wav", "Bark", "maybe"],
        ["b.wav", "Bark", "test", "x"],
        ["c", "M"],
    ):
        book.active.append(row)
    root = put(tmp_path, {"a.wav": "", "b.wav": "", "c.wav": ""})
    book.save(root / "tags.xlsx")
    first, second = read_dataset(root).problems
    assert "tags.xlsx line 3, split: unknown split 'maybe'" in first.what
    assert "tags.xlsx line 4: 4 cells under a header of 3" in second.what


@pytest.mark.parametrize("content", [b"PK", b"", b"fname,labels\na.wav,Bark\n", b"PK\x03\x04" + bytes(60)])
def test_a_damaged_spreadsheet_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "tags.xlsx").write_bytes(content)
    with pytest.raises(
        TableError, match=r"tags\.xlsx: not a spreadsheet \(.+\): save it as \.xlsx, or as CSV"
    ) as caught:
        read_dataset(tmp_path / "tags.xlsx")
    assert "\n" not in str(caught.value)
    with pytest.raises(TableError, match=r"tags\.xlsx: not a spreadsheet"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_unicode_text_as_spreadsheets_write_it(tmp_path, encoding):
    text = "fname\tlabels\r\nM\u00e4use.wav\tBark,Meow\r\n"
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / "clips.csv").write_bytes((mark + text).encode(encoding))
    put(tmp_path, {"M\u00e4use.wav": ""})
    (clip,) = read_dataset(tmp_path).clips
    assert clip.labels == ("Bark", "Meow")


@pytest.mark.parametrize(
    ("written", "there"),
    [
        ("GROSS.wav", "gross.WAV"),
        ("Gross", "gROSS.flac"),
        ("M\u00e4use.wav", "Ma\u0308use.wav"),
        ("Ma\u0308use.mp3", "m\u00e4use.WAV"),
        ("V\u00f6gel\\2019\\a.wav", "Vo\u0308gel/2019/a.wav"),
        ("take.2", "TAKE.2.wav"),
    ],
)
def test_a_file_whose_name_is_spelt_otherwise_on_the_disk(tmp_path, written, there):
    root = put(tmp_path, {"clips.csv": f"fname,labels\n{written},Bark\n", there: ""})
    (clip,) = read_dataset(root).clips
    assert (clip.fname, clip.path) == (written, root / there)


def test_a_name_as_it_is_goes_before_another_spelling_and_two_of_these_are_none(tmp_path):
    put(tmp_path, {"a.wav": "", "A.wav": "", "Bb.wav": "", "bB.wav": ""})
    if len(list(tmp_path.iterdir())) < 4:
        pytest.skip("the disk does not tell letter case")
    table = "fname,labels\nA.wav,Bark\na.WAV,Bark\nBB.wav,Bark\n"
    dataset = read_dataset(put(tmp_path, {"clips.csv": table}))
    assert [clip.path.name for clip in dataset.clips] == ["A.wav", "a.wav"]
    assert "no sound file BB.wav" in only_problem(dataset).what


def test_a_link_that_leads_nowhere_hides_no_other_file(tmp_path):
    root = put(tmp_path, {"clips.csv": "fname,labels\nb.wav,Bark\na.wav,Bark\n", "b.wav": ""})
    (root / "a.wav").symlink_to("a.wav")
    assert [clip.fname for clip in read_dataset(root).clips] == ["b.wav", "a.wav"], "reading a.wav says what is wrong"


@pytest.mark.parametrize(
    ("folder", "why"),
    [("x" * 300, "File name too long"), ("closed/deep", "Permission denied")],
)
def test_a_folder_that_cannot_be_searched_is_the_trouble_of_its_rows(tmp_path, monkeypatch, folder, why):
    scandir, stat = os.scandir, Path.stat

    def refuse(path):  # permissions say nothing to root
        if "closed/" in str(path):
            raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", lambda path: (refuse(path), scandir(path))[1])
    monkeypatch.setattr(Path, "stat", lambda path, **how: (refuse(path), stat(path, **how))[1])
    table = f"fname,labels\n{folder}/a.wav,Bark\nb.wav,Bark\nnone/a.wav,Bark\n"
    dataset = read_dataset(put(tmp_path, {"clips.csv": table, "b.wav": ""}))
    assert [clip.fname for clip in dataset.clips] == ["b.wav"]
    closed, absent = dataset.problems
    assert f"clips.csv line 2, fname: no sound file {folder}/a.wav in" in closed.what
    assert closed.what.endswith(f"; its folder cannot be searched ({why})")
    assert absent.what.endswith("or delete the row")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", " \n\n"])
def test_a_line_end_in_a_cell_separates_labels(tmp_path, end):
    table = f'fname,labels,recording\na.wav,"Bark{end}Meow;Purr","r{end}s"\n'.encode()
    (clip,) = read_dataset(put(tmp_path, {"clips.csv": table, "a.wav": ""})).clips
    assert (clip.labels, clip.recordings) == (("Bark", "Meow", "Purr"), ("r", "s"))


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("['Bark', \"Cow's\"]", ("Bark", "Cow's")),
        ("['Bark']", ("Bark",)),
        ("['Bark, far', 'Meow']", ("Bark", "far", "Meow")),
        ("[Bark, Meow]", ("[Bark", "Meow]")),
        ("[1, 2]", ("[1", "2]")),
        ("['Bark'", ("['Bark'",)),
    ],
)
def test_a_list_as_pandas_writes_it_is_read_as_one(tmp_path, cell, labels):
    quoted = cell.replace('"', '""')
    (clip,) = read_dataset(put(tmp_path, {"clips.csv": f'fname,labels\na.wav,"{quoted}"\n', "a.wav": ""})).clips
    assert clip.labels == labels


def test_a_column_for_each_class(tmp_path):
    table = (
        "Sounds of spring\nfile,start_time,Bark,Meow,Owl,split,note,checked\n"
        "a.wav,0,1,0,0,train,0,0\nb.wav,1,True,1.0,0,noisy,,1\nc.wav,0,0,1,false,noisy,2,1\nd.wav,0,0,,1,,,0\n"
        "e.wav,0,2,1,0,,,0\nf.wav,0,0,0,0,noisy,,\n"
    )
    root = put(tmp_path, {"clips.csv": table, **{f"{one}.wav": "" for one in "abcdef"}})
    dataset = read_dataset(root)
    assert [(clip.labels, clip.role) for clip in dataset.clips] == [
        (("Bark",), "curated"),
        (("Bark", "Meow"), "noisy"),
        (("Meow",), "noisy"),
        (("Owl",), "curated"),
    ]
    assert dataset.vocabulary.names == ("Bark", "Meow", "Owl")
    assert dataset.remarks == (
        "clips.csv: the header is in line 2; what is above is not read",
        "clips.csv: a column for each class, 1 where a clip has it: Bark, Meow, Owl",
        "clips.csv: column 'file' as fname",
        "clips.csv: columns that are not read: start_time, note, checked",
    )
    neither, without = dataset.problems
    assert "clips.csv line 7, Bark: '2' is neither 1 nor 0: write whether the clip has it" in neither.what
    assert "clips.csv line 8, labels: no label" in without.what
    assert read_dataset(root / "clips.csv") == dataset


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ("fname,Bark,Meow\na.wav,0.4,0.6\n", "no column"),  # scores
        ("fname,Bark\na.wav,1\n", "no column"),  # one column may be anything
        ("fname,Bark,Meow\n", "no column"),
        ('fname,"Bark, far",Meow\na.wav,1,0\n', "the class 'Bark, far' holds a comma"),
    ],
)
def test_columns_that_are_no_classes(tmp_path, table, why):
    root = put(tmp_path, {"clips.csv": table, "a.wav": ""})
    with pytest.raises(TableError, match=why):
        read_dataset(root / "clips.csv")


@pytest.mark.parametrize("row", ["b.wav;K\u00e4fer;\r\n".encode("cp1252"), b'b.wav;"Bark\n'], ids=["cp1252", "quote"])
def test_a_clip_list_that_breaks_further_down_is_not_passed_over_for_folders(tmp_path, row):
    table = b"fname;labels;split\r\na.wav;Bark;\r\n" + row
    root = put(tmp_path, {"clips.csv": table, "Birds/a.wav": "", "Beetles/b.wav": ""})
    with pytest.raises(TableError, match=r"clips\.csv line 3: not "):
        read_dataset(root)


def test_rows_of_one_file_are_one_clip_with_the_labels_of_all(tmp_path):
    table = (
        "fname,labels,split,recording,usage\na.wav,Bark,noisy,r,\nb.wav,Meow,,,\nA.WAV,Meow,noisy,s,\n"
        "a.wav,Bark;Purr,noisy,r,\nb.wav,Bark,test,,P\na.flac,Hiss,noisy,,\n"
    )
    dataset = read_dataset(put(tmp_path, {"clips.csv": table, "a.wav": "", "b.wav": ""}))
    assert [(clip.fname, clip.role, clip.labels, clip.recordings) for clip in dataset.clips] == [
        ("a.wav", "noisy", ("Bark", "Meow", "Purr"), ("r", "s")),
        ("b.wav", "curated", ("Meow",), ()),
        ("b.wav", "test", ("Bark",), ()),
    ]
    assert dataset.remarks == ("2 rows of clips that have a row already: a clip has the labels of all its rows",)
    assert "clips.csv line 7, fname: a.flac was named before (" in only_problem(dataset).what


@pytest.mark.parametrize("times", ["Begin Time (s),End Time (s)", "onset,OFFSET", "start_seconds,end_seconds"])
def test_parts_of_files_are_not_read_which_is_said(tmp_path, times):
    table = f"fname,{times},labels\na.wav,0,1,Bark\na.wav,1,2,Meow\n"
    dataset = read_dataset(put(tmp_path, {"clips.csv": table, "a.wav": ""}))
    assert [clip.labels for clip in dataset.clips] == [("Bark", "Meow")]
    (remark, _) = dataset.remarks
    assert remark.startswith(f"clips.csv: parts of files ({times.replace(',', ', ')}) are not read: a label counts for")


def test_columns_by_other_names(tmp_path):
    table = "File Name;SPECIES;Checked;note;Usage\na.wav;Bark;x;;\nb.wav;Meow;;why;\nc.wav;Bark;No;;\nd.wav;Meow;1;;\n"
    root = put(tmp_path, {"clips.csv": table, **{f"{one}.wav": "" for one in "abcd"}})
    dataset = read_dataset(root)
    assert [(clip.labels, clip.role) for clip in dataset.clips] == [
        (("Bark",), "curated"),
        (("Meow",), "noisy"),
        (("Bark",), "noisy"),
        (("Meow",), "curated"),
    ]
    assert dataset.remarks == (
        "clips.csv: column 'File Name' as fname, 'SPECIES' as labels",
        "clips.csv: no column split: clips with a yes in 'Checked' are curated, the others noisy",
        "clips.csv: columns that are not read: note",
    )
    assert read_dataset(root / "clips.csv") == dataset
    (root / "d.wav").unlink()
    assert "clips.csv line 5, File Name: no sound file d.wav in" in only_problem(read_dataset(root)).what


def test_a_name_as_it_should_be_goes_before_another_and_a_split_before_what_was_checked(tmp_path):
    table = "file,Fname,labels,tag,verified,Split\nb.wav,a.wav,Bark,Meow,0,train\n"
    dataset = read_dataset(put(tmp_path, {"clips.csv": table, "a.wav": ""}))
    assert [(clip.fname, clip.labels, clip.role) for clip in dataset.clips] == [("a.wav", ("Bark",), "curated")]
    assert dataset.remarks == ("clips.csv: columns that are not read: file, tag, verified",)
    put(tmp_path, {"clips.csv": "fname,Labels,labels,Split,split\na.wav,Bark,Meow,test,train\n"})
    dataset = read_dataset(tmp_path)
    assert [(clip.labels, clip.role) for clip in dataset.clips] == [(("Meow",), "curated")]
    assert dataset.remarks == ("clips.csv: columns that are not read: Labels, Split",)
    put(tmp_path, {"clips.csv": "fname,labels,checked\na.wav,Bark,yes\na.flac,Bark,perhaps\n"})
    complaint = "clips.csv line 3, checked: unknown checked 'perhaps': use one of 1, yes, true, x, 0, no, false"
    assert complaint in only_problem(read_dataset(tmp_path)).what


def test_a_list_by_other_names_comes_after_folders_of_classes(tmp_path):
    root = put(tmp_path, {"Bark/a.wav": "", "list.csv": "path,class\nBark/a.wav,Meow\n"})
    dataset = read_dataset(root)
    assert dataset.vocabulary.names == ("Bark",)
    (remark,) = dataset.remarks
    assert remark.startswith(f"{root / 'list.csv'}: a list of clips whose columns have other names, so folders of")
    assert remark.endswith("give its path to have it read")
    assert read_dataset(root / "list.csv").vocabulary.names == ("Meow",)


@pytest.mark.parametrize(
    ("title", "header"),
    [
        ("Sounds, spring 2019;\n\n", "fname;labels"),
        ("Sounds of spring\nby me\n", "Filename,labels"),
        ("A;B\n", "path\ttag"),
    ],
)
def test_a_title_above_the_header(tmp_path, title, header):
    separator = next(one for one in ",;\t" if one in header)
    table = f"{title}{header}\na.wav{separator}Bark\nb.wav\n"
    dataset = read_dataset(put(tmp_path, {"clips.csv": table, "a.wav": "", "b.wav": ""}))
    line = 1 + title.count("\n")
    assert [clip.labels for clip in dataset.clips] == [("Bark",)]
    assert dataset.remarks[0] == f"clips.csv: the header is in line {line}; what is above is not read"
    assert f"clips.csv line {line + 2}: 1 cells under a header of 2" in only_problem(dataset).what


def test_a_title_in_a_spreadsheet_and_a_header_further_down_than_one_looks(tmp_path):
    book = openpyxl.Workbook()
    for row in (
        ["Sounds of spring"],
        [],
        ["File", "Label", "Verified", "note"],
        ["a.wav", "Bark", True],
        ["b.wav", "Bark"],
    ):
        book.active.append(row)
    root = put(tmp_path, {"a.wav": "", "b.wav": ""})
    book.save(root / "tags.xlsx")
    dataset = read_dataset(root)
    assert [(clip.fname, clip.role) for clip in dataset.clips] == [("a.wav", "curated"), ("b.wav", "noisy")]
    assert dataset.remarks[0] == "tags.xlsx: the header is in line 3; what is above is not read"
    put(root, {"tags.csv": "a title\n" * 5 + "fname,labels\na.wav,Bark\n"})
    with pytest.raises(TableError, match=r"tags\.csv line 1: no columns 'fname' and 'labels' among 'a title'"):
        read_dataset(root / "tags.csv")
    put(root, {"tags.csv": "a title,,\nRecording,Class,Status\na.wav,Bark,ok\n"})
    with pytest.raises(TableError, match=r"line 2: no column 'fname' among 'recording, Class, Status'"):
        read_dataset(root / "tags.csv")


def test_csv_with_recordings(tmp_path):
    table = 'fname,labels,recording\na.wav,Bark,77\nb.wav,Bark,"77, x y"\nc.wav,Meow,a;b;a\nd.wav,Meow,\n'
    dataset = read_dataset(put(tmp_path, {"clips.csv": table, **{f"{one}.wav": "" for one in "abcd"}}))
    assert [clip.recordings for clip in dataset.clips] == [("77",), ("77", "x y"), ("a", "b"), ()]


def test_csv_with_absolute_names_elsewhere(tmp_path):
    put(tmp_path, {"sounds/a.wav": ""})
    put(tmp_path, {"lists/clips.csv": f"fname,labels\n{tmp_path / 'sounds' / 'a.wav'},Bark\n"})
    (clip,) = read_dataset(tmp_path / "lists").clips
    assert clip.path == tmp_path / "sounds" / "a.wav"


def test_a_file_is_one_by_whatever_way_it_is_named(tmp_path, monkeypatch):
    names = ("../disk/a.wav,curated", f"{tmp_path / 'disk' / 'a.wav'},test", "../disk/../disk/a.wav,test")
    table = "fname,split,labels\n" + "".join(f"{name},Bark\n" for name in names)
    put(tmp_path, {"lists/clips.csv": table, "disk/a.wav": "", "disk/Bark/b.wav": ""})
    monkeypatch.chdir(tmp_path / "disk")
    for given in ("../lists", tmp_path / "lists" / "clips.csv"):
        dataset = read_dataset(given)
        assert [clip.path for clip in dataset.clips] == [tmp_path / "disk" / "a.wav"] * 2
        assert "line 4, fname: ../disk/../disk/a.wav was named before" in only_problem(dataset).what
    assert read_dataset("../disk").clips == read_dataset(tmp_path / "disk").clips
    put(tmp_path, {"more.csv": "fname,labels\nBark/b.wav,Bark\n"})
    (clip,) = read_dataset("../more.csv", audio_root="../lists/../disk").clips
    assert clip.path == tmp_path / "disk" / "Bark" / "b.wav"


@pytest.mark.parametrize(
    ("fname", "advice"),
    [
        ("a.wav", " in FOLDER, whatever its suffix: put it there, give the folder that it is in to --audio-root, or "),
        ("/gone/a.wav", ", whatever its suffix: give the folder that it is in now to --audio-root, or "),
        ("C:\\gone\\a.wav", ", whatever its suffix: give the folder that it is in now to --audio-root, or "),
    ],
)
def test_where_a_file_of_ones_own_table_is_can_be_said(tmp_path, fname, advice):
    table = f"fname,labels\n{fname},Bark\nb.wav,Bark\n"
    problem = only_problem(read_dataset(put(tmp_path, {"clips.csv": table, "b.wav": ""})))
    assert f"no sound file {fname}{advice}".replace("FOLDER", str(tmp_path)) in problem.what
    (kaggle(tmp_path / "known") / "test" / "t.wav").unlink()
    assert "--audio-root" not in only_problem(read_dataset(tmp_path / "known")).what


def test_sound_of_a_table_elsewhere(tmp_path):
    rows = ("day1/a.wav", "C:\\Me\\Day1\\b.wav", "/media/me/disk/day2/c.wav", "/gone/day2/a", "day2/d.wav", "/x/y.wav")
    table = "fname,labels\n" + "".join(f"{row},Bark\n" for row in rows)
    put(tmp_path, {"desk/clips.csv": table, "desk/vocabulary.csv": "0,Bark\n1,Meow\n", "desk/day2/d.wav": ""})
    there = [tmp_path / "disk" / name for name in ("day1/a.wav", "day1/b.wav", "day2/c.wav", "day2/a.flac")]
    put(tmp_path, {str(path): "" for path in [*there, tmp_path / "disk" / "a.wav"]})
    for given in (tmp_path / "desk" / "clips.csv", tmp_path / "desk"):
        dataset = read_dataset(given, audio_root=tmp_path / "disk")
        assert [clip.path for clip in dataset.clips] == there
        assert len(dataset.vocabulary) == 2
        assert [problem.fname for problem in dataset.problems] == ["day2/d.wav", "/x/y.wav"]
        assert f"no sound file day2/d.wav in {tmp_path / 'disk'}" in dataset.problems[0].what


def test_an_audio_root_that_cannot_be_meant(tmp_path):
    put(tmp_path, {"Bark/a.wav": ""})
    with pytest.raises(
        TableError, match=r"nowhere: no such folder; give the one that holds the sound files to --audio"
    ):
        read_dataset(tmp_path, audio_root=tmp_path / "nowhere")
    with pytest.raises(
        TableError, match=r"read as a folder for each class, whose sound lies in .* leave --audio-root out"
    ):
        read_dataset(tmp_path, audio_root=tmp_path)


def test_a_class_that_may_be_another_misspelt_is_remarked_on(tmp_path):
    rows = [f"{number}.wav,{'Knok' if number < 2 else 'Knock'}\n" for number in range(8)]
    put(tmp_path, {"clips.csv": "fname,labels\n" + "".join(rows), **{f"{number}.wav": "" for number in range(8)}})
    assert read_dataset(tmp_path).remarks == ("Knok (2 clips): did you mean Knock (6)?",)
    put(tmp_path, {"vocabulary.csv": "0,Knock\n1,Knok\n"})
    assert read_dataset(tmp_path).remarks == ()


def test_classes_that_may_be_misspelt_are_told_of_in_short(tmp_path):
    names = [f"Word{letter}" for letter in "abcdefg"]
    put(tmp_path, {f"{folder}/a.wav": "" for name in names for folder in (f"{name}zz", f"{name}zzs")})
    remarks = read_dataset(tmp_path).remarks
    assert len(remarks) == 6 and remarks[-1] == "2 more classes have names near others'"


def test_cells_that_a_spreadsheet_spoilt_are_bad_rows(tmp_path):
    book = openpyxl.Workbook()
    for row in (
        ["fname", "labels", "note"],
        [1, "Bark", "#N/A"],
        [7, "Bark"],
        ["a.wav", "#N/A"],
        ["#REF!", "Bark"],
        ["a.wav", "Bark", "#N/A"],
    ):
        book.active.append(row)
    root = put(tmp_path, dict.fromkeys(("a.wav", "0001.wav", "007.wav", "07.wav", "01.txt"), ""))
    book.save(root / "tags.xlsx")
    dataset = read_dataset(root)
    assert dataset.vocabulary.names == ("Bark",)
    assert [clip.fname for clip in dataset.clips] == ["a.wav"]
    dropped, two, label, name = (problem.what for problem in dataset.problems)
    assert "line 2, fname: no sound file 1 in" in dropped
    assert dropped.endswith("; did you mean 0001.wav? Spreadsheets drop zeros at the front")
    assert "line 3, fname: no sound file 7 in" in two and "did you mean" not in two
    assert label.endswith("tags.xlsx line 4, labels: #N/A is a formula that failed: write what it should be")
    assert name.endswith("tags.xlsx line 5, fname: #REF! is a formula that failed: write what it should be")


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


def test_an_unknown_split_is_a_problem_of_its_row_alone(tmp_path):
    table = "fname,labels,split\na.wav,Bark,noisy\nb.wav,Oops,nosiy\n"
    dataset = read_dataset(put(tmp_path, {"clips.csv": table, "a.wav": "", "b.wav": ""}))
    assert dataset.vocabulary.names == ("Bark",)
    problem = only_problem(dataset)
    assert (problem.fname, problem.role) == ("b.wav", "")
    assert problem.what.startswith(f"{tmp_path / 'clips.csv'} line 3, split: unknown split 'nosiy': use one of curated")


# --- what is wrong about a whole table ---


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("name,labels\na.wav,Bark\n", r"clips\.csv line 1: no column 'fname' among 'name, labels'"),
        (
            "fname|labels\na.wav|Bark\n",
            r"line 1: no columns 'fname' and 'labels' among 'fname\|labels': give them these",
        ),
        (
            "file,Path,label\na.wav,b,Bark\n",
            r"line 1: no column 'fname', and 'file' and 'Path' may each be meant: give",
        ),
        ("fname,labels,labels\na.wav,Bark,Bark\n", r"more than one column 'labels' .*: leave one"),
        ("", r"clips\.csv: empty"),
        ("fname,labels\n", r"no usable clip: its tables have no rows: write one for each clip"),
        ("fname,labels\na.wav,\n", r"no row of its tables has a label"),
        ("fname,labels,split\na.wav,,unlabelled\n", r"no row of its tables has a label"),
        ("fname,labels\ngone.wav,Bark\n", r"no usable clip: the first of 1 problems: .*clips\.csv line 2, fname"),
        ("fname,labels\na.wav,Bark,Meow\n", r"no usable clip: the first of 1 problems: .*line 2: 3 cells under"),
        (
            "fname,labels,split\na.wav,Bark,dev\n",
            r"no usable clip: .* problems: .*clips\.csv line 2, split: unknown split 'dev': use one of curated, noisy",
        ),
        ('fname,labels\na.wav,"Bark\n', r"clips\.csv line 2: not a CSV"),
        (b"fname,labels\na.wav,B\xe9\n", r"clips\.csv line 2: not UTF-8"),
        ("fname,labels\n".encode("utf-16") + b"x", r"clips\.csv line 2: not UTF-8"),
        (
            b"fname,labels\na.wav,B\xe9\n",
            r"line 2: not UTF-8 text: save it as CSV in UTF-8 \('CSV UTF-8' in Excel's list\)$",
        ),
        (b"RIFF\0\0\0\0WAVE", r"clips\.csv: not a CSV but a sound file: give the table that names it, or its folder$"),
        (b"\xff\xfb\x90\0", r"clips\.csv: not a CSV but a sound file"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1",
            r"clips\.csv: not a CSV but an old Excel file \(\.xls\): save it as \.xlsx, or as CSV",
        ),
        (b"PK\x03\x04" + bytes(26) + b"xl/workbook.xml", r"not a CSV but an Excel file \(\.xlsx\): give its name that"),
        (
            b"PK\x03\x04" + bytes(26) + b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
            r"not a CSV but an OpenDocument file \(\.ods\): save it as \.xlsx, or as CSV in UTF-8$",
        ),
        (b"PK\x03\x04" + bytes(26) + b"a.wav", r"not a CSV but a zip archive: unpack it; of a spreadsheet, save it"),
        ("FORMAT,\u00e9\n", r"line 1: no columns 'fname' and 'labels' among 'FORMAT, \u00e9'"),
    ],
)
def test_table_that_cannot_be_used(tmp_path, table, complaint):
    with pytest.raises(TableError, match=complaint) as caught:
        read_dataset(put(tmp_path, {"clips.csv": table, "a.wav": ""}))
    assert "\n" not in str(caught.value)


def test_two_files_of_one_role_are_not_called_the_same(tmp_path):
    """A decision on the one would change both; two roles may have a name in common."""
    table = "fname,labels,split,known_as\na.wav,Bark,,x\nb.wav,Bark,,x\nc.wav,Bark,noisy,x\na.wav,Meow,,x\nx,Bark,,\n"
    dataset = read_dataset(put(tmp_path, {"clips.csv": table, "a.wav": "", "b.wav": "", "c.wav": "", "x.wav": ""}))
    assert [(clip.fname, clip.path.name, clip.role) for clip in dataset.clips] == [
        ("x", "a.wav", "curated"), ("x", "c.wav", "noisy")
    ]  # fmt: skip
    assert [problem.fname for problem in dataset.problems] == ["b.wav", "x"]
    assert "line 3: x is what a.wav is called already (" in dataset.problems[0].what


def test_no_row_under_a_stated_vocabulary(tmp_path):
    root = put(tmp_path, {"clips.csv": "fname,labels\n", "vocabulary.csv": "0,Bark\n", "a.wav": ""})
    with pytest.raises(TableError, match="no usable clip: its tables have no rows"):
        read_dataset(root)


def test_clips_without_a_label_alone_wait_for_a_reviewers(tmp_path):
    listed = "fname,labels,split\na.wav,,unlabelled\nb.wav,,unlabelled\n"
    root = put(tmp_path, {"clips.csv": listed, "vocabulary.csv": "0,Bark\n", "a.wav": ""})
    dataset = read_dataset(root)
    assert (dataset.clips, [clip.fname for clip in dataset.unlabelled]) == ((), ["a.wav"])
    (root / "a.wav").unlink()
    with pytest.raises(TableError, match=r"no usable clip: the first of 2 problems: .*a\.wav"):
        read_dataset(root)


def test_no_dataset_there(tmp_path):
    with pytest.raises(TableError, match="no such file or folder"):
        read_dataset(tmp_path / "nowhere")
    with pytest.raises(TableError, match="no dataset found: it needs the tables of a known one"):
        read_dataset(tmp_path)
    put(tmp_path / "sheets", {"tags.ods": "PK", "a.wav": ""})
    with pytest.raises(TableError, match=r"no dataset found: .*tags\.ods: save it as \.xlsx, or as CSV in UTF-8$"):
        read_dataset(tmp_path / "sheets")
    put(tmp_path / "tables", {"one.csv": "file,tga\n", "two.csv": "file,tga\n", "a.wav": ""})
    with pytest.raises(TableError, match=r"no dataset found: .*one\.csv line 1: no column 'labels' among 'file, tga'"):
        read_dataset(tmp_path / "tables")
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


def test_a_table_of_verdicts_is_no_list_of_clips(tmp_path):
    """Its tags to be dropped would be taken for labels."""
    text = "fname,role,label,given,verdict,probability\na.wav,noisy,Bark,1,drop,0.01\n"
    (tmp_path / "verdicts.csv").write_text(text)
    with pytest.raises(TableError, match=r"verdicts\.csv: what `clean` says of tags.*give cleaned\.csv"):
        read_dataset(tmp_path / "verdicts.csv")


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


@pytest.mark.parametrize("stage", [1, 2])
def test_genuine_tables_as_kaggle_gives_them(stage, tmp_path):
    """Stage 1 has the 1,120 public clips in its sample submission, stage 2 all 4,481; neither says their labels."""
    meta = shared("fsdkaggle2019") / "meta"
    for name in ("train_curated", "train_noisy"):
        put(tmp_path, {f"{name}.csv": (meta / f"{name}.csv").read_bytes()})
        first = (meta / f"{name}.csv").read_text().splitlines()[1].split(",")[0]
        put(tmp_path, {f"{name}/{first}": ""})
    head, *public = (meta / "sample_submission.csv").read_text().splitlines(keepends=True)
    every = [row.split(",")[0] for row in (meta / "test_post_competition.csv").read_text().splitlines()[1:]]
    fnames = [row.split(",")[0] for row in public] if stage == 1 else every
    put(tmp_path, {"sample_submission.csv": head + "".join(f"{fname}{',0' * 80}\n" for fname in fnames)})
    put(tmp_path, {f"test/{fname}": "" for fname in fnames[:3]})
    dataset = read_dataset(tmp_path)
    assert [(clip.role, clip.labels) for clip in dataset.clips] == [
        ("curated", ("Bark",)),
        ("noisy", ("Bathtub_(filling_or_washing)",)),
    ]
    counts = Counter(problem.role for problem in dataset.problems)
    assert counts == {"curated": 4970 - 1, "noisy": 19815 - 1}
    assert dataset.vocabulary == read_dataset(shared("fsdkaggle2019"), without_sound=True).vocabulary


def test_genuine_post_competition_tables_say_the_same(tmp_path):
    """Zenodo's tables alone, and Kaggle's: the same labels for the same clips, in another order."""
    meta = shared("fsdkaggle2019") / "meta"
    found = []
    for suffix in ("", "_post_competition"):
        root = tmp_path / f"set{suffix}"
        for name in ("train_curated", "train_noisy"):
            put(root, {f"FSDKaggle2019.meta/{name}{suffix}.csv": (meta / f"{name}{suffix}.csv").read_bytes()})
        dataset = read_dataset(root, without_sound=True)
        assert dataset.problems == () and len(dataset.known_bad) == 6
        found.append({(clip.role, clip.fname): set(clip.labels) for clip in dataset.clips})
    assert found[0] == found[1] and len(found[0]) == 4970 + 19815


def test_without_sound_a_dataset_is_its_tables():
    dataset = read_dataset(shared("fsdkaggle2019"), without_sound=True)
    assert Counter(clip.role for clip in dataset.clips) == {"curated": 4970, "noisy": 19815, "test": 4481}
    usages = Counter(clip.usage for clip in dataset.by_role("test"))
    assert usages == {"Public": 1120, "Private": 3361} and dataset.problems == ()


def test_known_bad_clips_are_in_the_genuine_tables(tmp_path):
    meta = shared("fsdkaggle2019") / "meta"
    named = [line.split(",")[0] for line in (meta / "train_curated.csv").read_text().splitlines()[1:]]
    put(tmp_path, {"train_curated.csv": (meta / "train_curated.csv").read_bytes()})
    put(tmp_path, {f"train_curated/{fname}": "" for fname in named})
    dataset = read_dataset(tmp_path)
    assert sorted(bad.fname for bad in dataset.known_bad) == [f"{name}.wav" for name in KNOWN_BAD]
    assert len(dataset.without_known_bad().clips) == 4970 - 6
