"""The verbs `demo` and `sounds`: the built-in sound set."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import ThreadsOption, decoding_processes, use_threads
from .screen import bar, say
from .train import TrainingBar


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="where everything goes")] = Path("demo"),
    threads: ThreadsOption = None,
) -> None:
    """Do it all on the built-in sound set. Make it, prepare, train, evaluate, tag; with pictures."""
    use_threads(threads)
    from .. import demo as journey

    with bar("making the sound set") as advance:
        sounds = journey.make_sounds(out, on_clip=advance)
    with bar("decoding") as advance:
        store = journey.prepare_store(sounds, out, workers=decoding_processes(), on_clip=advance)
    started = time.perf_counter()
    for name in journey.RECIPES:
        say(f"training with the recipe {name}")
        with TrainingBar() as watcher:
            journey.train_one(name, store, out, observer=watcher)
    with bar("tagging") as advance:
        result = journey.conclude(store, sounds, out, seconds=lambda: time.perf_counter() - started, on_clip=advance)
    _print_demo(result, out)


def sounds(
    out: Annotated[Path, typer.Option(metavar="DIR", help="the folder of the sound set")],
    curated: Annotated[int, typer.Option(metavar="N", min=1, help="curated clips of each class")] = 6,
    noisy: Annotated[int, typer.Option(metavar="N", min=0, help="noisy clips of each class")] = 40,
    test: Annotated[int, typer.Option(metavar="N", min=0, help="test clips of each class")] = 10,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="seed of all sounds and labels")] = 2019,
) -> None:
    """Write the built-in sound set, laid out as FSDKaggle2019 is. Stopped, it goes on when run again."""
    from .. import synthetic, voices

    with bar("making the sound set") as advance:
        synthetic.write_dataset(
            out, curated_per_class=curated, noisy_per_class=noisy, test_per_class=test, seed=seed, on_clip=advance
        )
    clips = (curated + noisy + test) * len(voices.CLASSES)
    say(f"{out}: {clips} clips of {len(voices.CLASSES)} classes")


def _print_demo(result: dict[str, Any], out: Path) -> None:
    low, high = result["difference_interval"]
    tags = ", ".join(f"{name} {score:.2f}" for name, score in result["mixed_clip"]["tags"].items())
    for line in (
        "",
        f"lwlrap on {result['test_clips']} test clips, equal steps ({result['steps']}):",
        f"  curated clips only   {result['lwlrap_curated_only']:.4f}",
        f"  the full system      {result['lwlrap_full']:.4f}",
        f"  difference           {result['difference']:+.4f} (95 % interval {low:+.4f} to {high:+.4f})",
        f"a mixed clip of {' and '.join(result['mixed_clip']['labels'])} is tagged",
        f"  {tags}",
        *(f"{out / name}" for name in ("result.json", "learning_curve.png", "mixed_clip.png")),
    ):
        say(line)
