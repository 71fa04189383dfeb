"""The library in somebody else's program: what it takes, and what it gives back as it was."""

import numpy as np
import pytest
import torch

import akd
from akd.errors import ConfigError
from akd.networks.zoo import build
from tests.conftest import tiny_classifier

SMALL = {"student": "digitsnet", "steps": 50, "method": {"name": "dfad", "batch_size": 8}}


@pytest.mark.slow
def test_the_callers_threads_are_the_callers_again(tmp_path):
    before, seen = torch.get_num_threads(), []
    akd.distill(
        tiny_classifier(),
        **SMALL,
        out=tmp_path / "run",
        threads=before + 1,
        watch=lambda report: seen.append(torch.get_num_threads()),
    )
    assert seen == [before + 1] and torch.get_num_threads() == before
    with pytest.raises(ConfigError):
        akd.distill(tiny_classifier(), **SMALL, out=tmp_path / "run", threads=before + 2)  # the run has another config
    assert torch.get_num_threads() == before


MEAN, STD = (0.507, 0.4865, 0.4409), (0.2673, 0.2564, 0.2761)


@pytest.mark.parametrize(
    "given",
    [
        list,
        torch.tensor,
        np.array,
        lambda values: np.array(values, np.float32),
        lambda values: torch.tensor(values).view(1, 3, 1, 1),
        lambda values: [np.float32(value) for value in values],
        lambda values: torch.tensor(values, requires_grad=True),
    ],
)
def test_normalisation_may_come_in_any_kind_of_sequence(given, tmp_path):
    file = tmp_path / "net.pth"
    torch.save(build("resnet20", 10).state_dict(), file)
    teacher = akd.load_teacher(file, arch="resnet20", mean=given(MEAN), std=given(STD), input_size=np.array([3, 32, 32]))
    assert teacher.card.mean == MEAN and teacher.card.std == STD
    assert teacher.card.input_size == (3, 32, 32) and all(type(side) is int for side in teacher.card.input_size)


@pytest.mark.parametrize(
    "wrong", ["grey", 0.5, {"r": 1}, [[1], [2, 3]], torch.tensor([float("nan")] * 3), object(), [True] * 3]
)
def test_what_is_no_sequence_of_numbers_is_told_in_a_line(wrong, tmp_path):
    file = tmp_path / "net.pth"
    torch.save(build("resnet20", 10).state_dict(), file)
    with pytest.raises(akd.AkdError) as told:
        akd.load_teacher(file, arch="resnet20", mean=wrong, std=STD)
    assert "\n" not in str(told.value) and "mean" in str(told.value)
    with pytest.raises(akd.AkdError):
        akd.distill({"source": str(file), "arch": "resnet20", "mean": wrong, "std": STD}, **SMALL, out=tmp_path / "run")


def test_a_mapping_may_hold_tensors_too(tmp_path):
    folder = tmp_path / "teacher"
    akd.save_model(tiny_classifier(), folder)
    told = {"source": str(folder), "mean": torch.tensor([0.3]), "std": np.array([0.4])}
    result = akd.distill(told, **SMALL, out=tmp_path / "run")
    assert result.student.card.mean == (0.3,)


@pytest.mark.slow
def test_a_watch_that_raises_loses_nothing(tmp_path):
    def stumble(report):
        if report.step == 100:
            raise ZeroDivisionError("in the caller's own code")

    longer = {**SMALL, "steps": 150}
    with pytest.raises(ZeroDivisionError):
        akd.distill(tiny_classifier(), **longer, out=tmp_path / "run", watch=stumble)
    steps = []
    result = akd.distill(tiny_classifier(), **longer, out=tmp_path / "run", watch=lambda report: steps.append(report.step))
    straight = akd.distill(tiny_classifier(), **longer, out=tmp_path / "straight")
    assert steps == [150]
    for name, value in straight.student.state_dict().items():
        assert torch.equal(value, result.student.state_dict()[name])
