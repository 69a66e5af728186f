"""How well `clean` finds wrong and missing labels, against the truth and against cleanlab; planted faults; retraining.

    python benchmarks/cleaning.py measure STORE TRUTH RUN [RUN ...] --ear NAME [--out-of-fold TABLE] --work FOLDER
        --results results.jsonl
    python benchmarks/cleaning.py plant DATASET --work FOLDER --results results.jsonl [--fold 0 --fold 1]
    python benchmarks/cleaning.py retrain STORE CLEANED --work FOLDER --results results.jsonl [--seed 0 ...]
    python benchmarks/cleaning.py review STORE TRUTH CLEANED --work FOLDER --results results.jsonl --decisions 100
    python benchmarks/cleaning.py render results.jsonl

RUN learnt from the noisy clips, or is a table of scores by any tagger (out_of_fold.py and embeddings.py make some),
which cleanlab gets as it is; it gets the TABLE that is --out-of-fold as well. TRUTH is a CSV `fname,true_labels`; it
measures, and nothing here or in `clean` learns from it, but for the reviewer that `review` simulates. CLEANED is a
folder that `earwitness clean` wrote. Every call appends lines of JSON to the results; trainings that are finished are
not made again, those that were killed are resumed. Needs the extra `clean`.
"""

import argparse
import csv
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from cleanlab.internal.multilabel_scorer import ClassLabelScorer, MultilabelScorer
from sklearn.metrics import average_precision_score, roc_auc_score

from earwitness import audio, calibration, layouts, tables
from earwitness.cleaning import clean, judging, scoretable, summary, twins
from earwitness.corpus import Store
from earwitness.reviewing import folder as review_folder
from earwitness.serving.desk import ordered

Line = dict[str, Any]

PAGE = Path(__file__).resolve().parents[1] / "docs" / "results-cleaning.md"
DRAWS = 1000
SWAPPED_SHARE = 0.05
COPIES = 60


def append(results: Path, **line: Any) -> None:
    print(json.dumps(line), flush=True)
    with results.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


def earwitness(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "earwitness", *map(str, arguments)], check=True)


# --- measure: ranking, rates, calibration ---


def truth_of(path: Path, store: Store) -> dict[str, np.ndarray]:
    """Returns the true labels (classes,) of clips by fname."""
    rows = tables.read_rows(path, ("fname", "true_labels"))
    return {
        row["fname"]: store.vocabulary.encode([one for one in row["true_labels"].split(",") if one]) for row in rows
    }


def measure(options: argparse.Namespace) -> None:
    store = Store(options.store)
    runs = [clean.open_ear(run, store) for run in options.runs]
    keep = options.work / f"heard-{options.store.name}"
    alike = twins.find(store).rows  # as `clean` has it
    judged = judging.judge(runs, store, keep, alike=alike)
    truth = truth_of(options.truth, store)
    chosen = np.array(
        [noisy and store.clips[row].fname in truth for row, noisy in zip(judged.rows, judged.noisy, strict=True)]
    )
    true = np.stack([truth[store.clips[row].fname] for row in judged.rows[chosen]]) > 0
    given, p, heard = judged.given[chosen] > 0, judged.probability[chosen], judged.heard[chosen]
    common = {
        "store": options.store.name, "ear": options.ear, "runs": [run.name for run in options.runs],
        "clips": int(chosen.sum()),
    }  # fmt: skip
    tables_alone = [run.scores[judged.rows] for run in runs if isinstance(run, scoretable.TableEar)]
    whole = len(tables_alone) == len(runs)
    rivals = cleanlab_scores(judged, np.mean(tables_alone, axis=0) if whole else judged.heard, chosen)
    if options.out_of_fold:
        alone = scoretable.open_table(options.out_of_fold, store).scores[judged.rows]
        rivals |= {f"{name}, out of fold": one for name, one in cleanlab_scores(judged, alone, chosen).items()}
    compare(options, common, "wrong labels", given, ~true, 1 - p, rivals | {"heard alone": 1 - heard})
    compare(options, common, "missing labels", ~given, true, p, {"heard alone": heard})
    for row in rates_inside(judged, chosen, true, given):
        append(options.results, **common, **row)
    for name, labels in (("as given", given), ("as cleaned", p >= 0.5)):  # as verdicts.is_believed has it
        for what, of in ((f"labels {name} that are right", labels), (f"true labels among those {name}", true)):
            append(
                options.results,
                **common,
                measure=what,
                value=float((labels & true).sum() / of.sum()),
                tags=int(of.sum()),
            )
    for name, mask in (("all", np.ones_like(given)), ("listed", given | (p >= 0.05)), ("given", given)):
        error = calibration.calibration_error(p[mask], true[mask])
        append(options.results, **common, measure=f"calibration error, {name} tags", value=error, tags=int(mask.sum()))


