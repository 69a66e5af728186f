"""Table 1 and what hangs on it."""

import pytest
import torch
from torch import nn

from earwitness.network import FRAME_STRIDE, Backbone, Head, TeacherStudent


def small(outputs: int = 6, **settings: object) -> TeacherStudent:
    torch.manual_seed(0)
    return TeacherStudent(width=0.125, input_pooling=2, outputs=outputs, **settings)  # type: ignore[arg-type]


def test_the_backbone_is_table_1() -> None:
    """Row 5: 4,686,144 parameters; eight 3x3 convolutions without bias, of these channels."""
    backbone = Backbone(width=1.0, input_pooling=1)
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 4_686_144
    convolutions = [module for module in backbone.modules() if isinstance(module, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [64, 64, 128, 128, 256, 256, 512, 512]
    assert all(layer.kernel_size == (3, 3) and layer.bias is None for layer in convolutions)


def test_the_backbone_pools_mean_over_frequency_then_max_over_time() -> None:
    """With the last stage made transparent, the feature is max over time of the mean over frequency."""
    backbone = Backbone(width=1 / 64, input_pooling=1).eval()
    seen: list[torch.Tensor] = []
    backbone.stages[-1].register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    found = backbone(torch.randn(2, 192, 128))
    assert seen[0].shape == (2, 8, 192 // FRAME_STRIDE, 128 // FRAME_STRIDE)
    torch.testing.assert_close(found, seen[0].mean(dim=3).max(dim=2).values)


def test_a_head_is_linear_prelu_batchnorm_and_two_matrices() -> None:
    head = Head(8, 5).eval()
    linear, prelu, norm = head.embed
    features = torch.randn(3, 8)
    embedded = norm(prelu(linear(features)))
    out = head(features)
    torch.testing.assert_close(out.logits, embedded @ head.focal.weight.T)
    cosines = nn.functional.cosine_similarity(embedded[:, None], head.arcface.weight[None], dim=2)
    torch.testing.assert_close(out.cosines, cosines)
    torch.testing.assert_close(head.logits(features), out.logits)


def test_one_pass_or_two_differ_only_in_batch_normalisation() -> None:
    """Row 12: in evaluation mode, where batch normalisation sees no batch, together and apart are the same."""
    network = small().eval()
    v, u = torch.randn(2, 32, 16), torch.randn(5, 32, 16)
    for together, apart in zip(network(v, u), network(v, u, apart=True), strict=True):
        torch.testing.assert_close(together.logits, apart.logits)
    network.train()
    assert not torch.allclose(network(v, u)[0].logits, network(v, u, apart=True)[0].logits)


def test_without_rows_for_the_teacher_both_heads_read_the_students() -> None:
    network = small().eval()
    x = torch.randn(3, 32, 16)
    teacher, student = network(None, x)
    torch.testing.assert_close(teacher.logits, network.teacher_logits(x))
    torch.testing.assert_close(student.logits, network.student_logits(x))
    assert not torch.allclose(teacher.logits, student.logits)


def test_the_teachers_pass_leaves_no_trace() -> None:
    """Row 7: evaluation mode, no gradient, no batch statistics moved, and training goes on after it."""
    network = small().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    logits = network.teacher_logits(torch.randn(4, 32, 16))
    assert not logits.requires_grad and network.training
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("pooling", [1, 2])
def test_bfloat16_is_near_float32_and_the_heads_stay_float32(pooling: int) -> None:
    torch.manual_seed(1)
    exact = TeacherStudent(width=0.125, input_pooling=pooling, outputs=6).eval()
    rough = TeacherStudent(width=0.125, input_pooling=pooling, outputs=6, mixed_precision=True).eval()
    rough.load_state_dict(exact.state_dict())
    x = torch.randn(4, 64, 32)
    found, expected = rough.student_logits(x), exact.student_logits(x)
    assert found.dtype == torch.float32
    assert 0 < (found - expected).abs().max() < 0.05


def test_channels_last_changes_nothing_but_the_order() -> None:
    network, x = small().eval(), torch.randn(2, 64, 32)
    before = network.student_logits(x)
    torch.testing.assert_close(network.on(torch.device("cpu")).student_logits(x), before, atol=1e-5, rtol=1e-5)
