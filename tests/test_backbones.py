"""The backbones beside Table 1's: what each does otherwise, and what all of them must do."""

import json
import shutil
import typing
from pathlib import Path

import pytest
import torch
from torch import nn

from conftest import tiny_recipe, write_tiny_model
from earwitness import Tagger, backbones, checkpoint, recipe
from earwitness.corpus import Store
from earwitness.errors import ModelError
from earwitness.network import FRAME_STRIDE, Backbone, TeacherStudent

KINDS = pytest.mark.parametrize("kind", backbones.KINDS)
# How far a cell of the last maps hears beyond its own 8 frames, in cells: where padding is not felt.
MARGIN_CELLS = {"vgg": 4, "vgg-max": 4, "vgg-mean-max": 4, "vgg-attention": 4, "residual": 8, "separable": 6}


def built(kind: str, *, width: float = 0.125, input_pooling: int = 1) -> Backbone:
    torch.manual_seed(0)
    return backbones.KINDS[kind](width=width, input_pooling=input_pooling)


def settled(network: nn.Module, patches: torch.Tensor) -> None:
    """Takes batch normalisation's statistics from some patches: untrained, they let the signal fade with depth."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None
    network.train()(patches)
    network.eval()


def test_the_recipe_knows_every_backbone() -> None:
    assert typing.get_args(recipe.Network.model_fields["backbone"].annotation) == tuple(backbones.KINDS)
    assert backbones.KINDS[recipe.Network().backbone] is Backbone


@KINDS
@pytest.mark.parametrize("pooling", [1, 2, 4])
def test_features_are_as_many_as_it_says(kind: str, pooling: int) -> None:
    backbone = built(kind, input_pooling=pooling).eval()
    patches = torch.randn(2, 64, 64)
    assert backbone.maps(patches).shape == (2, backbone.features, 64 // 8 // pooling, 64 // 8 // pooling)
    assert backbone(patches).shape == (2, backbone.features)


@KINDS
def test_width_multiplies_the_channels(kind: str) -> None:
    assert built(kind, width=0.25).features == 2 * built(kind, width=0.125).features
    assert built(kind, width=1 / 128)(torch.randn(2, 64, 64)).isfinite().all()


@KINDS
def test_a_backbone_follows_from_its_seed(kind: str) -> None:
    patches = torch.randn(2, 64, 32)
    torch.testing.assert_close(built(kind)(patches), built(kind)(patches), rtol=0, atol=0)
    settings = [
        recipe.load(None, [f"network.backbone={kind}", "network.width=0.125", f"training.seed={n}"]) for n in (3, 3, 4)
    ]
    first, again, other = (checkpoint.new_network(each, classes=3).student_logits(patches) for each in settings)
    assert torch.equal(first, again) and not torch.equal(first, other)


@KINDS
def test_every_weight_learns(kind: str) -> None:
    """The gradient of a loss on one feature after the other reaches every weight, and is finite."""
    backbone = built(kind).train()
    (backbone(torch.randn(4, 64, 64)) ** 2).sum().backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


@KINDS
def test_maps_move_with_the_sound(kind: str) -> None:
    """8 frames later, the maps are one cell later, but for the cells that hear the padding at either end."""
    sound = torch.randn(1, 200, 32)
    backbone = built(kind)
    settled(backbone, sound)
    early, late = backbone.maps(sound[:, :192]), backbone.maps(sound[:, FRAME_STRIDE:])
    inner = slice(MARGIN_CELLS[kind], 24 - MARGIN_CELLS[kind] - 1)
    torch.testing.assert_close(early[:, :, 1:][:, :, inner], late[:, :, inner], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(early[:, :, 1], late[:, :, 0], rtol=1e-2, atol=1e-2)


@KINDS
def test_bfloat16_is_near_float32(kind: str) -> None:
    def network(mixed: bool) -> TeacherStudent:
        torch.manual_seed(1)
        return TeacherStudent(
            width=0.125, input_pooling=2, outputs=6, mixed_precision=mixed, backbone=backbones.KINDS[kind]
        )

    exact, rough = network(False), network(True).on(torch.device("cpu"))
    patches = torch.randn(16, 64, 32)
    settled(exact.backbone, patches)
    rough.load_state_dict(exact.state_dict())
    found, expected = rough.student_logits(patches), exact.student_logits(patches)
    assert found.dtype == torch.float32
    assert 0 < (found - expected).abs().max() < 0.25 * expected.abs().max()
    teacher, student = rough.train()(patches, patches)
    (teacher.logits.square().sum() + student.logits.square().sum()).backward()
    gradients = [parameter.grad for parameter in rough.backbone.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


# --- what each does otherwise ---


def maps_of(*columns: list[float]) -> torch.Tensor:
    """Maps (1, 1, time, frequency) with the given frames."""
    return torch.tensor(columns)[None, None]


def test_the_vggs_have_table_1s_weights() -> None:
    names = list(built("vgg").state_dict())
    assert list(built("vgg-max").state_dict()) == list(built("vgg-mean-max").state_dict()) == names
    extra = [name for name in built("vgg-attention").state_dict() if name not in names]
    assert extra == ["attention.weight", "attention.bias"]


def test_max_pooling_takes_the_largest_of_four() -> None:
    x = maps_of([1.0, 2.0], [4.0, 3.0])
    assert built("vgg-max").shrink(x).item() == 4
    assert built("vgg").shrink(x).item() == 2.5


def test_mean_max_by_hand() -> None:
    """Over frequency (1 + 2) / 2 + 2 = 3.5 and (0 + 4) / 2 + 4 = 6; over time 4.75 + 6."""
    assert built("vgg-mean-max").summarise(maps_of([1.0, 2.0], [0.0, 4.0])).item() == 10.75


def test_attention_by_hand() -> None:
    """With weights ln 3 apart for means 1 and 2: (1 + 3 * 2) / 4; with none, the mean over time."""
    backbone = typing.cast(backbones.Attentive, built("vgg-attention", width=1 / 512))
    assert backbone.features == 1
    maps = maps_of([0.0, 2.0], [1.0, 3.0])
    with torch.no_grad():
        backbone.attention.weight.fill_(float(torch.tensor(3.0).log()))
        torch.testing.assert_close(backbone.summarise(maps).item(), 1.75)
        backbone.attention.weight.zero_()
        torch.testing.assert_close(backbone.summarise(maps).item(), 1.5)


def test_a_residual_block_passes_its_input_on() -> None:
    """With the body's last normalisation silenced, what is left is the shortcut, past ReLU."""
    block = backbones.ResidualBlock(4, 4).eval()
    nn.init.zeros_(block.body[-1][1].weight)
    x = torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(block(x), x.relu())


