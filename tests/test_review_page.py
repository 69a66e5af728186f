"""The page in a real browser, by keyboard alone; skipped where there is no Chromium or no Playwright."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from earwitness.reviewing import folder as review_folder
from earwitness.reviewing.decision import Decision
from earwitness.reviewing.decisions import FILE_NAME, Decisions

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if not CHROMIUM:
    pytest.skip("there is no Chromium", allow_module_level=True)
for package in ("fastapi", "uvicorn", "gradio"):
    pytest.importorskip(package)
playwright_api = pytest.importorskip("playwright.sync_api")
expect = playwright_api.expect
expect.set_options(timeout=60_000)  # the machine may be busy

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--mute-audio", "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
# Whether the picture that is shown was fetched before the latest decision was sent.
FETCHED_AHEAD = """() => {
  const all = performance.getEntriesByType("resource");
  const times = (end) => all.filter((one) => one.name.endsWith(end)).map((one) => one.startTime);
  return times(`/clips/${state.queue[0].number}/picture.png`)[0] < Math.max(...times("/decide"));
}"""


class Program:
    """`earwitness review` in a process of its own, to be killed."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        command = [
            sys.executable,
            "-m",
            "earwitness",
            "review",
            folder,
            "--port",
            port,
            "--no-open",
            "--reviewer",
            "Anna",
        ]
        self._process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True, env=os.environ)
        assert self._process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", self._process.stdout.readline())
        assert found is not None
        self.address, self.port = found[0], int(found[1])

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def address(own_review: Path) -> Iterator[str]:
    """Where the same pages are served by this process, which is quicker to begin."""
    import uvicorn

    from earwitness.serving import run
    from earwitness.serving.app import create_app
    from earwitness.serving.desk import Desk

    folder = review_folder.read(own_review)
    decisions = Decisions(own_review / FILE_NAME, folder.fingerprint)
    server = uvicorn.Server(uvicorn.Config(create_app(Desk(folder, decisions), reviewer="Anna"), log_level="warning"))
    with run.listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield run.address_of(listener)
        server.should_exit = server.force_exit = True
        thread.join()
    decisions.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


def opened(browser: Any, address: str, **options: Any) -> Any:
    """A page in a profile of its own that has its first clip; it fails the test if it asks another machine."""
    page: Any = browser.new_context(viewport={"width": 1280, "height": 800}, **options).new_page()
    page.set_default_timeout(60_000)
    strangers: list[str] = []
    page.on("request", lambda r: None if r.url.startswith((address, "blob:", "data:")) else strangers.append(r.url))
    page.on("pageerror", lambda error: strangers.append(str(error)))
    page.goto(address)
    expect(page.locator(".tag").first).to_be_visible()
    page.strangers = strangers
    return page


def clip_of(page: Any) -> str:
    return page.locator("#fname").inner_text()


def press(page: Any, key: str) -> str:
    """Presses a key that leads to another clip; returns that clip's name."""
    before = clip_of(page)
    page.keyboard.press(key)
    expect(page.locator("#fname")).not_to_have_text(before)
    return clip_of(page)


def ticked(page: Any) -> list[str]:
    return [one.replace(" ", "_") for one in page.locator(".tag:has(input:checked) label").all_inner_texts()]


def kept(folder: Path) -> list[Decision]:
    decisions = Decisions(folder / FILE_NAME, None)
    try:
        return decisions.all()
    finally:
        decisions.close()


def test_a_review_by_keyboard(browser: Any, address: str, own_review: Path) -> None:
    page = opened(browser, address)
    expect(page.locator("#name")).to_have_text("Anna")
    names, expected = [clip_of(page)], []

    expected.append((set(ticked(page)), {"given", "proposed", "none"}))  # Enter: what is proposed
    names.append(press(page, "Enter"))

    page.keyboard.press("1")  # a number: one tag more or less
    expected.append((set(ticked(page)), {"given", "proposed", "changed", "none"}))
    names.append(press(page, "Enter"))

    given = page.locator(".tag:has(.is-given) label").all_inner_texts()
    expected.append(({one.replace(" ", "_") for one in given}, {"given"}))
    names.append(press(page, "g"))
    expected.append((set(), {"none"}))
    names.append(press(page, "n"))
    expected.append((set(), {"skipped"}))
    names.append(press(page, "s"))

    done = kept(own_review)
    assert [one.fname for one in done] == names[:5]
    for decision, (labels, outcomes) in zip(done, expected, strict=True):
        assert (set(decision.labels), decision.outcome in outcomes) == (labels, True)
    assert page.locator("#progress-text").inner_text().startswith("4 of 20 settled")

    assert press(page, "u") == names[4], "undo brings the skipped clip back"
    assert len(kept(own_review)) == 4
    assert press(page, "u") == names[3]
    assert ticked(page) == [], "and what had been chosen"
    assert not page.strangers


def test_adding_any_tag_by_typing(browser: Any, address: str, own_review: Path) -> None:
    page = opened(browser, address)
    names = ("Bark", "Child speech and kid speaking", "Meow", "Purr")
    while not (missing := set(names) - set(page.locator(".tag label").all_inner_texts())):
        press(page, "s")
    (missing, *_) = sorted(missing)
    page.keyboard.press("a")
    page.keyboard.type(missing[:3].lower())
    expect(page.locator("#found [aria-selected=true]")).to_have_text(missing)
    assert page.locator("#add").get_attribute("aria-activedescendant") == "found-0"
    page.keyboard.press("Enter")
    assert missing.replace(" ", "_") in ticked(page)
    press(page, "Enter")
    decision = kept(own_review)[-1]
    assert missing.replace(" ", "_") in decision.labels


