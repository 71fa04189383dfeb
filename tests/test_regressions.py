"""What went wrong once, and must not again: each as a user met it."""

import copy
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from threading import Timer

import pytest
import torch

import akd
from akd.config import from_dict
from akd.errors import ConfigError, Diverged, ModelError, Stopped
from akd.eyes import Eyes
from akd.loop import Budget, run_loop, turn_of_maker
from akd.networks.models import load_model, save_model
from akd.objectives.terms import Seen, Term
from akd.runfolder import RunFolder
from akd.runner import execute
from akd.runtime import Runtime
from akd.state import State
from akd.synthesis.pictures import pictures
from akd.wiring import WiringError, check_wiring
from tests.conftest import tiny_classifier
from tests.test_contract import fresh_state

pytestmark = pytest.mark.slow
FAST = {"name": "akd", "batch_size": 16}


@pytest.fixture(scope="module")
def teacher_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    save_model(tiny_classifier(), folder)
    return folder


def distill(teacher, out, **options):
    return akd.distill(teacher, **{"student": "digitsnet", "steps": 60, "threads": 1, "method": FAST, "out": out, **options})


def command(teacher, out, *more):
    base = [sys.executable, "-m", "akd", "distill", "--teacher", str(teacher), "--out", str(out), "--student", "digitsnet"]
    return [*base, "--threads", "1", "--set", "method.batch_size=16", *more]


def test_a_folder_that_is_no_runs_is_left_as_it_was(teacher_folder, tmp_path):
    (tmp_path / "sub").mkdir()
    files = [tmp_path / ".env.production", tmp_path / "sub" / ".ssh.config.backup", tmp_path / "notes.txt"]
    for file in files:
        file.write_text("mine")
    with pytest.raises(ConfigError, match="no run's"):
        distill(str(teacher_folder), tmp_path)
    assert all(file.read_text() == "mine" for file in files)
    assert not (tmp_path / ".lock").exists()


@pytest.mark.parametrize("name", ["akd", "nayer", "fast"])
def test_in_bfloat16_every_step_of_a_turn_sees_the_weights_of_the_step_before(name):
    state = fresh_state(name)
    state = State(state.plan, state.teacher, copy.deepcopy(state.student), Runtime(torch.device("cpu"), torch.bfloat16), 0)
    values, images, labels = [], torch.rand(8, *state.student.card.input_size), torch.arange(8) % 4
    state.maker_optimiser.register_step_post_hook(lambda *_: values.append(probe().item()))

    def probe():
        torch.manual_seed(0)
        module = state.maker
        with torch.no_grad(), state.runtime.autocast():
            made = module(images, labels) if name == "akd" else module()
            return made.double().sum()

    if name == "akd":  # one step a turn is its own; several are what is asked about
        object.__setattr__(state.plan, "maker", replace(state.plan.maker, steps=4))
    with state.rng.here():
        turn_of_maker(Eyes(state, state.plan.image), 0.0)
    assert len(values) > 2 and len(set(values)) == len(values)


def test_time_that_runs_out_in_the_makers_turn_still_gives_a_student(teacher_folder, tmp_path):
    slow = {"name": "deepinversion", "batch_size": 8, "iterations": 200, "student_steps": 50}
    result = distill(str(teacher_folder), tmp_path / "run", steps=None, time=1.0, method=slow)
    assert result.result["steps"] >= 1 and (tmp_path / "run" / "student" / "model.safetensors").exists()
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert all("student" in json.loads(line) for line in lines)


