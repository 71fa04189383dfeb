"""The page as text: whole without help from outside, and nothing a user names can become markup."""

import re
import shutil
from html.parser import HTMLParser

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from akd.report.facts import compared, duration
from akd.report.findings import findings
from akd.report.gather import Sources, gather
from akd.report.images import heat_uri, strip_uri
from akd.report.page import render
from tests.report.conftest import NAMES


class Page(HTMLParser):
    """Tags, attributes and visible text; where a tag is never closed, or closed unopened, `broken` says which."""

    VOID = ("meta", "link", "img", "input", "br")

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self.open, self.broken = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.broken.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)


@pytest.fixture(scope="module")
def gathered(run_folder, data):
    return gather([run_folder], Sources(str(data)))


@pytest.fixture(scope="module")
def both(run_folder, bankless, data):
    return gather([run_folder, bankless], Sources(str(data)))


def assert_self_contained(page):
    assert page.broken == [] and page.open == []
    for tag, name, value in page.attributes:
        if name in ("src", "href", "srcset", "poster", "data", "action"):
            assert value.startswith(("data:", "#")), (tag, name, value)
        assert not name.startswith("on"), (tag, name, value)
    assert (page.tags.count("script"), page.tags.count("style"), page.tags.count("link")) == (1, 1, 1)


def test_a_page_needs_nothing_from_outside_and_names_stay_text(gathered, run_folder):
    text = render(gathered)
    page = Page(text)
    assert_self_contained(page)
    assert "@import" not in text and not re.search(r"url\((?!data:)", text)
    said = "".join(page.text)
    for name in (*NAMES, run_folder.name):
        assert name in said
    assert "{{ 7*7 }}" in said


@pytest.mark.slow
def test_several_runs_side_by_side(both):
    text = render(both)
    assert_self_contained(Page(text))
    rows = {row.label: row for group in compared(both["runs"]).values() for row in group}
    assert rows["Seed"].texts == ["0", "3"] and rows["Seed"].differs and rows["Method"].texts == ["akd", "dfad"]
    assert not rows["Size asked for"].differs and rows["method.bank"].texts == ["20000", "–"]
    accuracy = rows["Accuracy"]
    best = max(range(2), key=lambda i: float(accuracy.texts[i].split(" ")[0]))
    assert best in accuracy.best or not accuracy.best  # 200 images may not tell them apart
    assert rows["Agreement on the probe"].best == rows["Latency of one image here"].best == []
    assert text.count('data-label="dfad"') >= 6  # its curves lie in the charts of both


def test_without_data_the_page_says_how_to_get_the_rest(run_folder):
    text = render(gather([run_folder], Sources()))
    assert "--data PATH" in text and "Confusion against" not in text


