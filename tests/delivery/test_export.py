"""Exported files say what the student says, in their own runtimes; those that do not are not there."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import akd
from akd.cli import main
from akd.delivery.export import CALIBRATION, COMPARED, Disagreement, Samples, export_model
from akd.delivery.formats import FORMATS
from akd.errors import ConfigError
from akd.networks import zoo
from akd.networks.classifier import Classifier, ModelCard
from akd.synthesis.pictures import pictures
from tests.delivery.conftest import NAMES

needs_onnx = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime")),
    reason="the onnx extra is not installed",
)


def answers(file, images):
    """What ONNX Runtime says by itself, as a user would ask it."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
    session = onnxruntime.InferenceSession(str(file))
    (given_name,), (said,) = ([x.name for x in side] for side in (session.get_inputs(), session.get_outputs()))
    assert given_name == "images" and session.get_inputs()[0].shape == ["batch", *images.shape[1:]]
    return torch.from_numpy(session.run([said], {"images": images.numpy()})[0]), session.get_modelmeta().custom_metadata_map


def synthetic(card, count=CALIBRATION + COMPARED):
    return Samples((pictures(count, card) * 255).round().to(torch.uint8), "formula pictures")


@pytest.fixture(scope="module")
def student(run_folder):
    return akd.load_teacher(run_folder)


@pytest.fixture(scope="module")
def exported(run_folder, tmp_path_factory):
    """All formats that can be made here, with a test set."""
    out = tmp_path_factory.mktemp("exported")
    rng = np.random.default_rng(0)
    np.savez(out / "set.npz", images=rng.integers(0, 255, (300, 8, 8), dtype=np.uint8), labels=np.arange(300) % 4)
    return akd.export(run_folder, out, data=out / "set.npz"), out


@pytest.mark.slow
def test_asked_to_stop_it_leaves_nothing_half_written(run_folder, tmp_path):
    out = tmp_path / "out"
    line = [sys.executable, "-m", "akd", "export", str(run_folder), "--out", str(out), "--format", "pt2"]
    child = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not (out.exists() and any(out.iterdir())) and time.monotonic() < until:
        time.sleep(0.01)
    child.send_signal(signal.SIGTERM)
    _, words = child.communicate(timeout=60)
    assert child.returncode == 143 and words.strip() == "akd: terminated; start the same command again"
    assert list(out.iterdir()) == []


def test_every_file_is_there_and_agrees(exported):
    done, out = exported
    assert [row.format for row in done.rows[1:]] == [name for name in FORMATS if name in {row.format for row in done.rows}]
    assert {"safetensors", "pt2"} <= {row.format for row in done.rows}
    for row in done.rows[1:]:
        assert not row.problem and row.latency_ms > 0
        assert row.bytes == sum((out / file).stat().st_size for file in FORMATS[row.format].files)
        for match in row.matches.values():
            assert match.agreement >= 99 or row.format == "int8"
    first, *others = [row.matches["test"] for row in done.rows]
    assert all(
        match.accuracy == first.accuracy for match, row in zip(others, done.rows[1:], strict=True) if row.format != "int8"
    )
    assert done.compared["synthetic"].count == COMPARED and "image bank" in done.compared["synthetic"].source
    assert done.compared["test"].count == 300 and "set.npz" in done.compared["test"].source
    assert json.loads((out / "export.json").read_text()) == asdict(done)
    assert not [p for p in out.iterdir() if p.name.startswith(".")]


@given(count=st.integers(1, 70))
def test_any_number_of_images_goes_in(count, exported, student):
    _, out = exported
    images = torch.rand(count, 1, 8, 8)
    expected = student(images)
    torch.testing.assert_close(torch.export.load(out / "model.pt2").module()(images), expected)
    torch.testing.assert_close(akd.load_teacher(out)(images), expected, rtol=0, atol=0)


@needs_onnx
@given(count=st.integers(1, 70))
def test_any_number_of_images_goes_into_onnx(count, exported, student):
    _, out = exported
    images = torch.rand(count, 1, 8, 8)
    torch.testing.assert_close(answers(out / "model.onnx", images)[0], student(images), rtol=1e-4, atol=1e-5)
    eight_bit = answers(out / "model.int8.onnx", images)[0]
    assert eight_bit.shape == (count, 4) and eight_bit.isfinite().all()


@needs_onnx
def test_int8_is_in_8_bit_and_says_what_it_was_calibrated_on(exported):
    import onnx

    done, out = exported
    graph = onnx.load(out / "model.int8.onnx").graph
    weights = [x for x in graph.initializer if len(x.dims) == 4 and x.dims[0] > 1]
    assert weights and all(x.data_type == onnx.TensorProto.INT8 for x in weights)
    assert {"QuantizeLinear", "DequantizeLinear", "Conv"} <= {node.op_type for node in graph.node}
    assert "BatchNormalization" not in {node.op_type for node in graph.node}
    assert done.calibrated_on.count == CALIBRATION and "image bank" in done.calibrated_on.source


