"""The verb `estimate`."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from ..errors import counted
from .options import (
    AudioRootOption,
    CpuOption,
    JsonOption,
    ThreadsOption,
    nearest_folder,
    require_room_for_figures,
    use_threads,
    write_json,
)
from .screen import bar, duration, say, size


def estimate(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="a dataset's folder, or a table of clips")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="where stores and runs will lie")],
    system: Annotated[
        list[str],
        typer.Option(metavar="RECIPE[+RECIPE]", help="the recipes of a system, later ones on top; repeatable"),
    ],
    audio_root: AudioRootOption = None,
    json_file: JsonOption = None,
    threads: ThreadsOption = None,
    cpu: CpuOption = False,
) -> None:
    """Say how long training by some recipes takes, and how much disk. Refused where the disk is too small."""
    require_room_for_figures(json_file, inputs=[dataset])
    from .. import layouts
    from .. import recipe as recipes

    names = dict.fromkeys(system)
    settings = {name: recipes.load(name.split("+")) for name in names}
    found = layouts.read_dataset(dataset, audio_root=audio_root)
    use_threads(threads)
    from .. import devices
    from .. import estimate as costs

    device = devices.best(cpu=cpu)
    with bar("timing a step", total=len(system)) as advance:
        result = costs.estimate(
            found, [costs.System(name, settings[name]) for name in system], device=device, on_system=advance
        )
    free = shutil.disk_usage(nearest_folder(out)).free
    for cost in result.systems:
        lasts = duration(cost.training_seconds + cost.tagging_seconds)
        say(f"{cost.name}: {cost.steps} steps, {lasts}, {size(cost.run_bytes)}")
    say(f"log-mels of {counted(result.stores, 'kind')}: {size(result.store_bytes)}")
    say(f"in all {duration(result.seconds)} on {device}, {size(result.bytes)}; {size(free)} are free")
    costs.refuse_too_little_room(result, out, free)
    write_json(json_file, result.as_json() | {"free_bytes": free, "device": str(device)})