def test_a_tag_of_many_is_found_without_its_accents(browser: Any, address: str) -> None:
    page = opened(browser, address)
    # The same accents as one character each and as two, and more classes than a list can show.
    species = ["Parus \u00f1and\u00fa", "Sylvia n\u0303andu\u0301", *(f"Turdus {number}" for number in range(80))]
    page.evaluate("(names) => { state.classes = names; }", species)
    page.keyboard.press("a")
    options, lines = page.locator("#found [role=option]"), page.locator("#found li")
    for typed in ("NANDU", "\u00f1and\u00fa", "n\u0303andu\u0301"):
        page.locator("#add").fill(typed)
        expect(options).to_have_count(2)
    page.locator("#add").fill("turdus")
    expect(lines.last).to_have_text("30 more: type on")
    assert options.count() == 50
    page.locator("#add").fill("turdus 79")
    expect(lines).to_have_text(["Turdus 79"])


def test_playing_and_listening_to_the_evidence(browser: Any, address: str) -> None:
    page = opened(browser, address)
    page.evaluate("() => { const a = document.getElementById('audio'); a.pause(); a.playbackRate = 0.25; }")
    page.keyboard.press("Space")
    page.wait_for_function("() => !document.getElementById('audio').paused")
    expect(page.locator("#play-word")).to_have_text("Pause")
    page.keyboard.press("Space")
    page.wait_for_function("() => document.getElementById('audio').paused")
    page.keyboard.press("e")
    page.wait_for_function("() => !document.getElementById('audio').paused")
    expect(page.locator("#evidence")).to_be_visible()
    page.keyboard.press("r")
    page.wait_for_function("() => document.getElementById('audio').currentTime < 0.5")


def test_a_server_that_is_killed_loses_nothing(browser: Any, own_review: Path) -> None:
    server = Program(own_review)
    page = opened(browser, server.address)
    first = clip_of(page)
    second = press(page, "n")
    server.kill()
    page.keyboard.press("n")
    expect(page.locator("#error")).to_contain_text("Nothing that was decided is lost")
    assert clip_of(page) == second, "the clip stays before the reviewer"
    again = Program(own_review, server.port)
    try:
        press(page, "n")
        expect(page.locator("#error")).to_be_hidden()
        assert [one.fname for one in kept(own_review)] == [first, second]
    finally:
        again.kill()


def test_a_review_begun_anew_with_other_clips(browser: Any, own_review: Path) -> None:
    """`clean` has judged again: the open page's numbers are other clips', and so is what they sound like."""
    server = Program(own_review)
    page = opened(browser, server.address)
    server.kill()
    table = own_review / "verdicts.csv"
    header, *rows = table.read_text("utf-8").splitlines(keepends=True)
    table.write_text(header + "".join(reversed(rows)), "utf-8")
    again = Program(own_review, server.port)
    try:
        page.keyboard.press("n")
        expect(page.locator("#error")).to_contain_text("load the page again")
        assert kept(own_review) == []
        page.reload()
        expect(page.locator(".tag").first).to_be_visible()
        press(page, "n")
        assert len(kept(own_review)) == 1
    finally:
        again.kill()


def test_two_reviewers_and_the_end(browser: Any, address: str, own_review: Path) -> None:
    """Two at a time get no clip twice; then all is done."""
    pages = [opened(browser, f"{address}?reviewer={name}") for name in ("Anna", "Ben")]
    assert clip_of(pages[0]) != clip_of(pages[1])
    for _ in range(8):
        for page in pages:
            press(page, "g")
            assert page.evaluate(FETCHED_AHEAD), "the picture was asked for before the decision"
    for page in pages:
        while page.locator("#review").is_visible():
            page.keyboard.press("n")
            page.wait_for_timeout(100)
    expect(pages[1].locator("#finished-heading")).to_have_text("All done")
    done = kept(own_review)
    assert len({one.fname for one in done}) == len(done) == 20
    assert {one.reviewer for one in done} == {"Anna", "Ben"}


def test_names_labels_focus_and_narrow_screens(browser: Any, address: str) -> None:
    page = opened(browser, address)
    expect(page.locator("#fname")).to_be_focused()
    assert "clip of" in page.locator("#spoken").inner_text()
    for role in ("button", "checkbox", "combobox", "link"):
        for element in page.get_by_role(role).all():  # type: ignore[arg-type]
            named = element.evaluate(
                "e => (e.ariaLabel || e.innerText || (e.labels && e.labels[0]?.innerText) || '').trim()"
            )
            assert named, element.evaluate("e => e.outerHTML")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.tagName") in ("BUTTON", "INPUT")
    page.get_by_label("Single keys").uncheck()
    before = clip_of(page)
    page.locator("#fname").focus()
    page.keyboard.press("n")
    page.wait_for_timeout(200)
    assert clip_of(page) == before, "single keys can be turned off"
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 400
    expect(page.locator("#accept")).to_be_in_viewport()
