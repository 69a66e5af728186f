"""The page in a real browser, by keyboard alone; skipped where there is no Chromium or no Playwright."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import served
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
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
# Storage as it is where the browser forbids it: to name it is an error.
NO_STORAGE = """() => { for (const name of ["localStorage", "sessionStorage"])
  Object.defineProperty(window, name, { get() { throw new DOMException("denied", "SecurityError"); } }); }"""
# Whether the picture that is shown was fetched before the latest decision was sent.
FETCHED_AHEAD = """() => {
  const all = performance.getEntriesByType("resource");
  const times = (end) => all.filter((one) => one.name.endsWith(end)).map((one) => one.startTime);
  return times(`/clips/${state.queue[0].number}/picture.png`)[0] < Math.max(...times("/decide"));
}"""

# Sounds and pictures as they come over a slow line: not before `letGo` is called.
HELD_BACK = """() => {
  const [now, gone] = [load, new Promise((done) => { window.letGo = done; })];
  load = async (number) => { await gone; return now(number); };
  media.clear();
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
    """Where the same pages are served by this process."""
    from earwitness.serving.app import create_app
    from earwitness.serving.desk import Desk

    folder = review_folder.read(own_review)
    decisions = Decisions(own_review / FILE_NAME, folder.fingerprint)
    with served(create_app(Desk(folder, decisions), reviewer="Anna")) as found:
        yield found
    decisions.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=ARGUMENTS, ignore_default_args=["--disable-back-forward-cache"]
        )
        yield launched
        launched.close()


def opened(browser: Any, address: str, **options: Any) -> Any:
    """A page in a profile of its own that has its first clip; it fails the test if it asks another machine."""
    page: Any = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | options).new_page()
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
    options, lines = page.locator("#found [role=option]:not([aria-disabled])"), page.locator("#found li")
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


def test_who_waits_for_the_last_clip_of_another_keeps_the_focus_and_gets_it(browser: Any, address: str) -> None:
    pages = [opened(browser, f"{address}?reviewer={name}") for name in ("Anna", "Ben")]
    waiting, other = pages
    while waiting.locator("#review").is_visible():
        waiting.keyboard.press("n")
        waiting.wait_for_function("() => !state.busy")
    expect(waiting.locator("#finished-heading")).to_have_text("Nothing free at the moment")
    waiting.locator("#undo-last").focus()
    with waiting.expect_response("**/api/next"):
        pass
    waiting.wait_for_function("() => !state.busy")
    expect(waiting.locator("#undo-last")).to_be_focused()

    waiting.route("**/api/next", lambda route: route.abort())
    expect(waiting.locator("#error")).to_contain_text("The server does not answer")
    waiting.unroute("**/api/next")
    expect(waiting.locator("#error")).to_be_hidden()
    wanted = clip_of(other)
    other.goto("about:blank")
    expect(waiting.locator("#fname")).to_have_text(wanted)
    expect(waiting.locator("#fname")).to_be_focused()


def test_who_calls_off_another_name_stays_with_name_and_ticks(browser: Any, address: str) -> None:
    page = opened(browser, address)
    page.keyboard.press("1")
    marks = ticked(page)
    page.locator("#name").click()
    page.locator("#ask-name").fill("Be")
    page.keyboard.press("Escape")
    expect(page.locator("#ask")).to_be_hidden()
    page.wait_for_function("() => !state.busy")
    assert (page.locator("#name").inner_text(), ticked(page)) == ("Anna", marks)
    page.locator("#name").click()
    page.locator("#ask-name").fill("Ben")
    page.keyboard.press("Enter")
    expect(page.locator("#name")).to_have_text("Ben")


def test_on_a_slow_line_a_clip_keeps_its_rows_until_the_next_is_here(browser: Any, address: str) -> None:
    page = opened(browser, address)
    page.evaluate(HELD_BACK)
    before, labels = clip_of(page), page.locator(".tag label").all_inner_texts()
    with page.expect_response("**/api/decide"):
        page.keyboard.press("n")
    expect(page.locator("#review")).to_have_attribute("aria-busy", "true")
    page.wait_for_function("() => Number(document.querySelector('#progress').value) === 1")
    for row in page.locator(".tag").all():
        row.hover()
    assert page.evaluate("() => rows().map((tag) => shownAs(tag.label))") == labels
    assert clip_of(page) == before
    page.evaluate("() => letGo()")
    expect(page.locator("#fname")).not_to_have_text(before)
    expect(page.locator("#review")).to_have_attribute("aria-busy", "false")
    assert not page.strangers


def test_a_held_arrow_draws_the_playhead_once_a_frame(browser: Any, address: str) -> None:
    page = opened(browser, address)
    page.evaluate("() => { audio.currentTime = 0; audio.loop = true; audio.playbackRate = 0.25; play(); }")
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    drawn = """() => new Promise((done) => {
      let times = 0;
      new MutationObserver((all) => { times += all.length; }).observe(playhead, { attributes: true });
      const after = (frames) => (frames ? requestAnimationFrame(() => after(frames - 1)) : done(times));
      after(10);
    })"""
    assert page.evaluate(drawn) <= 12


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


def test_rows_of_tags_on_a_telephone(browser: Any, address: str) -> None:
    page = opened(browser, address, **PHONE)
    for row in page.locator(".tag").all():
        box, label, pills = (row.locator(part).bounding_box() for part in ("input", "label", ".pills"))
        assert box["x"] + box["width"] < label["x"] < label["x"] + label["width"] < pills["x"]
        assert label["width"] > 100
    before = ticked(page)
    page.locator(".tag label").first.tap()
    assert ticked(page) != before