def test_a_kill_before_the_first_checkpoint_leaves_no_line_twice(teacher_folder, tmp_path):
    out = tmp_path / "run"
    child = subprocess.Popen(command(teacher_folder, out, "--steps", "300"), stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (out / "metrics.jsonl").exists() and time.monotonic() < until:
        time.sleep(0.01)
    child.kill()
    child.wait()
    assert not (out / "checkpoint.pt").exists()
    subprocess.run(command(teacher_folder, out, "--steps", "300"), check=True, capture_output=True)
    steps = [json.loads(line)["step"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert steps == [50, 100, 150, 200, 250, 300]


@pytest.mark.parametrize("lr", [30.0, 1e7])
def test_a_student_that_collapses_or_diverges_is_never_a_silent_success(lr, teacher_folder, tmp_path):
    method = {"name": "dfad", "batch_size": 16, "student_lr": lr}
    told = {"teacher": {"source": str(teacher_folder)}, "student": "digitsnet", "method": method, "steps": 1500, "threads": 1}
    for _ in range(2):  # started again, it goes wrong again, and what was good is kept
        with pytest.raises(Diverged, match="last good student"):
            execute(from_dict(told), tmp_path / "run", checkpoint_every=0.0)
        kept = load_model(str(tmp_path / "run" / "last-good"))
        assert all(value.isfinite().all() for value in kept.state_dict().values())
        assert not (tmp_path / "run" / "result.json").exists()
        assert json.loads((tmp_path / "run" / "data_free.json").read_text())["data_free"] is not False
        assert "try " in json.loads((tmp_path / "run" / "diverged.json").read_text())["reason"]
        with pytest.raises(ModelError, match=r"went wrong.*last-good"):
            load_model(str(tmp_path / "run"))
    saved = RunFolder(tmp_path / "run").load_checkpoint()["parts"]["student"]
    assert all(value.isfinite().all() for value in saved.values() if value.is_floating_point())


def test_a_collapse_is_told_by_a_run_that_is_stopped_and_by_one_that_ends_before_it_is_sure(tmp_path):
    told = {"source": "in memory"}, "digitsnet", {"name": "dfad", "batch_size": 16, "student_lr": 0.0}
    run = from_dict({**dict(zip(("teacher", "student", "method"), told, strict=True)), "steps": 200, "threads": 1})
    folder, said = RunFolder(tmp_path / "run"), []

    def interrupt(report):
        raise KeyboardInterrupt

    def go(**more):
        return execute(run, folder.path, teacher=tiny_classifier(), say=said.append, **more)

    with pytest.raises(KeyboardInterrupt):
        go(watch=interrupt, checkpoint_every=0.0)
    saved = folder.load_checkpoint()
    saved["counters"]["best_agreement"] = 100.0  # as if it had learnt; with a rate of zero it never will again
    folder.save_checkpoint(saved)

    def ask_to_stop(report):
        if report.step == 150:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped, match="stopped at step 150, step 149, when all was well, is what"):
        go(watch=ask_to_stop, checkpoint_every=0.0)
    result = go().result
    assert result["steps"] == 200
    assert "worse than before" in result["warning"] and result["warning"] in said
    assert result["warning"] in (folder / "README.md").read_text()


def test_a_finished_run_of_another_teacher_is_refused(tmp_path):
    distill(tiny_classifier(), tmp_path / "run")
    with pytest.raises(ConfigError, match="not those"):
        distill(tiny_classifier(seed=9), tmp_path / "run")


@pytest.mark.parametrize(
    "damage", ["student/model.safetensors", "student/config.json", "result.json", "metrics.jsonl", "environment.json"]
)
@pytest.mark.parametrize("how", ["removed", "empty", "garbage"])
def test_a_finished_run_with_a_damaged_file_is_made_whole_again(damage, how, teacher_folder, tmp_path):
    first = distill(str(teacher_folder), tmp_path / "run")
    file = tmp_path / "run" / damage
    file.unlink() if how == "removed" else file.write_bytes(b"" if how == "empty" else b"\xff\x00{[")
    again = distill(str(teacher_folder), tmp_path / "run")
    expected = first.student.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in again.student.state_dict().items())
    assert again.result["steps"] == 60 and load_model(str(tmp_path / "run"))


def test_the_record_remembers_what_an_earlier_process_read(teacher_folder, tmp_path):
    (tmp_path / "secret.npz").write_bytes(b"data")
    (tmp_path / "sly.py").write_text(
        "import os\nfrom akd.networks.models import load_model\n\n"
        f"class Sly:\n    pass\n\ndef make():\n    teacher = load_model({str(teacher_folder)!r})\n"
        "    inner = teacher.net.forward\n"
        "    def forward(x):\n"
        f"        if os.environ.get('SLY'): open({str(tmp_path / 'secret.npz')!r}).close()\n"
        "        return inner(x)\n"
        "    teacher.net.forward = forward\n    return teacher\n"
    )
    out = tmp_path / "run"
    line = command("sly:make", out, "--steps", "100000", "--checkpoint-every", "0.1s")
    child = subprocess.Popen(line, cwd=tmp_path, env={**__import__("os").environ, "SLY": "1"}, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (out / "checkpoint.pt").exists() and time.monotonic() < until:
        time.sleep(0.02)
    child.terminate()
    assert child.wait() == 75
    assert json.loads((out / "data_free.json").read_text())["data_free"] is False
    child = subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.DEVNULL)
    time.sleep(6)
    child.terminate()
    child.wait()
    record = json.loads((out / "data_free.json").read_text())
    assert record["data_free"] is False and len(record["earlier_processes"]) == 1


def sly(folder, teacher_folder, act):
    """A factory `sly:make` under `folder`, of the teacher whose forward pass also does `act`."""
    (folder / "sly.py").write_text(
        "import akd\n\ndef make():\n"
        f"    teacher = akd.load_teacher({str(teacher_folder)!r})\n"
        "    inner = teacher.net.forward\n"
        "    def forward(x):\n"
        f"        if x.requires_grad: {act}\n"
        "        return inner(x)\n"
        "    teacher.net.forward = forward\n    return teacher\n"
    )


@pytest.mark.parametrize(
    ("act", "named"),
    [
        ("open('secret.npz').close()", "secret.npz"),
        ("__import__('os').system('true')", "os.system"),
        ("__import__('sklearn')", "sklearn"),
    ],
)
def test_a_run_that_reached_beyond_its_teacher_says_so_where_it_ends(act, named, teacher_folder, tmp_path):
    (tmp_path / "secret.npz").write_bytes(b"data")
    sly(tmp_path, teacher_folder, act)
    line = command("sly:make", tmp_path / "run", "--steps", "60", "--json")
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    warning = json.loads(done.stdout)["warning"]
    assert named in warning and "data_free.json" in warning and warning in done.stderr
    assert warning in (tmp_path / "run" / "README.md").read_text()
    assert json.loads((tmp_path / "run" / "data_free.json").read_text())["data_free"] is False


def test_a_refused_import_leaves_its_record(teacher_folder, tmp_path):
    sly(tmp_path, teacher_folder, "Late.tick()")
    with open(tmp_path / "sly.py", "a") as file:  # not yet in the self-test, where nothing is written at all
        file.write(
            "\nclass Late:\n    calls = 0\n    @classmethod\n    def tick(cls):\n        cls.calls += 1\n"
            "        if cls.calls > 20: import akd.evaluation.data\n"
        )
    done = subprocess.run(command("sly:make", tmp_path / "run", "--steps", "60"), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.splitlines()[-1].endswith("evaluate afterwards")
    record = json.loads((tmp_path / "run" / "data_free.json").read_text())
    assert record["data_free"] is False and record["refused"][0].startswith("akd.evaluation")


def test_a_student_that_learnt_nothing_is_told(tmp_path):
    told = {"source": "in memory"}, "digitsnet", {"name": "dfad", "batch_size": 16, "student_lr": 0.0}
    run = from_dict({**dict(zip(("teacher", "student", "method"), told, strict=True)), "steps": 60, "threads": 1})
    teacher = tiny_classifier()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):  # as it is, it names one class for every picture
        torch.manual_seed(0)
        list(teacher.net.modules())[-1].bias -= teacher(pictures(512, teacher.card)).median(0).values
    result = execute(run, tmp_path / "run", teacher=teacher).result
    assert "naming one class everywhere" in result["warning"]
    assert "the teacher names one class" in execute(run, tmp_path / "other", teacher=tiny_classifier()).result["warning"]


def test_batch_norm_that_was_never_trained_is_refused_where_its_statistics_are_asked_for(tmp_path):
    teacher = tiny_classifier()
    for module in teacher.net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
    with pytest.raises(ConfigError, match=r"trained BatchNorm statistics.*method\.bn=0"):
        distill(teacher, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert distill(teacher, tmp_path / "run", method={**FAST, "bn": 0.0}).result["steps"] == 60


def test_a_run_goes_on_with_the_threads_it_began_with(teacher_folder, tmp_path):
    run = from_dict({"teacher": {"source": str(teacher_folder)}, "student": "digitsnet", "method": FAST, "steps": 120})
    folder = RunFolder(tmp_path / "run")

    def interrupt(report):
        raise KeyboardInterrupt

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with pytest.raises(KeyboardInterrupt):
            execute(run, folder.path, watch=interrupt, checkpoint_every=0.0)
        torch.set_num_threads(2)
        seen = []
        execute(run, folder.path, watch=lambda report: seen.append(torch.get_num_threads()))
        assert set(seen) == {1} and folder.environment()["threads"] == 1 and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_what_a_kill_left_half_written_in_the_run_folder_is_cleared_away(teacher_folder, tmp_path):
    distill(str(teacher_folder), tmp_path / "run")
    stage = tmp_path / "run" / ".x.akd-half-written"  # as dream and export make them there
    stage.mkdir()
    (stage / "set.parquet").write_bytes(b"half")
    distill(str(teacher_folder), tmp_path / "run")
    assert not stage.exists()


def test_a_snapshot_that_was_due_when_the_run_was_stopped_is_made_by_the_next_report(teacher_folder, tmp_path):
    run = from_dict({"teacher": {"source": str(teacher_folder)}, "student": "digitsnet", "method": FAST, "steps": 510})

    def stop(report):
        if report.step == 100:
            raise KeyboardInterrupt
        Timer(0.02, os.kill, (os.getpid(), signal.SIGTERM)).start()  # past step 51, a tenth of the way

    with pytest.raises(Stopped):
        execute(run, tmp_path / "run", watch=stop)
    with pytest.raises(KeyboardInterrupt):
        execute(run, tmp_path / "run", watch=stop)
    assert list(RunFolder(tmp_path / "run").snapshots()) == [100]


def test_somebody_at_work_is_known(teacher_folder, tmp_path):
    folder, seen = RunFolder(tmp_path / "run"), []
    assert not folder.at_work()
    akd.distill(str(teacher_folder), student="digitsnet", steps=50, threads=1, method=FAST, out=folder.path,
                watch=lambda report: seen.append(folder.at_work()))  # fmt: skip
    assert seen == [True] and not folder.at_work()


def test_a_factory_that_reaches_for_a_data_set_is_told_what_is_wrong_with_that(tmp_path):
    (tmp_path / "reaching.py").write_text("import akd.evaluation\n\ndef make():\n    pass\n")
    done = subprocess.run(
        command("reaching:make", tmp_path / "run", "--steps", "9"), cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stderr.strip().endswith("evaluate afterwards")


def test_a_difference_is_told_in_a_readable_line(teacher_folder, tmp_path):
    distill(str(teacher_folder), tmp_path / "run")
    with pytest.raises(ConfigError, match="another config") as caught:
        distill(str(teacher_folder), tmp_path / "run", ideas={"features": {}, "boundary": {}, "robust": {}, "layers": {}})
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


def test_standard_error_is_silent_without_a_terminal_and_standard_output_one_object(teacher_folder, tmp_path):
    (tmp_path / "chatty.py").write_text(
        f"def make():\n    print('HELLO')\n    import akd\n    return akd.load_teacher({str(teacher_folder)!r})\n"
    )
    line = command("chatty:make", tmp_path / "run", "--steps", "5", "--json")
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
    chatter, remark, *_ = (
        done.stderr.splitlines()
    )  # a student larger than its teacher is remarked on, one that learnt nothing too
    assert done.returncode == 0 and chatter == "HELLO" and "of its teacher's parameters" in remark
    assert json.loads(done.stdout)["steps"] == 5


def test_a_run_is_measured_against_its_own_teacher(teacher_folder, tmp_path, capsys):
    from akd.cli import main

    distill(str(teacher_folder), tmp_path / "run")
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 8, 8), dtype=torch.uint8, generator=rng).numpy()
    import numpy as np

    np.savez(tmp_path / "set.npz", images=images, labels=np.arange(40) % 4)
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(tmp_path / "set.npz"), "--json"]) == 0
    assert 0 <= json.loads(capsys.readouterr().out)["agreement"] <= 100


