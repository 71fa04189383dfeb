"""A run folder as values: what its files say, what its networks say, and what is said where something is not there."""

import json
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import akd
from akd.cli import main
from akd.errors import ConfigError, DataError, ModelError
from akd.networks.models import save_model
from akd.report.curves import learning
from akd.report.facts import facts
from akd.report.findings import findings
from akd.report.gather import Sources, gather
from akd.report.record import conditions, evenly, read_run
from tests.conftest import tiny_classifier
from tests.report.conftest import NAMES


@pytest.fixture(scope="module")
def whole(run_folder, data):
    return gather([run_folder], Sources(str(data)))


def copy(run, to):
    shutil.copytree(run, to)
    return to


def test_a_finished_run_with_data_has_everything_and_is_json(whole, run_folder):
    (run,) = json.loads(json.dumps(whole, allow_nan=False))["runs"]
    assert run["status"] == "finished" and run["missing"] == {}
    assert run["classes"] == list(NAMES)
    assert [line["step"] for line in run["metrics"]] == [50, 100, 120]
    assert run["student"]["params"] == run["result"]["params"]
    assert run["teacher"]["params"] == run["result"]["teacher_params"]
    assert set(run["synthetic"]["looks"]) == {"synthetic", "formula pictures", "real test images"}
    assert run["synthetic"]["made"] == 16 * 24  # a turn of 16 before every fifth step
    assert "seed 0" in conditions(run) and torch.__version__ in conditions(run)


def test_accuracy_has_a_curve_that_ends_where_the_student_does(whole):
    (run,) = whole["runs"]
    curve = run["measured"]["curve"]
    assert [point["step"] for point in curve] == [50, 100, 120] and [p["seconds"] for p in curve] == sorted(
        p["seconds"] for p in curve
    )
    for name in ("top1", "agreement"):  # a snapshot's large tensors are in 16 bit
        assert curve[-1][name] == pytest.approx(run["measured"][name], abs=2)
    assert learning([run])[0].title == "Accuracy, %"


def test_the_numbers_are_those_of_akd_evaluate(whole, run_folder, teacher_folder, data):
    measured = whole["runs"][0]["measured"]
    told = akd.evaluate(run_folder, data, teacher_folder)
    for name in ("n", "top1", "ece", "nll", "agreement", "mean_kl", "teacher_top1", "per_class"):
        assert measured[name] == pytest.approx(getattr(told, name)), name


@pytest.mark.slow
def test_a_method_without_a_bank_is_asked_for_images(bankless):
    (run,) = gather([bankless], Sources())["runs"]
    assert run["synthetic"]["made"] is None and "drawn" in run["synthetic"]["source"]
    again = gather([bankless], Sources())["runs"][0]["synthetic"]
    assert again == run["synthetic"]


@pytest.mark.slow
def test_several_teachers_and_ideas_are_told(teacher_folder, tmp_path, data):
    save_model(tiny_classifier(seed=2, widths=(6, 10)), tmp_path / "second")
    members = {"members": [{"source": str(teacher_folder)}, {"source": str(tmp_path / "second")}]}
    method = {"name": "dfad", "batch_size": 16}
    akd.distill(members, out=tmp_path / "run", budget="50%", steps=6, method=method, ideas=["robust"])
    (run,) = gather([tmp_path / "run"], Sources(str(data)))["runs"]
    assert run["missing"] == {} and len(run["synthetic"]["looks"]["synthetic"]["layers"]) == 4
    told = {fact.label: fact.text for fact in facts(run)}
    assert told["Ideas"] == "robust" and str(tmp_path / "second") in told["Teacher"]


def test_an_unfinished_run_gives_what_there_is(run_folder, tmp_path, data):
    run = copy(run_folder, tmp_path / "run")
    (run / "result.json").unlink()
    shutil.rmtree(run / "student")
    (values,) = gather([run], Sources(str(data)))["runs"]
    assert values["status"] == "unfinished" and values["measured"] is None and values["synthetic"]["looks"]
    assert set(values["missing"]) == {"student"} and "akd distill --config" in values["missing"]["student"]
    for name in ("checkpoint.pt", "environment.json", "data_free.json"):
        (run / name).unlink()
    (values,) = gather([run], Sources())["runs"]
    assert values["metrics"] and "no checkpoint yet" in values["missing"]["synthetic"]
    (run / "metrics.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"no checkpoint yet; .* go on with it: akd distill"):
        gather([run_folder, run], Sources())


def test_a_teacher_that_is_gone_or_another_is_told(run_folder, teacher_folder, tmp_path, data):
    run = copy(run_folder, tmp_path / "run")
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace(str(teacher_folder), str(tmp_path / "gone")))
    (values,) = gather([run], Sources(str(data)))["runs"]
    assert set(values["missing"]) == {"teacher"} and "--teacher" in values["missing"]["teacher"]
    assert values["measured"]["agreement"] is None and values["measured"]["details"]["confusion"] == []
    (values,) = gather([run], Sources(str(data), teacher=str(teacher_folder)))["runs"]
    assert values["missing"] == {} and values["measured"]["agreement"] is not None
    save_model(tiny_classifier(seed=1), tmp_path / "other")
    (values,) = gather([run], Sources(teacher=str(tmp_path / "other")))["runs"]
    assert "is not the teacher" in values["missing"]["teacher"]


