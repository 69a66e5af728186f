"""What the Gradio pages look like."""

from typing import Any

# Fonts of the machine: Gradio's own are fetched from elsewhere.
_FONTS = ("ui-sans-serif", "system-ui", "sans-serif")
# Gradio writes in the middle of a hue, of which teal's has a contrast of 2.5 to 1 on white; 4.5 can be read by nearly
# all, and 3 is enough for bars and signs.
_DARKER = {
    "block_label_text_color": "*primary_700",
    "block_title_text_color": "*primary_700",
    "block_label_background_fill_dark": "*primary_800",
    "button_primary_background_fill": "*primary_700",
    "button_primary_background_fill_dark": "*primary_700",
    "button_primary_background_fill_hover": "*primary_800",
    "button_primary_background_fill_hover_dark": "*primary_800",
    "body_text_color_subdued": "*neutral_600",
    "color_accent": "*primary_600",
    "stat_background_fill": "*primary_600",
    **{f"link_text_color{state}": "*primary_700" for state in ("", "_active", "_hover", "_visited")},
    **{f"link_text_color{state}_dark": "*primary_300" for state in ("", "_active", "_hover", "_visited")},
}


def theme() -> Any:
    """Returns the theme of both pages."""
    import gradio as gr

    look = gr.themes.Soft(primary_hue="teal", neutral_hue="slate", font=_FONTS, font_mono=_FONTS).set(**_DARKER)
    # Without it nobody sees where the place ends on which a file is to be dropped.
    look.block_border_width = "1px"
    # The player writes in this grey by its own name, on white as on black.
    look.neutral_400, look.neutral_400_dark = look.neutral_500, look.neutral_400
    return look