def test_what_there_is_of_an_unfinished_run(run_folder, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(run_folder / "config.yaml", run)
    (run / "metrics.jsonl").write_text((run_folder / "metrics.jsonl").read_text().splitlines()[0])
    text = render(gather([run], Sources()))
    assert_self_contained(Page(text))
    assert "Not finished" in text and "of its budget" in text
    for name in ("metrics.jsonl", "checkpoint.pt", "environment.json"):
        shutil.copy(run_folder / name, run)
    more = render(gather([run, run_folder], Sources()))
    assert "What was made to learn from" in more and "Probe agreement" in more


def named(values, name):
    """The same values, with `name` wherever a user can put words."""
    (run,) = values["runs"]
    details = run["measured"]["details"]
    classes = [{**row, "name": name, "instead": name} for row in details["classes"]]
    measured = {**run["measured"], "data": name, "details": {**details, "names": [name] * 4, "classes": classes}}
    config = {**run["config"], "budget": name, "teacher": {"source": name}}
    record = {**run["data_free"], "opened": {"teacher": [name], "other": [name]}, "written": [name]}
    environment = {**run["environment"], "command": name, "device": name}
    metrics = [{**line, name: 1.0} for line in run["metrics"]]
    changed = {"classes": [name] * 4, "measured": measured, "config": config, "data_free": record, "name": name, "path": name}
    return {**values, "data": name, "runs": [{**run, **changed, "environment": environment, "metrics": metrics}]}


@given(st.sampled_from(NAMES) | st.text(alphabet="<>&\"'/{%#}-=! aé\\`\n", min_size=1, max_size=30))
def test_no_text_of_a_users_becomes_markup(gathered, text):
    page = Page(render(named(gathered, text)))
    assert_self_contained(page)
    assert text.strip() in "".join(page.text)


def unwarned(gathered):
    """The run as if it had been long enough to learn something."""
    (run,) = gathered["runs"]
    return {**run, "result": {**run["result"], "warning": None}}


def test_a_run_that_went_wrong_is_no_success(gathered):
    (run,) = gathered["runs"]
    wrong = {
        **run,
        "status": "diverged",
        "result": {},
        "diverged": {"step": 50, "reason": "the loss was no number"},
        "measured": None,
    }
    text = " ".join("".join(Page(render({**gathered, "runs": [wrong]})).text).split())
    assert "The run went wrong at step" in text and "handed nothing over" in text and "The loss was no number." in text
    assert "distilled in" not in text and "Agreement on the probe" not in text


def test_findings_tell_what_is_wrong_first(gathered):
    run = unwarned(gathered)
    levels = ["bad", "warn", "note", "good"]
    found = findings(run)
    assert [levels.index(one.level) for one in found] == sorted(levels.index(one.level) for one in found)
    dirty = findings({**run, "data_free": {**run["data_free"], "data_free": False}})
    assert dirty[0].level == "bad" and dirty[0].title == "Files that want a look"
    collapsed = {**run, "synthetic": {**run["synthetic"], "collapse": ["the teacher sees one class"]}}
    assert any(one.title == "Mode collapse" and one.level == "warn" for one in findings(collapsed))


@pytest.mark.parametrize(
    ("agreements", "title"),
    [
        ([30.0], "Too early to judge"),
        ([40.0, 60.0, 90.0], "Too early to judge"),
        ([60.0, 66.0, 70.0, 71.0], "Too early to judge"),
        ([20.0, 24.0, 25.0, 26.0], "The student hardly follows its teacher"),
        ([40.0, 70.0, 71.0, 72.0], None),
    ],
)
def test_a_student_that_knows_too_little_is_told_before_all_that_is_good(gathered, agreements, title):
    run = unwarned(gathered)
    metrics = [{**run["metrics"][-1], "probe_agreement": agreement} for agreement in agreements]
    found = findings({**run, "metrics": metrics, "measured": None})
    titles = [one.title for one in found]
    if title is None:
        assert not {"Too early to judge", "The student hardly follows its teacher"} & set(titles)
    else:
        assert (found[0].title, found[0].level) == (title, "warn") and f"{agreements[-1]:.0f} %" in found[0].text
    unfinished = findings({**run, "metrics": metrics, "status": "unfinished"})
    assert "Too early to judge" not in [one.title for one in unfinished]


def test_still_learning_is_told_where_the_probe_says_so(gathered):
    (run,) = gathered["runs"]

    def told(kls):
        metrics = [{"step": i, "seconds": 1.0, "progress": 1.0, "probe_kl": kl} for i, kl in enumerate(kls)]
        return "Still learning at the end" in [one.title for one in findings({**run, "metrics": metrics})]

    assert told([2.0**-i for i in range(40)]) and not told([1.0] * 40) and not told([1.0, 0.1])


def test_pictures_are_what_they_show():
    from base64 import b64decode
    from io import BytesIO

    from PIL import Image

    def pixels(uri):
        return Image.open(BytesIO(b64decode(uri.removeprefix("data:image/png;base64,"))))

    images = torch.arange(2 * 3 * 8 * 8, dtype=torch.uint8).view(2, 3, 8, 8)
    strip = pixels(strip_uri(images, [True, True]))
    assert strip.size == (17, 8) and strip.getpixel((8, 0))[3] == 0
    assert strip.getpixel((9, 0)) == (*images[1, :, 0, 0].tolist(), 255)
    assert pixels(strip_uri(torch.zeros(1, 1, 200, 100, dtype=torch.uint8), [True])).size == (25, 50)
    assert pixels(strip_uri(images, [True, False])).getpixel((9, 0))[3] == 0
    heat = pixels(heat_uri(3, [(0, 0, 4), (1, 2, 1), (1, 1, 3)]))
    assert heat.size == (3, 3) and [heat.getpixel((x, 1))[3] for x in range(3)] == [0, 221, 128]


def test_durations():
    assert [duration(s) for s in (None, 93.2, 600, 5400, 9000)] == ["–", "93 s", "10 min", "90 min", "2.5 h"]


def test_the_best_are_all_that_noise_cannot_tell_apart():
    def run(top1):
        measured = {"data": "d", "n": 1000, "top1": top1, "top5": None, "agreement": None, "teacher_top1": None, "ece": 1.0}
        config = {"teacher": {"source": "t"}, "method": {"name": "akd"}, "budget": "10%", "steps": 5}
        return {"config": config, "teacher": None, "student": None, "result": {}, "status": "finished", "metrics": [],
                "measured": measured, "synthetic": None, "environment": {}, "data_free": {}}  # fmt: skip

    def best(*accuracies):
        rows = compared([run(top1) for top1 in accuracies])
        return next(row.best for row in rows["On d (1,000 images)"] if row.label == "Accuracy")

    assert best(90.0, 80.0) == [0] and best(80.0, 90.0, 89.0) == [1, 2] and best(90.0, 89.0) == []


def test_a_mode_collapse_is_told_in_a_sentence(gathered):
    (run,) = gathered["runs"]
    for reasons in (["the teacher sees few"], ["11 % have a copy"], ["the teacher sees few", "11 % have a copy"]):
        found = {one.title: one.text for one in findings({**run, "synthetic": {**run["synthetic"], "collapse": reasons}})}
        words = "; ".join(reasons)
        assert found["Mode collapse"].startswith(f"{words[0].upper()}{words[1:]}. ")
