"""Looking on while a run is going: what a frame says, and that it ends when the run does."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from akd.cli import main
from akd.report.live import BARS, SPARK, frame, spark, standing
from akd.report.record import read_run


def going(run_folder, to, reports=None):
    """The run as it stood after some reports."""
    shutil.copytree(run_folder, to)
    (to / "result.json").unlink()
    lines = (to / "metrics.jsonl").read_text().splitlines(keepends=True)
    (to / "metrics.jsonl").write_text("".join(lines[:reports]))
    return to


def text_of(run):
    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(frame(run))
    return console.export_text()


def line(i, **more):
    base = {"step": 50 * i, "seconds": 2.0 * i, "progress": i / 10, "probe_agreement": 60.0, "student": 1 / i}
    return {**base, **more}


def running(*metrics, **more):
    config = {"teacher": {"source": "t"}, "method": {"name": "akd"}, "budget": "10%", "steps": 500}
    return {"name": "n", "path": "runs/n", "status": "unfinished", "config": config, "metrics": list(metrics), "grids": [],
            "quiet": 1.0, **more}  # fmt: skip


def test_speed_and_time_left_follow_from_the_last_reports():
    now = standing(running(*(line(i) for i in range(1, 6))))
    assert now["steps_per_second"] == pytest.approx(25) and now["seconds_left"] == pytest.approx(10)
    assert now["progress"] == 0.5 and now["losses"] == {"probe_agreement": 60.0, "student": 0.2} and now["warnings"] == []
    said = text_of(running(*(line(i) for i in range(1, 6))))
    assert "step 250 of 500" in said and "25 steps/s" in said and "10 s left" in said and "50 %" in said


def test_what_looks_wrong_is_told():
    lost = running(*(line(i) for i in range(1, 5)), line(5, probe_agreement=20.0))
    assert "unhealthy" in standing(lost)["warnings"][0] and "! unhealthy" in text_of(lost)
    assert "student: not a number" in standing(running(line(1, student=None)))["warnings"][0]
    assert "nothing written for 10 min" in standing(running(line(1), quiet=600.0))["warnings"][0]
    wrong = running(line(1), status="diverged", diverged={"step": 50, "reason": "it went astray"})
    assert "went wrong and ended: it went astray" in standing(wrong)["warnings"][0]
    done = partial(running, line(1), status="finished", quiet=1e9)
    assert standing(done(result={"warning": None}))["warnings"] == []
    assert standing(done(result={"warning": "it did worse"}))["warnings"] == ["it did worse"]


def test_before_the_first_report():
    said = text_of(running())
    assert "no report yet" in said and "step 0 of 500" in said


@given(st.lists(st.none() | st.floats(-1e9, 1e9), max_size=100))
def test_sparks_rise_and_fall_with_the_values(values):
    bars = spark(values)
    assert len(bars) == min(len(values), SPARK) and set(bars) <= {*BARS, " "}
    if len(values) <= SPARK:
        known = [(value, BARS.index(bar)) for value, bar in zip(values, bars, strict=True) if value is not None]
        assert [height for _, height in sorted(known)] == sorted(height for _, height in known)


def test_a_frame_fits_eighty_columns_and_names_the_latest_images(run_folder, tmp_path):
    run = read_run(going(run_folder, tmp_path / ("x" * 60)))
    said = text_of(run)
    assert max(map(len, said.splitlines())) <= 80
    assert run["grids"][-1]["file"].replace("\n", "") in said.replace("\n", "")


def test_once_prints_and_exits(run_folder, tmp_path, capsys):
    run = going(run_folder, tmp_path / "run", reports=2)
    assert main(["watch", str(run), "--once"]) == 0
    assert "step 100 of 120" in capsys.readouterr().out
    assert main(["watch", str(run), "--once", "--json"]) == 0
    now = json.loads(capsys.readouterr().out)
    assert now["step"] == 100 and now["status"] == "unfinished" and now["latest_grid"].endswith(".png")


def test_a_finished_run_ends_the_watch_and_a_diverged_one_is_an_error(run_folder, tmp_path, capsys):
    assert main(["watch", str(run_folder)]) == 0
    assert "finished" in capsys.readouterr().out
    run = going(run_folder, tmp_path / "run")
    (run / "student").rename(run / "last-good")
    (run / "diverged.json").write_text('{"step": 100, "reason": "it fell"}')
    assert main(["watch", str(run)]) == 1
    assert "went wrong" in capsys.readouterr().err


def watching(run):
    """With Ctrl-C heard, also where a shell has started the tests in the background and has them ignore it."""
    command, piped = [sys.executable, "-m", "akd", "watch", str(run)], subprocess.PIPE
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, stdout=piped, stderr=piped, text=True, preexec_fn=heard)


@pytest.mark.slow
def test_it_ends_when_the_result_appears_or_at_ctrl_c(run_folder, tmp_path):
    run = going(run_folder, tmp_path / "run")
    first, second = watching(run), watching(run)
    time.sleep(8)
    assert first.poll() is None and second.poll() is None
    second.send_signal(signal.SIGINT)
    _, words = second.communicate(timeout=30)
    assert second.returncode == 130 and len(words.strip().splitlines()) == 1
    shutil.copy(run_folder / "result.json", run)
    said, words = first.communicate(timeout=30)
    assert first.returncode == 0 and "finished" in said and words == ""