def cleanlab_scores(judged: judging.Judged, heard: np.ndarray, chosen: np.ndarray) -> dict[str, np.ndarray]:
    """Returns how doubtful cleanlab finds every tag of the chosen clips, by each of its scores per class.

    It gets the noisy clips' given labels and P(present | heard).
    """
    noisy = judged.noisy
    labels, probabilities = (judged.given[noisy] > 0).astype(int), heard[noisy]
    found = {}
    for scorer in ClassLabelScorer:
        for adjusted in (False, True):
            if adjusted and scorer is ClassLabelScorer.CONFIDENCE_WEIGHTED_ENTROPY:
                continue  # it refuses to
            quality = MultilabelScorer(base_scorer=scorer).get_class_label_quality_scores(
                labels=labels, pred_probs=probabilities, base_scorer_kwargs={"adjust_pred_probs": adjusted}
            )
            found[f"cleanlab {scorer.name.lower()}{' adjusted' if adjusted else ''}"] = 1 - quality[chosen[noisy]]
    return found


def compare(
    options: argparse.Namespace,
    common: dict[str, Any],
    what: str,
    mask: np.ndarray,
    positive: np.ndarray,
    ours: np.ndarray,
    rivals: dict[str, np.ndarray],
) -> None:
    """Notes AUROC and average precision of a ranking, and its lead over every rival's, paired by clips."""
    scores: dict[str, Callable[..., float]] = {"AUROC": roc_auc_score, "average precision": average_precision_score}
    for metric, score in scores.items():
        value = float(score(positive[mask], ours[mask]))
        append(options.results, **common, measure=f"{what}, {metric}", value=value, tags=int(mask.sum()))
        for name, theirs in rivals.items():
            leads = bootstrap(mask, positive, ours, theirs, score)
            low, high = np.quantile(leads, (0.025, 0.975))
            append(
                options.results, **common, measure=f"{what}, {metric}", rival=name,
                value=float(score(positive[mask], theirs[mask])), lead=float(np.mean(leads)),
                interval=[float(low), float(high)],
            )  # fmt: skip


def bootstrap(
    mask: np.ndarray, positive: np.ndarray, ours: np.ndarray, theirs: np.ndarray, score: Callable[..., float]
) -> list[float]:
    """Returns the leads of one ranking over another in draws of clips with replacement."""
    rng = np.random.default_rng(0)
    leads = []
    for _ in range(DRAWS if mask.sum() < 5000 else DRAWS // 5):
        draw = rng.integers(len(mask), size=len(mask))
        chosen = mask[draw]
        if positive[draw][chosen].any() and not positive[draw][chosen].all():
            truth = positive[draw][chosen]
            leads.append(score(truth, ours[draw][chosen]) - score(truth, theirs[draw][chosen]))
    return leads


def rates_inside(
    judged: judging.Judged, chosen: np.ndarray, true: np.ndarray, given: np.ndarray
) -> list[dict[str, Any]]:
    """Returns for how many classes the true rates of wrong and missing labels lie in their 90 % intervals."""
    rng = np.random.default_rng(0)
    inside: dict[str, list[bool]] = {"wrong": [], "missing": []}
    for column in range(true.shape[1]):
        y, g = true[:, column], given[:, column]
        wrong, missing = summary.rates(
            rng, judged.probability[chosen][:, column], g, shift_deviation=judged.shift_deviation
        )
        for name, interval, number, count in (
            ("wrong", wrong, (g & ~y).sum(), g.sum()), ("missing", missing, (y & ~g).sum(), y.sum())
        ):  # fmt: skip
            if count:
                inside[name].append(bool(interval.low - 1e-9 <= number / count <= interval.high + 1e-9))
    return [
        {"measure": f"classes with the true {name} rate inside", "value": float(np.mean(hits)), "classes": len(hits)}
        for name, hits in inside.items()
    ]


# --- plant: faults that must be found ---


def plant(options: argparse.Namespace) -> None:
    work = options.work / "planted"
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "planted.json").is_file():
        write_planted(layouts.read_dataset(options.dataset), work)
    planted = json.loads((work / "planted.json").read_text("utf-8"))
    store = work / "store"
    earwitness("prepare", work / "clips.csv", "--out", store)
    runs = [work / f"fold{fold}" for fold in options.fold]
    for fold, run in zip(options.fold, runs, strict=True):
        resume = ["--resume"] if (run / "run.json").is_file() else []
        if not (run / "model" / "config.json").is_file():
            recipes = [] if resume else ["--recipe", options.recipe]
            earwitness("train", store, "--out", run, *recipes, "--fold", fold, *resume)
    more = [part for run in runs[1:] for part in ("--with", run)]
    earwitness("clean", runs[0], store, *more, "--out", work / "clean", "--no-page")
    note_faults(options, planted, store, work / "clean")


