"""How soon pages of the console paint, and how long the server takes for them.

    python bench/console_paint.py WORKSPACE [PATH ...]

Serves the workspace, opens each page in Chromium several times, and prints the median time to the
first contentful paint and of the server's answer, both as the browser measured them. Needs
Playwright and Debian's Chromium. The first visit also loads scripts and styles.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import urllib3
from playwright.sync_api import Page, sync_playwright

N_VISITS = 7
PORT = 8498
URL = f"http://127.0.0.1:{PORT}"
PAGES = (
    "/",
    "/loop",
    "/review",
    "/datasets",
    "/runs",
    "/models",
    "/fleet",
    "/incidents",
    "/settings",
)
MEASURE = """() => {
  const visit = performance.getEntriesByType("navigation")[0];
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  return [visit.responseEnd - visit.requestStart, paint ? paint.startTime : -1];
}"""


def main() -> None:
    """Print a table of the pages named, or of every room's."""
    workspace, paths = Path(sys.argv[1]), sys.argv[2:] or list(PAGES)
    command = [sys.executable, "-m", "sightloop.cli.main", "up", "--no-worker"]
    server = subprocess.Popen([*command, "--workspace", str(workspace), "--port", str(PORT)])
    try:
        wait_for_server()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
            )
            tab = browser.new_page(viewport={"width": 1440, "height": 900})
            tab.goto(f"{URL}/sign-in")
            tab.get_by_label("Token").fill((workspace / ".sightloop/token").read_text().strip())
            tab.get_by_role("button", name="Sign in").click()
            print(f"{'page':40} {'answer (ms)':>12} {'first paint (ms)':>18}")
            for path in paths:
                answers, paints = zip(*(visit(tab, path) for _ in range(N_VISITS)), strict=True)
                answer_ms, paint_ms = statistics.median(answers), statistics.median(paints)
                print(f"{path:40} {answer_ms:12.0f} {paint_ms:18.0f}")
            browser.close()
    finally:
        server.terminate()
        server.wait()


def wait_for_server() -> None:
    """Return once it answers."""
    while True:
        try:
            urllib3.request("GET", f"{URL}/health", retries=False)
        except urllib3.exceptions.HTTPError:
            time.sleep(0.1)
        else:
            return


def visit(tab: Page, path: str) -> tuple[float, float]:
    """Milliseconds from request to the answer's end, and to the first contentful paint."""
    tab.goto(URL + path)
    answer_ms, paint_ms = tab.evaluate(MEASURE)
    while paint_ms < 0:  # painted a moment after it was loaded
        tab.wait_for_timeout(20)
        answer_ms, paint_ms = tab.evaluate(MEASURE)
    return float(answer_ms), float(paint_ms)


if __name__ == "__main__":
    main()
