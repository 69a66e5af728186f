"""How a training is shown, and what Control-C comes to while it is."""

import os
import signal
from collections.abc import Iterator

import pytest

from earwitness.cli.train import TrainingBar
from earwitness.learner import StepMetrics


@pytest.fixture
def handler() -> Iterator[None]:
    """What Control-C does, as a shell leaves it, and afterwards what it did."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def metrics(step: int) -> StepMetrics:
    return StepMetrics(
        step=step, stage=1, stage_step=step, loss=1.0, teacher_loss=0.5, student_loss=0.5, learning_rate=0.1,
        pseudo_labels_per_patch=None,
    )  # fmt: skip


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_it_stops_when_a_step_is_told(handler: None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), TrainingBar() as bar:
        bar.begun(done=0, total=9)
        bar.stepped(metrics(1))
        interrupt()
        assert "stopping after the next step, which is saved; once more stops at once" in capsys.readouterr().out
        bar.stepped(metrics(2))
        pytest.fail("it went on")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_asked_twice_it_stops_at_once(handler: None) -> None:
    with pytest.raises(KeyboardInterrupt), TrainingBar() as bar:
        bar.begun(done=0, total=9)
        interrupt()
        interrupt()
        pytest.fail("it went on")


def test_after_the_last_step_it_stops_before_what_follows(handler: None) -> None:
    with pytest.raises(KeyboardInterrupt), TrainingBar() as bar:
        bar.begun(done=0, total=1)
        bar.stepped(metrics(1))
        interrupt()


def test_where_it_is_left_out_it_stays_so(handler: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a run that a script began behind it; and in a team of processes nobody waits for the next step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with TrainingBar() as bar:
        bar.begun(done=0, total=9)
        interrupt()
        bar.stepped(metrics(1))
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with TrainingBar():
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
