"""How long a reviewer waits: from the key to the next clip on the screen, in Chromium.

    python benchmarks/review_speed.py REVIEW_FOLDER [--decisions 60]

Works on a copy of the folder, whose decisions it makes by keyboard in a real page of `earwitness review`; needs
Chromium and Playwright. A decision's time begins with the key and ends when the next clip's tags and spectrogram are
drawn; by then the decision is on the disk. Prints JSON: median, 95th percentile and the longest, in milliseconds, and
the time of a decision on the server alone.
"""

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--mute-audio", "--disable-background-networking", "--no-first-run"]


def figures(milliseconds: list[float]) -> dict[str, float]:
    """Returns what is told of a list of times."""
    ordered = sorted(milliseconds)
    return {
        "median": round(statistics.median(ordered), 1),
        "percentile_95": round(ordered[int(0.95 * (len(ordered) - 1))], 1),
        "longest": round(ordered[-1], 1),
    }


def measure(page: Page, address: str, decisions: int) -> dict[str, Any]:
    """Makes decisions by keyboard, a moment apart as a quick reviewer would; returns the figures."""
    page.goto(address)
    page.wait_for_selector(".tag")
    for _ in range(decisions):
        before = page.locator("#fname").inner_text()
        page.keyboard.press("Enter")
        page.wait_for_function("before => document.getElementById('fname').textContent !== before", arg=before)
        page.wait_for_timeout(700)
    shown = page.evaluate("performance.getEntriesByName('decision').map(one => one.duration)")
    asked = page.evaluate(
        "performance.getEntriesByType('resource').filter(one => one.name.endsWith('/decide')).map(one => one.duration)"
    )
    return {"decisions": len(shown), "shown_ms": figures(shown), "server_ms": figures(asked)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--decisions", type=int, default=60)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        copy = shutil.copytree(wanted.folder, Path(scratch) / "review", ignore=lambda *_: {"decisions.sqlite"})
        command = [sys.executable, "-m", "earwitness", "review", str(copy), "--port", "0", "--no-open"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            found = re.search(r"http://\S+", server.stdout.readline())
            assert found is not None
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
            result = measure(browser.new_page(), found[0], wanted.decisions)
            browser.close()
        finally:
            server.kill()
            server.wait()
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
