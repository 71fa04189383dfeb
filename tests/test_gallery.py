"""The pictures of a run: they show the classes they say, are read back as they were, and cost the run nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from akd.gallery import gallery, layout, picture, read
from akd.runfolder import RunFolder
from akd.synthesis.bank import eight_bit
from tests.test_contract import assert_same, fresh_state, run


@given(st.integers(1, 1000))
def test_a_layout_shows_each_class_once_and_no_more_than_a_page(num_classes):
    plan = layout(num_classes)
    assert plan.classes == sorted(set(plan.classes)) and len(plan.classes) == min(num_classes, 64)
    assert 1 <= plan.each <= 8 and plan.columns % plan.each == 0 and plan.columns <= 16
    assert plan.classes[0] == 0 and plan.classes[-1] == num_classes - 1


@pytest.mark.parametrize("method", ["akd", "dfad", "fast", "spaceship", "deepinversion"])
def test_each_image_is_one_in_which_the_teacher_sees_its_class_and_the_run_goes_on_as_if_none_were_drawn(method):
    looked, plain = fresh_state(method), fresh_state(method)
    for state in (looked, plain):
        run(state, 12)
    images, plan = gallery(looked), layout(4)
    assert images.shape == (4 * plan.each, 1, 8, 8)
    shown = (images != 1).flatten(1).any(1)
    assert shown.any()
    said = looked.teacher(images).argmax(1)
    assert torch.equal(said[shown], torch.tensor(plan.classes).repeat_interleave(plan.each)[shown])
    assert_same(looked, plain)
    run(looked, 20), run(plain, 20)
    assert_same(looked, plain)


@pytest.mark.parametrize(("size", "classes"), [((1, 8, 8), 10), ((3, 16, 12), 70), ((3, 64, 80), 3)])
def test_a_picture_is_read_back_as_it_was(size, classes, tmp_path):
    plan = layout(classes)
    images = torch.rand(len(plan.classes) * plan.each, *size)
    file = tmp_path / "step-0000001.png"
    file.write_bytes(picture(images, plan.columns))
    back = read(file, size, classes)
    assert torch.equal(back.flatten(0, 1), eight_bit(images))
    assert read(file, (size[0], size[1] + 1, size[2]), classes) is None
    file.write_bytes(file.read_bytes()[:100])
    assert read(file, size, classes) is None


def test_what_was_written_of_later_steps_is_forgotten(tmp_path):
    folder, student = RunFolder(tmp_path), fresh_state("akd").student
    for step in (50, 100, 150):
        folder.write_snapshot(step, student)
        folder.write_picture(step, torch.rand(8, 1, 8, 8), 8)
    (tmp_path / "diverged.json").write_text("{}")
    assert [*folder.snapshots()] == [50, 100, 150]
    folder.rewind(100)
    assert [*folder.snapshots()] == [50, 100] and not (tmp_path / "diverged.json").exists()
    assert sorted(file.name for file in (tmp_path / "images").iterdir()) == ["step-0000050.png", "step-0000100.png"]