def test_what_the_command_was_told_wrongly_is_an_error(run_folder, tmp_path):
    with pytest.raises(ConfigError, match="no run"):
        gather([tmp_path], Sources())
    with pytest.raises(DataError):
        gather([run_folder], Sources(str(tmp_path / "nothing")))
    with pytest.raises(ModelError):
        gather([run_folder], Sources(teacher=str(tmp_path / "nothing")))


def test_a_run_that_is_near_is_named(run_folder):
    with pytest.raises(ConfigError, match="did you mean"):
        read_run(run_folder.parent)
    with pytest.raises(ConfigError, match="did you mean"):
        read_run(run_folder.with_name(run_folder.name + "s"))


def test_runs_of_one_name_go_by_their_paths(run_folder, tmp_path):
    other = copy(run_folder, tmp_path / run_folder.name)
    values = gather([run_folder, other], Sources())
    assert [run["name"] for run in values["runs"]] == [str(run_folder), str(other)]


def test_a_run_that_diverged_is_told_from_one_that_went_on(run_folder, tmp_path):
    run = copy(run_folder, tmp_path / "run")
    (run / "result.json").unlink()
    (run / "student").rename(run / "last-good")
    assert read_run(run)["status"] == "unfinished"
    (run / "diverged.json").write_text('{"step": 100, "reason": "it fell"}')
    assert read_run(run)["status"] == "diverged"
    (bad, *_) = findings(gather([run], Sources())["runs"][0])
    assert bad.title == "The run went wrong" and bad.text.startswith("It fell. It ended after")


lines = st.one_of(
    st.text(max_size=30),
    st.dictionaries(
        st.sampled_from(["step", "seconds", "progress", "student", "probe_kl"]),
        st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=3), st.lists(st.integers(), max_size=2)),
    ).map(json.dumps),
)


@given(st.lists(lines, max_size=6))
@settings(max_examples=60)
def test_damaged_metrics_give_finite_numbers_or_nothing(run_folder, tmp_path_factory, rows):
    run = tmp_path_factory.mktemp("damaged")
    shutil.copy(run_folder / "config.yaml", run)
    (run / "metrics.jsonl").write_text("\n".join(rows), encoding="utf-8", errors="replace")
    for line in read_run(run)["metrics"]:
        json.dumps(line, allow_nan=False)
        assert None not in (line["step"], line["seconds"], line["progress"])


@given(st.integers(0, 500), st.integers(2, 50))
def test_evenly_chosen_numbers_rise_from_first_to_last(held, most):
    chosen = evenly(held, most)
    assert chosen == sorted(set(chosen)) and len(chosen) == min(held, most)
    assert not chosen or (chosen[0], chosen[-1]) == (0, held - 1)


def test_the_command_writes_a_page_and_prints_the_values(run_folder, data, tmp_path, capsys):
    page = tmp_path / "report.html"
    assert main(["report", str(run_folder), "--data", str(data), "--out", str(page), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["out"] == str(page) and page.read_text().startswith("<!doctype html>")
    assert said["runs"][0]["measured"]["n"] == 200
    assert main(["report", str(run_folder), "--out", str(tmp_path / "nowhere" / "report.html")]) == 2
    assert "--out" in capsys.readouterr().err


def test_the_page_goes_into_the_folder_of_a_single_run(run_folder, tmp_path, monkeypatch, capsys):
    run = shutil.copytree(run_folder, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    assert main(["report", "run"]) == 0
    assert capsys.readouterr().out.startswith("run/report.html: 1 run, ") and (run / "report.html").exists()
    assert not (tmp_path / "report.html").exists()
    assert main(["report", "run", str(run_folder)]) == 0
    assert capsys.readouterr().out.startswith("report.html: 2 runs, ") and (tmp_path / "report.html").exists()
