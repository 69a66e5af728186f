"""Text on the Gradio pages can be read: at least 4.5 to 1, WCAG's level AA."""

from typing import Any

import pytest

pytest.importorskip("gradio", reason="the extra `serve` is not installed")

from earwitness.serving.theme import theme

NAMED = {"white": "#ffffff", "black": "#000000"}


def colour(look: Any, name: str) -> str:
    """The colour that one of a theme's names comes to, through those that it refers to; in the dark, the dark ones."""
    value = str(getattr(look, name))
    if not value.startswith("*"):
        return NAMED.get(value, value)
    dark = f"{value[1:]}_dark"
    return colour(look, dark if name.endswith("_dark") and hasattr(look, dark) else value[1:])


def luminance(hexadecimal: str) -> float:
    shares = [int(hexadecimal[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_as_the_standard_has_it() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#14b8a6", "#ffffff") == pytest.approx(2.49, abs=0.01)


@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("block_label_text_color", "block_label_background_fill"),
        ("block_title_text_color", "block_title_background_fill"),
        ("block_label_text_color_dark", "block_label_background_fill_dark"),
        ("button_primary_text_color", "button_primary_background_fill"),
        ("button_primary_text_color", "button_primary_background_fill_hover"),
        ("link_text_color", "body_background_fill"),
        ("link_text_color_visited", "body_background_fill"),
        ("link_text_color_dark", "body_background_fill_dark"),
        ("link_text_color_visited_dark", "body_background_fill_dark"),
        ("button_primary_text_color_dark", "button_primary_background_fill_dark"),
        ("neutral_400", "block_background_fill"),
        ("neutral_400_dark", "block_background_fill_dark"),
        ("body_text_color_subdued", "block_background_fill"),
        ("body_text_color_subdued_dark", "block_background_fill_dark"),
    ],
)
def test_text_stands_out_from_its_ground(text: str, ground: str) -> None:
    look = theme()
    assert contrast(colour(look, text), colour(look, ground)) >= 4.5


@pytest.mark.parametrize(
    ("drawn", "ground"),
    [
        ("color_accent", "block_background_fill"),
        ("color_accent", "block_background_fill_dark"),
        ("stat_background_fill", "block_background_fill"),
        ("stat_background_fill_dark", "block_background_fill_dark"),
    ],
)
def test_bars_and_signs_can_be_seen(drawn: str, ground: str) -> None:
    look = theme()
    assert contrast(colour(look, drawn), colour(look, ground)) >= 3