def write_planted(dataset: Any, work: Path) -> None:
    """Writes a clip list with faults in it, the sounds they need, and what they are."""
    rng = np.random.default_rng(0)
    clips = {clip.fname: [clip.path, list(clip.labels), clip.role] for clip in dataset.clips}
    curated = [fname for fname, clip in clips.items() if clip[2] == "curated"]
    swapped = rng.choice(curated, round(SWAPPED_SHARE * len(curated)), replace=False).tolist()
    for fname in swapped:
        others = [name for name in dataset.vocabulary.names if name not in clips[fname][1]]
        clips[fname][1][0] = str(rng.choice(others))
    silent = work / "planted_silence.wav"
    soundfile.write(silent, np.zeros(96_000, np.float32), 32_000)
    rows = [(path, ",".join(labels), role) for path, labels, role in clips.values()]
    rows.append((silent.absolute(), dataset.vocabulary.names[0], "noisy"))
    copies = []
    for number, fname in enumerate(rng.choice(list(clips), COPIES, replace=False)):
        path, labels, role = clips[str(fname)]
        copy = work / f"planted_copy{number}.{'mp3' if number % 3 == 2 else 'wav'}"
        soundfile.write(copy, changed(audio.read(path), number % 3), 32_000)
        copies.append([str(fname), copy.name])
        rows.append((copy.absolute(), ",".join(labels), "test" if role != "test" else "noisy"))
    tables.write_csv(work / "clips.csv", ("fname", "labels", "split"), rows)
    found = {"swapped": [str(clips[fname][0]) for fname in swapped], "silent": str(silent), "copies": copies}
    (work / "planted.json").write_text(json.dumps(found), "utf-8")


