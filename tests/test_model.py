"""A model's config: what is told of one that is there and cannot be read."""

from pathlib import Path

import pytest

from earwitness import model
from earwitness.errors import ModelError


def test_a_config_that_cannot_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()  # as one without permission, which root would have
    with pytest.raises(ModelError, match=r"config\.json: cannot be read \(Is a directory\); check its permissions"):
        model.load_config(tmp_path)