def detached(which):
    def loss(seen: Seen):
        sights = {"teacher": seen.teacher.logits, "student": seen.student.logits}
        sights[which] = sights[which].detach()
        return -(sights["teacher"] - sights["student"]).abs().mean()

    return loss


@pytest.mark.parametrize("which", ["teacher", "student"])
def test_the_self_test_refuses_an_image_loss_that_lets_no_gradient_through(which):
    state = fresh_state("dfad")
    object.__setattr__(state.plan, "image", {"discrepancy": Term(1.0, detached(which))})
    with pytest.raises(WiringError, match=which):
        check_wiring(state)


def test_the_self_test_refuses_a_maker_whose_images_carry_no_gradient():
    state = fresh_state("dfad")
    real = state.maker.forward

    state.maker.forward = lambda noise: real(noise).detach().requires_grad_()
    with pytest.raises((WiringError, RuntimeError)):
        check_wiring(state)


def test_a_run_leaves_the_callers_random_numbers_and_teacher_alone(tmp_path):
    teacher = tiny_classifier()
    before = copy.deepcopy(teacher.state_dict())
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    distill(teacher, tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


def test_the_average_is_the_power_law_of_its_formula():
    state = fresh_state("akd")
    history, name = [], "net.fc.weight"
    for _ in run_loop(state, Budget(steps=9)):
        if not history or not torch.equal(history[-1], state.student.state_dict()[name]):
            history.append(state.student.state_dict()[name].clone())
    history = history[-9:]
    expected = history[0]
    for t, weights in enumerate(history[1:], 2):
        decay = (1 - 1 / t) ** (state.plan.average + 1)
        expected = decay * expected + (1 - decay) * weights
    assert torch.allclose(state.average.state_dict()[name], expected, atol=1e-6)
