"""The folder for the Hugging Face hub: read back offline, by us as by its own client, and nothing private in its card."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

import akd
from akd.cli import main
from akd.errors import ConfigError
from tests.delivery.conftest import NAMES


@pytest.fixture(scope="module")
def pushed(run_folder, tmp_path_factory):
    """A hub folder measured on a test set, and the export beside it."""
    root = tmp_path_factory.mktemp("pushed")
    rng = np.random.default_rng(0)
    np.savez(root / "set.npz", images=rng.integers(0, 255, (40, 8, 8), dtype=np.uint8), labels=np.arange(40) % 4)
    ways = {"formats": ["safetensors"], "data": root / "set.npz", "push_dir": root / "tiny-student"}
    return root / "tiny-student", akd.export(run_folder, root / "out", **ways)


def test_it_is_read_back_offline(pushed, run_folder):
    folder, _ = pushed
    assert {p.name for p in folder.iterdir()} == {"README.md", "config.json", "model.safetensors"}
    images = torch.rand(6, 1, 8, 8)
    expected = akd.load_teacher(run_folder)(images)
    for read in (akd.Classifier.from_pretrained(folder), akd.Classifier.from_pretrained(str(folder)), akd.load_teacher(folder)):
        assert torch.equal(read(images), expected) and read.card.label_names == NAMES


def test_the_hubs_own_client_understands_the_card(pushed):
    hub = pytest.importorskip("huggingface_hub", reason="the hub extra is not installed")
    folder, done = pushed
    card = hub.ModelCard.load(folder / "README.md")
    (result,) = card.data.eval_results
    assert result.metric_type == "accuracy" and result.task_type == "image-classification"
    assert 100 * result.metric_value == pytest.approx(done.rows[0].matches["test"].accuracy)
    assert "set.npz" in result.dataset_name and card.data.model_name == "tiny-student"
    assert hub.metadata_load(folder / "README.md") == card.data.to_dict()
    assert card.data.license is None and "license" in card.text


def test_the_card_tells_the_conditions_and_no_path(pushed, run_folder):
    folder, done = pushed
    text = (folder / "README.md").read_text()
    accuracy = done.rows[0].matches["test"].accuracy
    assert f"Accuracy {accuracy:.2f} % on 40 images" in text and torch.__version__ in text and "seed 0" in text
    sha = json.loads((run_folder / "environment.json").read_text())["teacher_sha256"]
    assert sha[:16] in text and "`teacher`" in text
    assert str(run_folder) not in text and str(folder.parent) not in text


def test_without_a_test_set_nothing_is_claimed(run_folder, tmp_path):
    akd.export(run_folder, tmp_path / "o", formats=["safetensors"], push_dir=tmp_path / "bare")
    text = (tmp_path / "bare" / "README.md").read_text()
    head = yaml.safe_load(text.split("---")[1])
    assert "model-index" not in head and "not been measured" in text and head["pipeline_tag"] == "image-classification"


def test_a_model_without_a_run_tells_no_history(run_folder, tmp_path):
    akd.export(run_folder / "student", tmp_path / "o", formats=["safetensors"], push_dir=tmp_path / "bare")
    text = (tmp_path / "bare" / "README.md").read_text()
    assert "How it was made" not in text and "data-free distillation" not in text


def test_a_card_that_is_there_is_never_written_over(pushed, run_folder, tmp_path, capsys):
    argv = ["export", str(run_folder), "--format", "safetensors", "--out", str(tmp_path / "o"), "--push-dir", str(pushed[0])]
    before = (pushed[0] / "README.md").read_text()
    assert main(argv) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "README.md" in line and "--push-dir" in line
    assert (pushed[0] / "README.md").read_text() == before and not (tmp_path / "o").exists()


HUB = """
import sys, akd
print(akd.Classifier.from_pretrained(sys.argv[1]).card.label_names, akd.load_teacher(sys.argv[2]).card.std)
"""


@pytest.mark.slow
def test_put_on_the_hub_it_is_found_there(pushed, tmp_path):
    """The hub's cache as it is after a download, and no network."""
    pytest.importorskip("huggingface_hub", reason="the hub extra is not installed")
    repository = tmp_path / "models--me--tiny"
    shutil.copytree(pushed[0], repository / "snapshots" / ("a" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", HUB, "me/tiny", "hf-hub:me/tiny"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{NAMES} (0.4,)"


def test_the_user_is_told_of_the_license(run_folder, tmp_path, capsys):
    argv = ["export", str(run_folder), "--format", "safetensors", "--out", str(tmp_path / "o")]
    assert main([*argv, "--push-dir", str(tmp_path / "push")]) == 0
    assert "license" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="README"):
        akd.export(run_folder, tmp_path / "o", formats=["safetensors"], push_dir=tmp_path / "push")
