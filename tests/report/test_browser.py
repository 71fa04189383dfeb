"""The page in a real browser: it renders without an error and without a request, on a desk and on a phone."""

import html
import json
import re
import shutil
import subprocess

import pytest

from akd.report.gather import Sources, gather
from akd.report.page import render

pytestmark = pytest.mark.slow
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# Looks at the page from outside, in a frame of the wanted width, and writes down what it found.
WRAPPER = """<!doctype html><body style="margin:0"><iframe id="frame" src="report.html"
style="width:{width}px;height:800px;border:0"></iframe><script>
frame.onload = () => {{
  const inside = frame.contentWindow, page = frame.contentDocument, root = page.documentElement;
  const shown = (name) => [...page.querySelectorAll(name)].filter((node) => node.getBoundingClientRect().height > 0).length;
  const before = [shown(".by-steps"), shown(".by-time")];
  page.getElementById("over-time")?.click();
  const after = [shown(".by-steps"), shown(".by-time")];
  const plot = [...page.querySelectorAll(".plot")].find((node) => node.getBoundingClientRect().height > 0);
  const box = plot?.getBoundingClientRect();
  plot?.dispatchEvent(new inside.PointerEvent("pointermove", {{ clientX: box.left + box.width / 2, clientY: box.top }}));
  page.querySelectorAll("details").forEach((node) => (node.open = true));
  document.body.dataset.found = JSON.stringify({{
    inner: inside.innerWidth, scroll: root.scrollWidth, before, after,
    read: plot?.parentElement.querySelector("output").textContent,
    resources: inside.performance.getEntriesByType("resource").map((entry) => entry.name),
    broken: [...page.images].filter((image) => image.complete && !image.naturalWidth).length,
    images: page.images.length, scripts: page.scripts.length, title: page.title,
    ground: inside.getComputedStyle(page.body).backgroundColor,
    faint: [...page.querySelectorAll("h1, p, td, dd, a")].filter((node) =>
      inside.getComputedStyle(node).color === inside.getComputedStyle(page.body).backgroundColor).length,
  }});
}};
</script></body>"""


@pytest.fixture(scope="module")
def browser():
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    return found or pytest.skip(f"none of {', '.join(BROWSERS)} is here; install one to look at the page in it")


@pytest.fixture(scope="module")
def pages(run_folder, bankless, data, tmp_path_factory):
    """The page of one run without data, and of two with."""
    written = {}
    for name, runs, source in (("one", [run_folder], None), ("two", [run_folder, bankless], str(data))):
        written[name] = tmp_path_factory.mktemp(name)
        (written[name] / "report.html").write_text(render(gather(runs, Sources(source))))
    return written


def look(browser, folder, width, dark):
    """What the wrapper found on the page, and what the browser's console said."""
    (folder / "wrapper.html").write_text(WRAPPER.format(width=width))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files"]
    options += [f"--window-size={max(width, 500)},800", "--virtual-time-budget=5000", "--enable-logging=stderr"]
    options += [f"--blink-settings=preferredColorScheme={0 if dark else 1}", f"--user-data-dir={folder / 'profile'}"]
    command = [browser, *options, "--dump-dom", (folder / "wrapper.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = re.search(r'data-found="([^"]*)"', done.stdout)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found[1])), [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("name", ["one", "two"])
def test_it_renders_without_errors_requests_or_a_sideways_scroll(name, width, dark, browser, pages):
    found, console = look(browser, pages[name], width, dark)
    assert console == []
    assert found["resources"] == [] and found["broken"] == 0 and found["images"] > 0
    assert found["inner"] == width and found["scroll"] <= width
    assert found["scripts"] == 1  # no class name became one
    charts = found["before"][0]
    assert charts >= 5 and found["before"] == [charts, 0] and found["after"] == [0, charts]
    assert re.match(r"at [\d.,]+: ", found["read"])
    assert found["faint"] == 0
    red = int(re.findall(r"\d+", found["ground"])[0])
    assert red < 64 if dark else red > 192


def test_the_harness_sees_an_error_and_a_request(browser, tmp_path):
    """What the test above relies on."""
    faults = "<img src='http://127.0.0.1:9/x.png'><div style='width:2000px'>x</div><script>nothing()</script>"
    (tmp_path / "report.html").write_text(f"<body>{faults}</body>")
    found, console = look(browser, tmp_path, 390, False)
    assert any("nothing is not defined" in line for line in console)
    assert found["resources"] == ["http://127.0.0.1:9/x.png"] and found["scroll"] > 390 and found["broken"] == 1