@needs_onnx
@pytest.mark.parametrize("file", ["model.onnx", "model.int8.onnx"])
def test_the_metadata_tells_classes_and_normalisation(file, exported, student):
    told = {name: json.loads(value) for name, value in answers(exported[1] / file, torch.rand(1, 1, 8, 8))[1].items()}
    assert tuple(told["label_names"]) == NAMES and told["num_classes"] == 4
    assert tuple(told["mean"]) == student.card.mean and told["input_size"] == [1, 8, 8]
    assert told["input"] == "pixels in 0..1" and told["output"] == "logits" and told["akd"]


def test_pt2_carries_the_same_facts(exported):
    facts = {"card.json": ""}
    torch.export.load(exported[1] / "model.pt2", extra_files=facts)
    assert json.loads(json.loads(facts["card.json"])["label_names"]) == list(NAMES)


@pytest.mark.slow
@needs_onnx
@pytest.mark.parametrize(("normalise", "softmax"), [(False, False), (True, True), (False, True)])
def test_normalisation_and_softmax_are_the_callers_choice(normalise, softmax, student, run_folder, tmp_path):
    done = akd.export(run_folder, tmp_path, formats=["onnx"], normalise=normalise, softmax=softmax)
    images = torch.rand(5, 1, 8, 8)
    given_images = images if normalise else (images - student.mean) / student.std
    said, told = answers(tmp_path / "model.onnx", given_images)
    expected = student(images).softmax(1) if softmax else student(images)
    torch.testing.assert_close(said, expected, rtol=1e-4, atol=1e-5)
    assert done.says == json.loads(told["output"]) == ("probabilities" if softmax else "logits")
    assert done.normalise is normalise and ("- mean" in told["input"]) is not normalise
    assert {p.name for p in tmp_path.iterdir()} == {"model.onnx", "export.json"}


LIAR = '''
import torch
from torch import nn

class Liar(nn.Module):
    def __init__(self, num_classes=4):
        super().__init__()
        self.fc = nn.Linear(64, num_classes)

    def forward(self, x):
        logits = self.fc(x.flatten(1))
        return -logits if torch.compiler.is_exporting() else logits

class Loud(Liar):
    """What tells the classes apart is a thousandth of what an 8-bit scale must hold."""
    def forward(self, x):
        loud = torch.cat([0.001 * self.fc(x.flatten(1)), 1000 * x.flatten(1)[:, :1]], 1)
        return 1000 * loud[:, :-1]

class Shy(Liar):
    def forward(self, x):
        return self.fc(x.flatten(1)) if x.sum() > 0 else self.fc(-x.flatten(1))
'''


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """Options that name one of the networks above, as a user's own factory."""
    (tmp_path / "foreign_nets.py").write_text(LIAR)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    told = ["--num-classes", "4", "--mean", "0.3", "--std", "0.4", "--input-size", "1,8,8", "--out", "out"]
    yield lambda name: ["export", f"foreign_nets:{name}", *told]
    sys.modules.pop("foreign_nets", None)


def test_a_file_that_says_something_else_is_not_kept(foreign, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.pt2").write_text("an earlier export's")
    assert main([*foreign("Liar"), "--format", "safetensors,pt2"]) == 1
    printed = capsys.readouterr()
    (line,) = printed.err.strip().splitlines()
    assert line.startswith("akd: pt2: its answers differ by up to") and "--format safetensors" in line
    assert "NOT KEPT" in printed.out
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"model.safetensors", "config.json", "export.json"}
    problems = {row["format"]: row["problem"] for row in json.loads((tmp_path / "out" / "export.json").read_text())["rows"]}
    assert problems["pt2"] and not problems["safetensors"]
    assert main([*foreign("Liar"), "--format", "pt2", "--json"]) == 1
    assert list(json.loads(capsys.readouterr().out)) == ["error"]


@pytest.mark.slow
@needs_onnx
def test_eight_bits_that_lose_the_classes_are_not_kept(foreign, tmp_path, capsys):
    assert main([*foreign("Loud"), "--format", "onnx,int8"]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "int8: it agrees with the student on" in line and "--format onnx" in line
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"model.onnx", "export.json"}


