"""The library in somebody else's program: what it takes, and what it gives back as it was."""

import pytest
import torch

import akd
from akd.errors import ConfigError
from tests.conftest import tiny_classifier

SMALL = {"student": "digitsnet", "steps": 50, "method": {"name": "dfad", "batch_size": 8}}


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
