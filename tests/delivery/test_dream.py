"""Published images: what the file says is what the teacher says of what is in it, evenly by class, and anybody can read it."""

import json
import shutil
from io import BytesIO

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import akd
from akd.cli import main
from akd.delivery.dream import evenly
from akd.errors import AkdError, ConfigError
from akd.evaluation.data import load_test_set
from akd.evaluation.writers import write_parquet
from akd.networks.models import save_model
from tests.conftest import tiny_classifier
from tests.delivery.conftest import tiny_run

COUNT = 200


@pytest.fixture(scope="module")
def dreamed(run_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("dreamed") / "set.parquet"
    return akd.dream(run_folder, out, images=COUNT), out


@pytest.fixture(scope="module")
def teacher(run_folder):
    return akd.load_teacher(run_folder.parent / "teacher")


def decoded(table):
    """The images as anybody would get them: bytes through Pillow, [N, 1, 8, 8] in 0..1."""
    pixels = [np.asarray(Image.open(BytesIO(row["bytes"]))) for row in table["img"].to_pylist()]
    return torch.from_numpy(np.stack(pixels))[:, None].float() / 255


def test_the_logits_are_the_teachers_for_the_images_in_the_file(dreamed, teacher):
    table = pq.read_table(dreamed[1])
    logits = torch.tensor(table["logits"].to_pylist())
    torch.testing.assert_close(logits, teacher(decoded(table)), rtol=1e-4, atol=1e-4)
    assert torch.equal(torch.tensor(table["label"].to_pylist()), logits.argmax(1))
    assert len(set(table["img"].combine_chunks().field("bytes").to_pylist())) == COUNT


def test_what_the_bank_lacks_is_not_made_up_of_copies(run_folder, tmp_path):
    akd.dream(run_folder, tmp_path / "set.parquet", images=600)
    images = decoded(pq.read_table(tmp_path / "set.parquet")).flatten(1)
    nearest = torch.cdist(images, images).fill_diagonal_(9).amin(1) / 8
    assert (nearest < 2 / 255).float().mean() < 0.1


def test_the_schema_is_hugging_faces(dreamed):
    schema = pq.read_schema(dreamed[1])
    assert [str(schema.field(name).type).replace("element", "item") for name in schema.names] == [
        "struct<bytes: binary, path: string>",
        "int64",
        "list<item: float>",
    ]
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["img"] == {"_type": "Image"}
    # `datasets` refuses a ClassLabel with a name twice.
    assert features["label"] == {"names": ["cat", "dog", "newt", "dog (3)"], "_type": "ClassLabel"}


def test_what_is_told_is_what_is_there(dreamed):
    said, out = dreamed
    table = pq.read_table(out)
    counts = torch.tensor(table["label"].to_pylist()).bincount(minlength=4).tolist()
    assert list(said["classes"].values()) == counts and said["images"] == sum(counts) == COUNT
    assert said["sources"]["bank"] + said["sources"]["maker"] == COUNT and said["sources"]["bank"] > 0
    assert said["bytes"] == out.stat().st_size
    assert [p.name for p in sorted(out.parent.iterdir())] == ["README.md", "set.parquet"]


def test_akd_evaluates_on_it(dreamed, run_folder, teacher, capsys):
    assert main(["evaluate", str(run_folder), "--data", str(dreamed[1]), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["n"] == COUNT and said["teacher_top1"] == 100 and said["agreement"] == said["top1"]
    assert torch.equal(load_test_set(str(dreamed[1]), teacher.card).images.float() / 255, decoded(pq.read_table(dreamed[1])))


def test_the_card_says_what_they_are_and_names_no_path(dreamed, run_folder):
    said, out = dreamed
    text = (out.parent / "README.md").read_text()
    head = yaml.safe_load(text.split("---")[1])
    assert head["configs"][0]["data_files"][0]["path"] == "set.parquet" and "license" not in head
    sha = json.loads((run_folder / "environment.json").read_text())["teacher_sha256"]
    for part in ("No photograph", sha[:16], torch.__version__, "seed 0", f"{said['sources']['maker']:,} from its maker"):
        assert part in text
    assert str(run_folder.parent) not in text


def test_the_hubs_own_client_understands_the_card(dreamed):
    hub = pytest.importorskip("huggingface_hub", reason="the hub extra is not installed")
    card = hub.DatasetCard.load(dreamed[1].parent / "README.md")
    assert card.data.task_categories == ["image-classification"] and "synthetic" in card.data.tags


def test_the_seed_decides_which(dreamed, run_folder, tmp_path):
    akd.dream(run_folder, tmp_path / "set.parquet", images=COUNT)
    akd.dream(run_folder, tmp_path / "other.parquet", images=COUNT, seed=1)
    assert (tmp_path / "set.parquet").read_bytes() == dreamed[1].read_bytes() != (tmp_path / "other.parquet").read_bytes()


def test_nobodys_words_are_written_over(run_folder, tmp_path, capsys):
    (tmp_path / "README.md").write_text("mine")
    argv = ["dream", str(run_folder), "--images", "20", "--out"]
    assert main([*argv, str(tmp_path / "set.parquet")]) == 0
    assert "set.md" in capsys.readouterr().out and "20 synthetic" in (tmp_path / "set.md").read_text()
    assert main([*argv, str(tmp_path / "set.parquet"), "--images", "30", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["card"] == str(tmp_path / "set.md")
    assert "30 synthetic" in (tmp_path / "set.md").read_text() and (tmp_path / "README.md").read_text() == "mine"
    (tmp_path / "other.md").write_text("mine too")
    assert main([*argv, str(tmp_path / "other.parquet")]) == 2 and not (tmp_path / "other.parquet").exists()


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.data())
def test_classes_come_out_as_even_as_their_numbers_allow(labels, data):
    labels, count = torch.tensor(labels), data.draw(st.integers(1, len(labels)))
    taken = evenly(labels, count)
    assert len(taken) == len(taken.unique()) == count
    have, got = labels.bincount(minlength=5), labels[taken].bincount(minlength=5)
    for a in range(5):
        assert got[a] == have[a] or got[a] >= got.max() - 1  # short only where there are no more


def test_the_maker_fills_what_the_bank_lacks(run_folder, tmp_path, teacher):
    said = akd.dream(run_folder, tmp_path / "many.parquet", images=1000)
    assert said["sources"]["maker"] > said["sources"]["bank"] > 0
    table = pq.read_table(tmp_path / "many.parquet")
    torch.testing.assert_close(torch.tensor(table["logits"].to_pylist()), teacher(decoded(table)), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_generator_draws_as_many_as_one_likes_without_a_bank(tmp_path):
    said = akd.dream(tiny_run(tmp_path, name="dfad"), tmp_path / "set.parquet", images=3000)
    assert said["sources"] == {"bank": 0, "maker": 3000} and sum(said["classes"].values()) == 3000


@pytest.mark.slow
@pytest.mark.parametrize("method", [{"name": "fast"}, {"name": "deepinversion", "iterations": 20}], ids=lambda m: m["name"])
def test_a_run_that_has_fewer_says_how_many(method, tmp_path):
    run = tiny_run(tmp_path, **method)
    with pytest.raises(AkdError, match="--images") as told:
        akd.dream(run, tmp_path / "a.parquet", images=3000)
    assert not (tmp_path / "a.parquet").exists() and not (tmp_path / "README.md").exists()
    most = int(str(told.value).rpartition(" ")[2])
    assert akd.dream(run, tmp_path / "a.parquet", images=most)["images"] == most


def test_an_unfinished_run_and_a_teacher_that_was_moved(run_folder, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(run_folder, run)
    (run / "result.json").unlink(), shutil.rmtree(run / "student")
    shutil.copytree(run_folder.parent / "teacher", tmp_path / "moved")
    assert akd.dream(run, tmp_path / "a.parquet", images=10, teacher=tmp_path / "moved")["images"] == 10
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace(str(run_folder.parent / "teacher"), "/gone"))
    with pytest.raises(AkdError, match="--teacher"):
        akd.dream(run, tmp_path / "a.parquet", images=10)
    save_model(tiny_classifier(seed=3), tmp_path / "other")
    with pytest.raises(ConfigError, match="is not the teacher"):
        akd.dream(run, tmp_path / "a.parquet", images=10, teacher=tmp_path / "other")


def test_colour_is_written_as_colour_and_what_no_file_holds_is_refused(tmp_path):
    images = torch.randint(0, 256, (3, 3, 5, 6), dtype=torch.uint8)
    write_parquet(tmp_path / "c.parquet", images, torch.arange(3), torch.eye(3), ["a", "b", "c"])
    rows = pq.read_table(tmp_path / "c.parquet")["img"].to_pylist()
    read = np.stack([np.asarray(Image.open(BytesIO(row["bytes"]))) for row in rows])
    assert np.array_equal(read, images.permute(0, 2, 3, 1).numpy())
    with pytest.raises(ConfigError, match="channels"):
        write_parquet(tmp_path / "d.parquet", images[:, :2], torch.arange(3), torch.eye(3), ["a", "b", "c"])
    assert [p.name for p in tmp_path.iterdir()] == ["c.parquet"]


BAD = [
    ["dream", "{run}"],
    ["dream", "nowhere", "--out", "a.parquet"],
    ["dream", "{run}/student", "--out", "a.parquet"],
    ["dream", "{run}", "--out", "a"],
    ["dream", "{run}", "--out", "/proc/akd/a.parquet", "--images", "5"],
    ["dream", "{run}", "--out", "{run}/result.json/a.parquet", "--images", "5"],
    ["dream", "{run}", "--out", "a.parquet", "--images", "0"],
    ["dream", "{run}", "--out", "a.parquet", "--images", "many"],
    ["dream", "{run}", "--out", "a.parquet", "--seed", "-1"],
    ["dream", "{run}", "--out", "a.parquet", "--teacher", "nowhere"],
    ["dream", "{run}", "--out", "a.parquet", "--device", "gpu"],
    ["dream", "damaged", "--out", "a.parquet"],
    ["dream", "bare", "--out", "a.parquet"],
]


@pytest.mark.parametrize("argv", BAD, ids=" ".join)
def test_bad_input_is_one_line_that_names_a_remedy(argv, run_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run_folder, tmp_path / "damaged")
    (tmp_path / "damaged" / "checkpoint.pt").write_bytes(b"akd-checkpoint-1 0\n")
    shutil.copytree(run_folder, tmp_path / "bare")
    (tmp_path / "bare" / "checkpoint.pt").unlink()
    assert main([word.replace("{run}", str(run_folder)) for word in argv]) in (1, 2)
    printed = capsys.readouterr()
    (line,) = printed.err.strip().splitlines()
    assert line.startswith("akd: ") and len(line) > 20 and printed.out == "" and "Traceback" not in line
    assert {p.name for p in tmp_path.iterdir()} == {"damaged", "bare"}
