"""The page of `serve` in a real browser: a file is dropped on it, and then another."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from conftest import RATE_HZ, served, tone

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no Chromium is installed", allow_module_level=True)
for package in ("fastapi", "uvicorn", "gradio"):
    pytest.importorskip(package, reason="the extra `serve` is not installed")
playwright_api = pytest.importorskip("playwright.sync_api")
expect = playwright_api.expect


@pytest.fixture
def address(tiny_model: Path) -> Iterator[str]:
    from earwitness.serving.tag_app import create_app
    from earwitness.tagging import Tagger

    with served(create_app(Tagger.load(tiny_model), largest_bytes=10_000_000)) as found:
        yield found


@pytest.fixture
def page(address: str) -> Iterator[Any]:
    """The page; the test fails if it asks another machine."""
    strangers: list[str] = []
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        page.on("request", lambda r: None if r.url.startswith((address, "blob:", "data:")) else strangers.append(r.url))
        page.goto(address)
        yield page
        browser.close()
    assert not strangers


def drop(page: Any, path: Path) -> None:
    """Drops a file as somebody does who looks at what there is: Gradio may miss one that comes within an instant."""
    page.wait_for_timeout(1_000)
    page.locator("input[type=file]").first.set_input_files(path)


def test_files_are_dropped_one_after_the_other(page: Any, tmp_path: Path) -> None:
    long, quiet, text = tmp_path / "long.wav", tmp_path / "quiet.wav", tmp_path / "text_of_mine.mp4"
    soundfile.write(long, tone("Bark", seconds=4, seed=1), RATE_HZ)
    soundfile.write(quiet, np.zeros(4 * RATE_HZ), RATE_HZ)
    text.write_text("no sound at all")
    drop(page, long)
    expect(page.get_by_text("Tags of long.wav")).to_be_visible()
    expect(page.get_by_text("Child speech and kid speaking").first).to_be_visible()
    expect(page.get_by_text("When a class scores 50% or more")).to_be_visible()
    drop(page, quiet)
    expect(page.get_by_text("The file is silent throughout: there is nothing to tag.")).to_be_visible()
    expect(page.get_by_text("Child speech and kid speaking")).to_have_count(0)
    expect(page.get_by_text("When a class scores 50% or more")).to_be_hidden()
    drop(page, text)
    expect(page.get_by_text("no decoder can read this file")).to_be_visible()
    expect(page.get_by_text("Tags of text_of_mine.mp4")).to_be_visible()
