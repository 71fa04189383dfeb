"""The bench: what it compares, that it goes on where it stopped, and its arithmetic."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from akd.bench import TASKS, ablation, parsed, run_bench, table
from akd.cli import main
from akd.errors import ConfigError
from akd.ideas import IDEAS
from akd.tables import bench_table, reached


def cell(variant, seed, top1):
    return {"variant": variant, "seed": seed, "top1": top1, "agreement": top1, "seconds": 1.0}


def test_rows_compare_seed_by_seed():
    cells = [cell("a", 0, 90.0), cell("b", 0, 92.0), cell("a", 1, 80.0), cell("b", 1, 83.0)]
    one, two = table(cells)
    assert (one["top1"], two["top1"], two["more"]) == (85.0, 87.5, 2.5) and one["more"] == 0
    assert two["more_deviation"] == pytest.approx(0.5**0.5)  # the seeds differ by ten; the differences do not
    (alone,) = table([cell("a", 0, 90.0)])
    assert alone["deviation"] is None


def test_runs_that_diverged_are_counted_and_in_no_mean():
    lost = {"variant": "b", "seed": 1, "diverged": "at step 3"}
    one, two = table([cell("a", 0, 90.0), cell("b", 0, 92.0), cell("a", 1, 80.0), lost])
    assert (two["top1"], two["more"], two["n"], two["diverged"], one["diverged"]) == (92.0, 2.0, 1, 1, 0)
    assert reached(two, " %") == "92.00 %, 1 diverged" and reached(one) == "85.00 ± 7.07"
    (gone,) = table([lost])
    assert gone["top1"] is None and reached(gone) == "1 diverged"
    bench_table({"rows": [one, gone], "task": "digits", "steps": 3, "teacher_top1": [99.0]})


def test_variants():
    assert parsed("dfad+features+boundary") == ("dfad", ["features", "boundary"])
    assert ablation("akd")[0] == "akd" and ablation("akd")[-1].count("+") == len(IDEAS) - 1
    assert "akd+average" not in ablation("akd")  # it averages already
    assert "fast+generators" not in ablation("fast") and "fast+average" in ablation("fast")
    for wrong in ("dfda", "dfad+featurs", "dfad+", "+features"):
        with pytest.raises(ConfigError, match="METHOD"):
            parsed(wrong)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--task", "digit"], "did you mean 'digits'"),
        (["--task", "mnist"], "--data FOLDER"),
        (["akd", "--ablate", "akd"], "leave the others out"),
        (["akd", "--jobs", "0"], "1 or more"),
        (["akd", "--data", "x"], "brings its own data"),
        (["fast+generators"], "one that trains all along"),
    ],
)
def test_what_cannot_be_run_is_told_in_a_line(argv, words, tmp_path, capsys):
    assert main(["bench", *argv, "--out", str(tmp_path / "b")]) == 2
    assert words in capsys.readouterr().err


def test_a_method_that_does_not_fit_is_told_before_a_teacher_is_trained(tmp_path, capsys):
    (tmp_path / "train-0.parquet").write_bytes(b"")
    out = tmp_path / "b"
    assert main(["bench", "fast", "--task", "mnist", "--data", str(tmp_path), "--out", str(out)]) == 2
    assert "fast does not fit this task's teacher; there are akd, dfad" in capsys.readouterr().err and not out.exists()


@pytest.mark.slow
def test_a_bench_runs_and_goes_on(tmp_path):
    def bench(*variants):
        argv = [
            sys.executable,
            "-m",
            "akd",
            "bench",
            *variants,
            "--seeds",
            "3",
            "--steps",
            "30",
            "--out",
            str(tmp_path),
            "--json",
        ]
        return json.loads(subprocess.run(argv, check=True, capture_output=True, text=True, env=os.environ).stdout)

    first = bench("akd")
    made = (tmp_path / "seed-3" / "akd" / "result.json").stat().st_mtime_ns
    both = bench("akd", "dfad+average")
    assert [row["variant"] for row in both["rows"]] == ["akd", "dfad+average"]
    assert both["cells"][0] == first["cells"][0] and (tmp_path / "seed-3" / "akd" / "result.json").stat().st_mtime_ns == made
    assert both["cells"][1]["steps"] == 30 and both["cells"][1]["n"] == 450
    with pytest.raises(ConfigError, match="holds a bench of digits, 30 steps"):
        run_bench("digits", ["akd"], [3], tmp_path, steps=40)


@pytest.mark.slow
def test_one_run_that_diverges_costs_the_others_nothing(tmp_path, monkeypatch):
    """In place of a method that diverges by itself: a student whose rate no run can survive."""
    knobs = {**TASKS["digits"].knobs, "dfad": {"student_lr": 1e6}}
    monkeypatch.setitem(TASKS, "digits", replace(TASKS["digits"], knobs=knobs))
    for _ in range(2):  # the second time nothing is left to run
        result = run_bench("digits", ["akd", "dfad"], [0], tmp_path, steps=100)
        one, two = result["rows"]
        assert one["n"] == 1 and (two["n"], two["diverged"]) == (0, 1) and "diverged" in result["cells"][1]["diverged"]


@pytest.mark.slow
def test_mnist_where_a_user_has_it(data_dir, tmp_path, capsys):
    argv = [
        "bench",
        "dfad",
        "--task",
        "mnist",
        "--data",
        str(data_dir / "mnist"),
        "--seeds",
        "0",
        "--steps",
        "4",
        "--jobs",
        "1",
    ]
    assert main([*argv, "--out", str(tmp_path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["teacher_top1"][0] > 97 and result["cells"][0]["n"] == 10_000