def test_a_network_that_cannot_be_traced_is_told_in_one_line(foreign, tmp_path, capsys):
    assert main([*foreign("Shy"), "--format", "safetensors,pt2"]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "pt2: cannot be made" in line and "--format safetensors" in line
    assert (tmp_path / "out" / "model.safetensors").exists() and not (tmp_path / "out" / "model.pt2").exists()


@pytest.mark.slow
def test_the_command_prints_one_table_within_80_columns(run_folder, tmp_path, capsys):
    argv = ["export", str(run_folder), "--out", str(tmp_path / "o"), "--format", "pt2,safetensors"]
    assert main(argv) == 0
    said = capsys.readouterr().out
    assert "max diff" in said and "safetensors" in said and "image bank" in said and torch.__version__ in said
    assert max(map(len, said.splitlines()[1:])) <= 80
    assert main([*argv, "--json"]) == 0
    assert [row["format"] for row in json.loads(capsys.readouterr().out)["rows"]] == ["student", "safetensors", "pt2"]


def test_by_default_it_goes_into_the_folder_of_the_model(run_folder, tmp_path):
    shutil.copytree(run_folder / "student", tmp_path / "model")
    done = akd.export(tmp_path / "model", formats=["safetensors"])
    assert done.out == str(tmp_path / "model" / "export") and done.compared["synthetic"].source == "formula pictures"
    with pytest.raises(ConfigError, match="--out"):
        akd.export(akd.load_teacher(run_folder))


def test_the_model_is_left_as_it_was(student, tmp_path):
    state = {name: value.clone() for name, value in student.state_dict().items()}
    placed = student.to(memory_format=torch.channels_last)
    export_model(placed.train(), tmp_path, ["safetensors", "pt2"], synthetic(student.card))
    assert placed.training and all(torch.equal(value, state[name]) for name, value in placed.state_dict().items())
    placed.eval()


BAD = [
    ["export"],
    ["export", "nowhere"],
    ["export", "{run}", "--format", "onxx"],
    ["export", "{run}", "--format", ","],
    ["export", "{run}", "--out", "{run}/result.json"],
    ["export", "{run}", "--out", "/proc/akd"],
    ["export", "{run}", "--data", "nowhere"],
    ["export", "{run}", "--data", "digits"],
    ["export", "{run}/student/model.safetensors", "--arch", "digitsnet", "--mean", ".3", "--std", ".4"],
    ["export", "{run}", "--num-classes", "9"],
]


@pytest.mark.parametrize("argv", BAD, ids=" ".join)
def test_bad_input_is_one_line_that_names_a_remedy(argv, run_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([word.replace("{run}", str(run_folder)) for word in argv]) in (1, 2)
    printed = capsys.readouterr()
    (line,) = printed.err.strip().splitlines()
    assert line.startswith("akd: ") and len(line) > 20 and printed.out == ""
    assert not (run_folder / "export").exists() and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_without_its_packages_a_format_names_the_remedy_and_the_others_are_made(run_folder, tmp_path):
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('made for another Python')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "akd", "export", str(run_folder), "--out", str(tmp_path / "o"), "--json"]
    environment = {**os.environ, "PYTHONPATH": path}
    asked = subprocess.run([*command, "--format", "onnx"], env=environment, capture_output=True, text=True)
    assert asked.returncode == 2 and "pip install 'akd[onnx]'" in asked.stderr and len(asked.stderr.splitlines()) == 1
    rest = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert rest.returncode == 0, rest.stderr
    assert [row["format"] for row in json.loads(rest.stdout)["rows"]] == ["student", "safetensors", "pt2"]


FAMILIES = ["resnet20-pad", "wrn16-1", "vgg8", "mobilenetv2", "lenet5", "seed-student-1"]


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("architecture", FAMILIES)
def test_every_family_of_networks_is_exported(architecture, tmp_path):
    size = zoo.require(architecture).input_size
    card = ModelCard(architecture, 10, (0.5,) * size[0], (0.25,) * size[0], size)
    model = Classifier(zoo.build(architecture, 10, size), card)
    with torch.no_grad():
        for _ in range(5):
            model.train()(pictures(32, card))
    few = synthetic(card, CALIBRATION + 64)
    done = export_model(model.to(memory_format=torch.channels_last), tmp_path, list(FORMATS), few)
    assert [row.format for row in done.rows] == ["student", *FORMATS]


@needs_onnx
@pytest.mark.slow
def test_eight_bits_calibrated_on_formulas_keep_the_accuracy_on_real_images(weights_dir, data_dir, tmp_path):
    from akd.evaluation.data import load_test_set

    folder = weights_dir / "cifar100-resnet56"
    told = json.loads((folder / "card.json").read_text())
    teacher = akd.load_teacher(folder / told["file"], arch="resnet56", num_classes=100, mean=told["mean"], std=told["std"])
    real = load_test_set(str(data_dir / "cifar100"), teacher.card)
    test = Samples(real.images[:1000], "cifar100", real.labels[:1000])
    done = export_model(teacher, tmp_path, ["onnx", "int8"], synthetic(teacher.card), test)
    student, exact, eight = [row.matches["test"] for row in done.rows]
    assert student.accuracy > 65 and exact.accuracy == student.accuracy
    assert abs(eight.accuracy - student.accuracy) < 2 and eight.agreement > 90
    assert done.rows[2].bytes < 0.4 * done.rows[1].bytes


def test_nothing_is_kept_of_an_answer_that_is_no_number(student, tmp_path):
    broken = Classifier(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 4)), student.card)
    torch.nn.init.constant_(broken.net[1].weight, float("inf"))
    with pytest.raises(Disagreement):
        export_model(broken, tmp_path, ["pt2"], synthetic(student.card))
    assert not (tmp_path / "model.pt2").exists()