def test_depths_and_channels() -> None:
    def convolutions(kind: str) -> list[nn.Conv2d]:
        return [module for module in built(kind, width=1.0).modules() if isinstance(module, nn.Conv2d)]

    residual = [each.out_channels for each in convolutions("residual") if each.kernel_size == (3, 3)]
    assert residual == [48] * 4 + [96] * 4 + [192] * 4 + [384] * 4
    deep = [each for each in convolutions("separable") if each.groups > 1]
    assert len(deep) == 11 and all(each.groups == each.in_channels for each in deep)


# --- on disk ---


def test_a_model_of_another_backbone_than_its_config_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    """Even where the weights would fit: vgg and vgg-max differ in no weight."""
    model = shutil.copytree(tiny_model, tmp_path / "model")
    for backbone in ("vgg-max", "residual"):
        config = json.loads((tiny_model / "config.json").read_text())
        assert config["recipe"]["network"]["backbone"] == "vgg"
        config["recipe"]["network"]["backbone"] = backbone
        (model / "config.json").write_text(json.dumps(config))
        with pytest.raises(ModelError) as refused:
            Tagger.load(model)
        message = str(refused.value)
        assert f"weights of the backbone vgg, but network.backbone in config.json is {backbone}" in message
        assert "\n" not in message
    del config["recipe"]["network"]["backbone"]
    (model / "config.json").write_text(json.dumps(config))
    Tagger.load(model)


@KINDS
def test_a_model_of_every_backbone_comes_back(kind: str, tiny_store: Path, tmp_path: Path) -> None:
    store = Store(tiny_store)
    folder = write_tiny_model(
        tmp_path, tiny_recipe(f"network.backbone={kind}", "network.input_pooling=4"), store.moments
    )
    scores = Tagger.load(folder).scores_of_log_mel(store.log_mel(0))
    assert scores.shape == (len(store.vocabulary),) and ((scores > 0) & (scores < 1)).all()
