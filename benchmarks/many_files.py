"""Do decoding and the network overlap where many short files are tagged on two cores?"""

import statistics
import tempfile
import time
from pathlib import Path

import harness


def main() -> None:
    given = harness.arguments(__doc__)
    harness.as_the_program()
    import sounds
    import torch
    from plain import settings_of, write_model

    from earwitness import Tagger, longsound

    torch.set_num_threads(1)
    rows, count = [], 40 if given.quick else 300
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = [sounds.write(folder / f"{n}.mp3", seconds=1 + n % 8, seed=n) for n in range(min(count, 100))]
        paths = (clips * (count // len(clips) + 1))[:count]
        for kind, settings in {
            "width 0.25, input pooling 2, Eq. 6": settings_of(0.25, "network.input_pooling=2"),
            "width 0.125, input pooling 4, no further passes": settings_of(
                0.125, "network.input_pooling=4", "tagging.augment_short=false"
            ),
        }.items():
            tagger = Tagger.load(write_model(folder / kind, settings), precision="auto", windows="dense")
            features = settings.features
            seconds: dict[str, list[float]] = {"reading": [], "network": [], "together": []}
            for _ in range(1 if given.quick else 2):
                began = time.perf_counter()
                log_mels = [longsound.read(path, features) for path in paths]
                seconds["reading"].append(time.perf_counter() - began)
                began = time.perf_counter()
                alone = [tagger.scores_of_log_mel(log_mel) for log_mel in log_mels]
                seconds["network"].append(time.perf_counter() - began)
                began = time.perf_counter()
                together = [tagged.scores for tagged in tagger.tag_many(paths)]
                seconds["together"].append(time.perf_counter() - began)
                same = all((one == other).all() for one, other in zip(alone, together, strict=True))
                harness.require(same, "the same files score otherwise together")
            reading, network, both = (statistics.median(each) for each in seconds.values())
            rows.append([kind, count, count / reading, count / network, count / both, max(reading, network) / both])
    columns = [
        "model",
        "files",
        "read alone, files/s",
        "scored alone, files/s",
        "together, files/s",
        "of the slower part",
    ]
    note = "mp3 files of 1 to 8 s; one thread for the network, one that reads ahead; bfloat16 where the machine has it."
    harness.report("many_files", given, rows=rows, columns=columns, note=note)


if __name__ == "__main__":
    main()