def test_after_the_mouse_space_plays_and_after_keys_it_ticks(browser: Any, address: str) -> None:
    page = opened(browser, address)
    page.evaluate("() => { audio.pause(); audio.playbackRate = 0.25; }")
    for clicked in ("#tag-0", "label[for=tag-0]", "#at-once", "#keys", "#keys"):
        page.locator(clicked).click()
        expect(page.locator("#fname")).to_be_focused()
    marks, paused = ticked(page), page.evaluate("() => audio.paused")
    page.keyboard.press("Space")
    page.wait_for_function("(before) => audio.paused !== before", arg=paused)
    assert ticked(page) == marks
    page.locator("#tag-0").focus()
    page.keyboard.press("Space")
    assert ticked(page) != marks
    expect(page.locator("#tag-0")).to_be_focused()


def test_numbers_leave_the_focus_and_are_spoken(browser: Any, address: str) -> None:
    page = opened(browser, address)
    while page.locator(".tag").count() < 2:
        press(page, "s")
    name, box = page.locator("label[for=tag-1]").inner_text(), page.locator("#tag-1")
    page.locator("#tag-0").focus()
    for _ in range(2):
        page.keyboard.press("2")
        said = f"{name} ticked" if box.is_checked() else f"{name} not ticked"
        expect(page.locator("#spoken")).to_have_text(said)
        expect(page.locator("#tag-0")).to_be_focused()
    page.keyboard.press("a")
    page.keyboard.type("zzz")
    remark = page.locator("#found li")
    expect(remark).to_have_text("no such tag")
    assert (remark.get_attribute("role"), remark.get_attribute("aria-disabled")) == ("option", "true")
    expect(page.locator("#spoken")).to_have_text("no such tag")
    page.keyboard.press("Enter")
    assert page.locator("#add").input_value() == "zzz", "it cannot be chosen"


def test_a_clip_comes_to_one_page_alone(browser: Any, address: str) -> None:
    """Also where a tab is duplicated with all that is stored in it, and where a page comes back as it was left."""
    page = opened(browser, address)
    with page.context.expect_page() as opening:
        page.evaluate("() => { window.open(location.href); }")
    double = opening.value
    expect(double.locator(".tag").first).to_be_visible()
    assert clip_of(double) != clip_of(page)
    double.close()

    page.keyboard.press("1")
    own, marks = clip_of(page), ticked(page)
    page.evaluate("() => { window.leftAlive = true; }")
    leave_and_return(page, address)
    expect(page.locator("#fname")).to_have_text(own)
    assert ticked(page) == marks, "nobody had it meanwhile, and what was ticked stays"

    def take_it() -> None:
        others.append(opened(browser, f"{address}?reviewer=Ben"))

    others: list[Any] = []
    leave_and_return(page, address, take_it)
    assert clip_of(others[0]) == own, "what a page had goes to others as it is left"
    expect(page.locator("#fname")).not_to_have_text(own)
    assert page.evaluate("() => window.leftAlive"), "it was kept as it was, not loaded anew"


def leave_and_return(page: Any, address: str, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Goes to another address and back."""
    page.goto(f"{address}manifest.json")
    meanwhile()
    with page.expect_response("**/api/next"):
        page.evaluate("() => { setTimeout(() => history.back(), 50); }")
    page.wait_for_function("() => !state.busy")


def test_where_storage_is_forbidden(browser: Any, address: str, own_review: Path) -> None:
    context = browser.new_context()
    context.add_init_script(f"({NO_STORAGE})()")
    page = context.new_page()
    page.goto(address)
    expect(page.locator(".tag").first).to_be_visible()
    page.keyboard.press("n")
    expect(page.locator("#progress-text")).to_contain_text("1 of 20")
    assert len(kept(own_review)) == 1


def test_a_clip_that_cannot_be_heard(browser: Any, address: str, own_review: Path) -> None:
    page = opened(browser, address)
    error = page.locator("#error")
    page.route("**/api/clips/**", lambda route: route.abort())
    page.evaluate("() => media.clear()")
    press(page, "s")
    expect(error).to_contain_text("still running? You can try again with Play, or skip the clip.")
    for shown in ("#spectrogram", "#playhead", "#evidence", "#seconds span"):
        expect(page.locator(shown)).to_be_hidden()
    assert "0.0" not in page.locator("#about-clip").inner_text() + page.locator("#spoken").inner_text()

    page.unroute("**/api/clips/**")
    gone = {"status": 503, "json": {"error": "a.wav: the sound file is gone; put it back"}}
    page.route("**/api/clips/**", lambda route: route.fulfill(**gone))
    page.keyboard.press("r")
    expect(error).to_have_text(
        "a.wav: the sound file is gone; put it back. You can try again with Play, or skip the clip."
    )
    clip, proposed = clip_of(page), ticked(page)
    page.keyboard.press("Enter")
    expect(error).to_contain_text("You have not heard this clip. Do that again to decide on it all the same")
    page.wait_for_timeout(200)
    assert [one.outcome for one in kept(own_review)] == ["skipped"]

    page.unroute("**/api/clips/**")
    page.keyboard.press("Space")
    expect(page.locator("#spectrogram")).to_be_visible()
    expect(error).to_be_hidden()
    page.wait_for_function("() => audio.currentTime > 0")
    assert (clip_of(page), ticked(page)) == (clip, proposed)


def test_who_insists_decides_on_a_clip_that_cannot_be_heard(browser: Any, address: str, own_review: Path) -> None:
    page = opened(browser, address)
    page.route("**/api/clips/**", lambda route: route.abort())
    page.evaluate("() => media.clear()")
    clip = press(page, "s")
    page.keyboard.press("n")
    expect(page.locator("#error")).to_contain_text("You have not heard this clip")
    press(page, "n")
    assert [(one.fname, one.outcome) for one in kept(own_review)][1:] == [(clip, "none")]
