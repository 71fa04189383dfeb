"""A run's teacher is found again, and is the right one, from wherever it is asked for."""

import shutil

import pytest
import torch

import akd
from akd.errors import ConfigError, ModelError
from akd.networks.models import save_model
from akd.runfolder import RunFolder
from akd.teachers import digest, teacher_of
from tests.conftest import tiny_classifier

SHORT = {"budget": "50%", "steps": 2, "threads": 1, "method": {"name": "dfad", "batch_size": 16}}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with a teacher and a run of it, both named by relative paths; we are in it."""
    home = tmp_path / "home"
    save_model(tiny_classifier(), home / "teacher")
    monkeypatch.chdir(home)
    akd.distill("teacher", out="run", **SHORT)
    return home


def test_a_relative_path_is_meant_from_where_the_run_began(home, tmp_path, monkeypatch):
    expected = digest(teacher_of(RunFolder(home / "run")))
    monkeypatch.chdir(tmp_path)
    assert digest(teacher_of(RunFolder(home / "run"))) == expected == digest(tiny_classifier())


def test_of_two_the_one_that_is_here_is_tried_and_refused_where_it_is_another(home, tmp_path, monkeypatch):
    save_model(tiny_classifier(seed=1), tmp_path / "teacher")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"not the teacher that .* began with; give --teacher"):
        teacher_of(RunFolder(home / "run"))
    assert digest(teacher_of(RunFolder(home / "run"), str(home / "teacher"))) == digest(tiny_classifier())


def test_a_model_in_memory_is_looked_at_as_closely(home):
    mine = tiny_classifier()
    assert teacher_of(RunFolder(home / "run"), mine) is mine
    with pytest.raises(ConfigError, match="the model given is not the teacher"):
        akd.dream(home / "run", home / "set.parquet", images=2, teacher=tiny_classifier(seed=1))
    assert not (home / "set.parquet").exists()


def test_a_teacher_that_moved_is_named_anew(home):
    shutil.move(home / "teacher", home / "elsewhere")
    with pytest.raises(ConfigError, match=r"cannot be loaded .*give --teacher its place"):
        teacher_of(RunFolder(home / "run"))
    with pytest.raises(ModelError, match="nowhere"):
        teacher_of(RunFolder(home / "run"), "nowhere")
    assert digest(teacher_of(RunFolder(home / "run"), "elsewhere")) == digest(tiny_classifier())


def test_one_teacher_does_not_stand_for_several(home):
    save_model(tiny_classifier(seed=1), home / "other")
    akd.distill(["teacher", "other"], out="both", **SHORT)
    images = torch.rand(4, 1, 8, 8)
    one, two = (tiny_classifier(seed)(images).softmax(1) for seed in (0, 1))
    torch.testing.assert_close(teacher_of(RunFolder(home / "both"))(images).softmax(1), (one + two) / 2)
    with pytest.raises(ConfigError, match="several teachers"):
        teacher_of(RunFolder(home / "both"), "other")