def changed(waveform: np.ndarray, kind: int) -> np.ndarray:
    """Returns a waveform trimmed by a tenth at both ends (0), 6 dB lower (1), or as it is, to become an MP3 (2)."""
    if kind == 0:
        return waveform[len(waveform) // 10 : -len(waveform) // 10]
    return waveform / 2 if kind == 1 else waveform


def note_faults(options: argparse.Namespace, planted: dict[str, Any], store: Path, cleaned: Path) -> None:
    opened = Store(store)
    folds = {str(clip.path): fold for clip, fold in zip(opened.clips, opened.folds.tolist(), strict=True)}
    found = list(csv.DictReader((cleaned / "verdicts.csv").open(encoding="utf-8")))
    least: dict[str, float] = {}
    for row in found:
        if row["role"] == "curated" and row["given"] == "1" and folds[row["path"]] in options.fold:
            least[row["path"]] = min(least.get(row["path"], 1.0), float(row["probability"]))
    ranking = sorted(least, key=lambda path: least[path])
    swapped = [path for path in planted["swapped"] if path in least]
    top = ranking[: max(1, round(0.1 * len(ranking)))]
    append(
        options.results, measure="swapped curated clips in the top 10 %", value=sum(path in top for path in swapped),
        of=len(swapped), ranked=len(ranking), folds=options.fold,
    )  # fmt: skip
    summary = json.loads((cleaned / "summary.json").read_text("utf-8"))
    named = any(Path(fname).name == Path(planted["silent"]).name for fname in summary["silent"])
    append(options.results, measure="silence named", value=int(named), of=1)
    pairs = {
        frozenset((Path(row["path"]).name, Path(row["other_path"]).name))
        for row in csv.DictReader((cleaned / "duplicates.csv").open(encoding="utf-8"))
    }
    for kind, name in enumerate(("trimmed", "6 dB lower", "mp3")):
        ours = planted["copies"][kind::3]
        hits = sum(frozenset((Path(one).stem + Path(one).suffix, two)) in pairs for one, two in ours)
        append(options.results, measure=f"duplicates named, {name}", value=hits, of=len(ours))


# --- retrain and review: what cleaning is worth to the next run ---


def trained(store: Path, run: Path, recipe: str, seed: int) -> float:
    """Returns the lwlrap on the store's test clips of a run on all clips; trains it where it is not there yet."""
    if not (run / "model" / "config.json").is_file():
        resume = ["--resume"] if (run / "run.json").is_file() else []
        settings = [] if resume else ["--recipe", recipe, "--set", f"training.seed={seed}"]
        earwitness("train", store, "--out", run, *settings, "--fold", "all", "--threads", 1, *resume)
    figures = run / "test.json"
    if not figures.is_file():
        earwitness("evaluate", run / "model", store, "--json", figures, "--threads", 1)
    return float(json.loads(figures.read_text("utf-8"))["lwlrap"])


def retrain(options: argparse.Namespace) -> None:
    cleaned = options.work / f"cleaned-{options.store.name}"
    earwitness("prepare", options.cleaned / "cleaned.csv", "--out", cleaned)
    for seed in options.seed:
        before = trained(options.store, options.work / f"first-{options.store.stem}-{seed}", options.recipe, seed)
        after = trained(cleaned, options.work / f"again-{options.store.stem}-{seed}", options.recipe, seed)
        append(options.results, measure="lwlrap after cleaning", store=options.store.name, seed=seed, value=after,
               before=before, lead=after - before)  # fmt: skip


def review(options: argparse.Namespace) -> None:
    """A reviewer who answers by the truth hears the first clips in the page's order of value, or in a random one."""
    store, truth = Store(options.store), answers_of(options.truth)
    for decisions in options.decisions:
        for seed in options.seed:
            for name, order in review_orders(options.cleaned, truth, seed).items():
                work = options.work / f"review-{name}-{decisions}-{seed if name == 'random' else 'all'}"
                answers = {one: truth[one] for one in order[:decisions]}
                write_reviewed(work / "clips.csv", store, options.cleaned, answers)
                earwitness("prepare", work / "clips.csv", "--out", work / "store")
                value = trained(work / "store", work / f"run{seed}", options.recipe, seed)
                append(options.results, measure="lwlrap after review", store=options.store.name, order=name,
                       decisions=decisions, seed=seed, value=value)  # fmt: skip


def answers_of(truth: Path) -> dict[str, str]:
    """Returns the true labels of clips, as a reviewer would type them, by fname."""
    return {row["fname"]: row["true_labels"] for row in tables.read_rows(truth, ("fname", "true_labels"))}


def review_orders(cleaned: Path, known: Collection[str], seed: int) -> dict[str, list[str]]:
    """Returns the noisy clips whose truth is known, as they come: by value as in the page, and drawn by the seed."""
    folder = review_folder.read(cleaned)
    value = [folder.clips[number] for number in ordered(folder, "value")]
    value = [clip.fname for clip in value if clip.role == "noisy" and clip.fname in known]
    return {"value": value, "random": np.random.default_rng(seed).permutation(sorted(value)).tolist()}


def write_reviewed(path: Path, store: Store, cleaned: Path, answers: dict[str, str]) -> None:
    """Writes the cleaned clip list with the reviewer's answers in it: those clips become curated, or go."""
    paths = {str(clip.path.absolute()): clip.fname for clip in store.clips if clip.role == "noisy"}
    rows = []
    for row in tables.read_rows(cleaned / "cleaned.csv", ("fname", "labels", "split")):
        fname = paths.get(row["fname"])
        if fname not in answers:
            rows.append((row["fname"], row["labels"], row["split"]))
    rows += [(place, answers[fname], "curated") for place, fname in paths.items() if answers.get(fname)]
    tables.write_csv(path, ("fname", "labels", "split"), rows)


# --- render ---


def render(options: argparse.Namespace) -> None:
    """Writes the tables between the page's markers: for each store what each ear comes to, and its leads."""
    lines = [json.loads(line) for line in options.file.read_text("utf-8").splitlines()]
    keys = ("store", "runs", "measure", "rival", "seed", "order", "decisions")
    newest = {json.dumps([line.get(key) for key in keys]): line for line in lines}.values()
    measured: dict[str, dict[str, list[Line]]] = defaultdict(lambda: defaultdict(list))
    others: list[Line] = []
    for line in newest:
        if "ear" in line:
            measured[line["store"]][line["ear"]].append(line)
        else:
            others.append(line)
    text = [row for store, by_ear in measured.items() for row in store_rows(store, by_ear)]
    page = PAGE.read_text("utf-8")
    for mark, rows in (("measured", text), ("others", other_rows(others))):
        before, rest = page.split(f"<!-- {mark} -->\n")
        after = rest.split(f"<!-- /{mark} -->")[1]
        page = before + "\n".join([f"<!-- {mark} -->", *rows, f"<!-- /{mark} -->"]) + after
    PAGE.write_text(page, "utf-8")


def store_rows(store: str, by_ear: dict[str, list[Line]]) -> list[str]:
    """Returns a store's two tables: values, and leads with their intervals; a column an ear."""
    head = [f"| {Path(store).stem} | {' | '.join(by_ear)} |", "|---" * (len(by_ear) + 1) + "|"]
    measures = list(dict.fromkeys(line["measure"] for lines in by_ear.values() for line in lines))

    def cells(kind: Callable[[Line], bool], text: Callable[[list[Line]], str]) -> list[str]:
        rows = []
        for measure in measures:
            found = [[one for one in lines if one["measure"] == measure and kind(one)] for lines in by_ear.values()]
            if any(found):
                rows.append(f"| {measure} | {' | '.join(text(one) if one else '' for one in found)} |")
        return rows

    rows = [*head, *cells(lambda line: "rival" not in line, value_of), ""]
    rivals: tuple[tuple[str, Callable[[str], bool]], ...] = (
        ("cleanlab on the same", lambda name: name.startswith("cleanlab") and not name.endswith(", out of fold")),
        ("cleanlab out of fold", lambda name: name.endswith(", out of fold")),
        ("the ear alone", lambda name: name == "heard alone"),
    )
    for name, which in rivals:
        leads = cells(lambda line, which=which: which(line.get("rival", "")), best_of)  # type: ignore[misc]
        rows += [*(row.replace("| ", f"| over {name}: ", 1) for row in leads)] if leads else []
    leads_from = rows.index("") + 1
    return [*rows[:leads_from], *head, *rows[leads_from:], ""]


def other_rows(lines: list[Line]) -> list[str]:
    """Returns the table of planted faults and of reviews."""
    groups: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        heard = f", {line['decisions']} clips, order: {line['order']}" if "order" in line else ""
        groups[line["measure"] + heard].append(line)
    return ["| measure | value |", "|---|---|", *(f"| {what} | {value_of(group)} |" for what, group in groups.items())]


def value_of(lines: list[Line]) -> str:
    """Returns what was measured: counts, or the mean, and each where there are several."""
    if "of" in lines[0]:
        return ", ".join(f"{line['value']} of {line['of']}" for line in lines)
    values = [line["value"] for line in lines]
    each = " ".join(f"{value:.3f}" for value in values)
    return f"{np.mean(values):.3f}" + (f" ({each})" if len(set(each.split())) > 1 else "")


def best_of(rivals: list[Line]) -> str:
    """Returns our mean lead over the best rival, and in brackets from the lowest to the highest bound."""
    by_name = defaultdict(list)
    for line in rivals:
        by_name[line["rival"]].append(line)
    best = max(by_name.values(), key=lambda lines: np.mean([line["value"] for line in lines]))
    low, high = min(line["interval"][0] for line in best), max(line["interval"][1] for line in best)
    if low == high == 0:
        return "the same order"
    return f"{np.mean([line['lead'] for line in best]):+.3f} ({low:+.3f} to {high:+.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(required=True)
    for verb, arguments in ((measure, ("store", "truth")), (plant, ("dataset",)), (retrain, ("store", "cleaned")),
                            (review, ("store", "truth", "cleaned"))):  # fmt: skip
        one = verbs.add_parser(verb.__name__)
        one.set_defaults(carry_out=verb)
        for argument in arguments:
            one.add_argument(argument, type=Path)
        one.add_argument("--work", type=Path, required=True)
        one.add_argument("--results", type=Path, required=True)
        one.add_argument("--recipe", default="laptop")
        if verb is measure:
            one.add_argument("runs", type=Path, nargs="+")
            one.add_argument("--out-of-fold", type=Path)
            one.add_argument("--ear", required=True, help="what the column is called; several runs may share one")
        if verb is plant:
            one.add_argument("--fold", type=int, action="append")
        if verb in (retrain, review):
            one.add_argument("--seed", type=int, action="append")
        if verb is review:
            one.add_argument("--decisions", type=int, action="append", required=True)
    table = verbs.add_parser("render")
    table.set_defaults(carry_out=render)
    table.add_argument("file", type=Path)
    options = parser.parse_args()
    if getattr(options, "seed", 0) is None:
        options.seed = [0, 1, 2]
    if getattr(options, "fold", 0) is None:
        options.fold = [0]
    options.carry_out(options)


if __name__ == "__main__":
    main()
