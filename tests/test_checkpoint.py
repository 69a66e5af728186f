"""Checkpoints and models on disk: whole, bound to their network, and refused by one line where they are damaged."""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from earwitness import checkpoint, recipe
from earwitness.checkpoint import Place
from earwitness.errors import ModelError, RunError

SETTINGS = recipe.load(None, ["network.width=0.03125", "network.input_pooling=4"])


def trained() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """Returns a small network after one step of Nadam."""
    network = checkpoint.new_network(SETTINGS, classes=3)
    optimizer = torch.optim.NAdam(network.parameters())
    for output in network(None, torch.randn(4, 64, 128, generator=torch.Generator().manual_seed(1))):
        output.logits.square().mean().backward(retain_graph=True)
    optimizer.step()
    return network, optimizer


def test_weights_are_drawn_from_the_seed_alone() -> None:
    torch.manual_seed(1)
    once = checkpoint.new_network(SETTINGS, classes=3).state_dict()
    torch.manual_seed(2)
    again = checkpoint.new_network(SETTINGS, classes=3).state_dict()
    other = checkpoint.new_network(recipe.load(None, ["training.seed=1"]), classes=3).state_dict()
    name = "student.focal.weight"
    assert torch.equal(once[name], again[name]) and once[name].shape != other[name].shape
    assert all(torch.equal(once[key], again[key]) for key in once)


def test_drawing_weights_leaves_the_callers_chance_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tagger that is opened within somebody's training must not seed that training's GPU anew."""
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("the GPUs were seeded"))
    before = torch.random.get_rng_state()
    checkpoint.new_network(SETTINGS, classes=3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_checkpoint_brings_back_weights_and_optimizer(tmp_path: Path) -> None:
    network, optimizer = trained()
    labels, average = torch.rand(5, 3), checkpoint.new_network(SETTINGS, classes=3)
    checkpoint.save_checkpoint(tmp_path, Place(2, 7), network, optimizer, clip_labels=labels, average=average)
    path = checkpoint.checkpoints(tmp_path)[-1]
    assert checkpoint.place_of(path) == Place(2, 7)
    assert torch.equal(checkpoint.clip_labels(path), labels)  # type: ignore[arg-type]
    fresh, fresh_average = (checkpoint.new_network(SETTINGS, classes=3) for _ in range(2))
    fresh_optimizer = torch.optim.NAdam(fresh.parameters())
    for parameter in fresh_average.parameters():
        parameter.data.zero_()
    checkpoint.restore(path, fresh, fresh_optimizer, fresh_average)
    for saved, restored in ((network, fresh), (average, fresh_average)):
        for name, tensor in saved.state_dict().items():
            assert torch.equal(tensor, restored.state_dict()[name]), name
    ours, theirs = optimizer.state_dict()["state"], fresh_optimizer.state_dict()["state"]
    assert ours.keys() == theirs.keys() and ours
    for index in ours:
        for key, value in ours[index].items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(theirs[index][key])), (index, key)


def test_the_newest_two_are_kept_in_the_order_of_training(tmp_path: Path) -> None:
    network, optimizer = trained()
    for place in (Place(1, 90), Place(1, 100), Place(2, 5)):
        checkpoint.save_checkpoint(tmp_path, place, network, optimizer)
    assert [path.name for path in checkpoint.checkpoints(tmp_path)] == [Place(1, 100).name, Place(2, 5).name]
    assert not list(tmp_path.glob(".part-*"))


@pytest.mark.parametrize(
    ("change", "words"), [("network.backbone=residual", "Missing key"), ("network.width=0.125", "size mismatch")]
)
def test_a_checkpoint_of_another_network_is_refused(change: str, words: str, tmp_path: Path) -> None:
    """As where a run's recipe.toml was changed by hand, or a checkpoint comes from another run."""
    place = Place(1, 5)
    checkpoint.save_checkpoint(tmp_path, place, *trained())
    other = checkpoint.new_network(
        recipe.load(None, ["network.width=0.03125", "network.input_pooling=4", change]), classes=3
    )
    with pytest.raises(RunError, match=words) as refused:
        checkpoint.restore(tmp_path / place.name, other, None)
    message = str(refused.value)
    assert message.startswith(f"{tmp_path / place.name}: not of the network that the run's recipe describes")
    assert "\n" not in message and len(message) < 600


def test_a_checkpoint_with_a_part_missing_is_not_taken_for_another_networks(tmp_path: Path) -> None:
    place = Place(1, 5)
    network, optimizer = trained()
    checkpoint.save_checkpoint(tmp_path, place, network, optimizer)
    path = tmp_path / place.name
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RunError, match="not a checkpoint that can be read"):
        checkpoint.restore(path, network)


def test_a_full_disk_is_an_error_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """safetensors tells of it by words alone."""

    def full(*_: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", full)
    network = checkpoint.new_network(recipe.load(None, ["network.width=0.03125"]), classes=2)
    with pytest.raises(OSError, match="No space left") as caught:
        checkpoint.save_checkpoint(tmp_path, Place(1, 1), network, torch.optim.SGD(network.parameters()))
    assert caught.value.errno == errno.ENOSPC and str(tmp_path) in str(caught.value.filename)
    assert not list(tmp_path.iterdir())


def test_a_torn_checkpoint_is_named(tmp_path: Path) -> None:
    torn = tmp_path / Place(1, 3).name
    torn.write_bytes(b"\x10\x00\x00\x00")
    with pytest.raises(RunError, match=r"stage1-00000003\.safetensors: not a checkpoint"):
        checkpoint.place_of(torn)


def spoil(content: dict[str, Any], key: str, value: Any) -> None:
    content[key] = value


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda c: c.pop("classes"), "damaged (it has no classes)"),
        (lambda c: spoil(c, "classes", "abcd"), "classes are not a list of names"),
        (lambda c: spoil(c, "classes", [1, 2, 3, 4]), "classes are not a list of names"),
        (lambda c: spoil(c, "classes", []), "damaged"),
        (lambda c: spoil(c, "mean", [1.0]), "128 numbers"),
        (lambda c: spoil(c, "std", None), "128 numbers"),
        (lambda c: spoil(c, "format", 99), "format 99, this version of earwitness reads 1; tag with"),
        (lambda c: spoil(c, "recipe", {"network": {"width": 77}}), "network.width"),
    ],
)
def test_a_damaged_config_is_one_line(
    tiny_model: Path, tmp_path: Path, damage: Callable[[dict[str, Any]], Any], words: str
) -> None:
    folder = tmp_path / "model"
    copytree(tiny_model, folder)
    content = json.loads((folder / "config.json").read_text())
    damage(content)
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(ModelError) as refused:
        checkpoint.load_config(folder)
    assert words in str(refused.value) and "\n" not in str(refused.value)
