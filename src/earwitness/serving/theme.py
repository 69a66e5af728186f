"""What the Gradio pages look like."""

from typing import Any

# Fonts of the machine: Gradio's own are fetched from elsewhere.
_FONTS = ("ui-sans-serif", "system-ui", "sans-serif")
# Gradio's teal, but darker from the middle on, of which text and what is under white text are made: theirs has a
# contrast of 2.5 to 1 on white, where 4.5 can be read by nearly all.
_TEAL = {
    "c50": "#f0fdfa", "c100": "#ccfbf1", "c200": "#99f6e4", "c300": "#5eead4", "c400": "#0f766e", "c500": "#0f6b64",
    "c600": "#115e59", "c700": "#134e4a", "c800": "#12443e", "c900": "#0d3733", "c950": "#082826",
}  # fmt: skip


def theme() -> Any:
    """Returns the theme of both pages."""
    import gradio as gr

    hue = gr.themes.Color(name="dark_teal", **_TEAL)
    return gr.themes.Soft(primary_hue=hue, secondary_hue=hue, neutral_hue="slate", font=_FONTS, font_mono=_FONTS)
