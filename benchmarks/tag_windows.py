"""How much faster are windows that share a pass, on a clip of 10 seconds; and do they score the same?

The plain way: every window by itself, float32, channels first, batch normalisation apart, in a process that handles
memory as torch does by itself; and with freed memory kept, as the command line has it. Both directions of time.
"""

import harness
import numpy as np


def main() -> None:
    given = harness.arguments(__doc__, plain={"type": float, "help": "be the process of the plain way at this width"})
    if not given.plain:
        harness.as_the_program()
    import torch
    from plain import CLASSES, log_mel_like, plain_logits, plain_network, settings_of

    from earwitness import patches, tagging, windowed

    torch.set_num_threads(given.threads)
    frames, rows = 640, []
    log_mel = log_mel_like(frames)
    starts = patches.window_starts(frames, frames=192, hop=16)
    windows = np.stack([log_mel[start : start + 192] for start in starts])
    if given.plain:
        network = plain_network(settings_of(given.plain))
        return harness.serve(lambda: both(lambda x: plain_logits(network, x), windows, windows[:, ::-1]))
    for width in (0.25,) if given.quick else (0.25, 0.5, 1.0):
        network = plain_network(settings_of(width))
        kept = "plain, memory kept"
        ways = {kept: lambda network=network: both(lambda x: plain_logits(network, x), windows, windows[:, ::-1])}
        for kind in ("sliding", "exact", "dense"):
            for bfloat16 in (False, True):
                scorer = windowed.student_scorer(
                    network, torch.device("cpu"), frames=192, windows=kind, bfloat16=bfloat16
                )
                ways[f"{kind} {'bfloat16' if bfloat16 else 'float32'}"] = lambda scorer=scorer: both(
                    lambda x: scorer.of_windows(x, starts), log_mel, log_mel[::-1]
                )
        scores = {name: clip_score(tagging.combine, way(), CLASSES) for name, way in ways.items()}
        elsewhere = harness.Elsewhere(__file__, "--threads", given.threads, "--plain", width)
        times = harness.timed({"plain": elsewhere} | ways, repeats=1 if given.quick else 3)
        elsewhere.end()
        scores["plain"] = scores[kept]
        for name, time in times.items():
            off = float(np.abs(scores[name] - scores["plain"]).max())
            rows.append([width, name, time.median, times["plain"].median / time.median, off, time.spread])
            like = "dense float32" if name == "dense bfloat16" else "plain"
            wrong = float(np.abs(scores[name] - scores[like]).max())
            # Random weights: a trained network's scores move less, by what windows_lwlrap.py says.
            limit = {"dense float32": 1.0, "sliding bfloat16": 0.05, "exact bfloat16": 0.05, "dense bfloat16": 0.05}
            harness.require(wrong <= limit.get(name, 1e-5), f"{name} windows at width {width} are off by {wrong}")
    return harness.report(
        "tag_windows", given, rows=rows,
        columns=["width", "windows", "seconds", "times faster", "largest difference of a score", "spread"],
        note="A clip of 10 s (29 windows, both directions), the network alone. Random weights.",
    )  # fmt: skip


def both(logits, forward, backward):
    return logits(forward), logits(backward)


def clip_score(combine, logits, classes):
    return combine(*logits, classes=classes).mean(axis=0)


if __name__ == "__main__":
    main()
