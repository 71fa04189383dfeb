"""Every form of test set, written to disk as its makers write it; and every way in which one can be broken."""

import contextlib
import io
import json
import os
import pickle
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits

from akd.errors import DataError
from akd.evaluation import TestSet, digits_split, load_test_set
from akd.networks.classifier import ModelCard

fuzz = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ANIMALS = ("cat", "dog", "owl")


def card(classes=3, size=(3, 8, 8), names=None):
    return ModelCard("any", classes, (0.5,) * size[0], (0.25,) * size[0], size, label_names=names)


def random_images(count=6, size=(8, 8, 3), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *size), np.uint8)


def encode(pixels, form="PNG", mode=None):
    stream = io.BytesIO()
    picture = Image.fromarray(pixels)
    picture.convert(mode or picture.mode).save(stream, form, lossless=True)
    return stream.getvalue()


def write_parquet(path, pictures, image="img", raw=False, names=None, **labels):
    column = pictures if raw else [{"bytes": content, "path": None} for content in pictures]
    table = pa.table({image: column, **labels})
    if names:
        features = {key: {"names": list(known), "_type": "ClassLabel"} for key, known in names.items()}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path)
    return str(path)


def write_folder(root, images, labels, names, suffix="png", **options):
    for i, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        (root / names[label]).mkdir(parents=True, exist_ok=True)
        (root / names[label] / f"{i}.{suffix}").write_bytes(encode(pixels, **options))
    return str(root)


def write_npz(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


def write_cifar(folder, test, meta, dump=pickle.dumps):
    folder.mkdir(parents=True, exist_ok=True)
    ten = "data" in test and "labels" in test
    (folder / ("test_batch" if ten else "test")).write_bytes(dump(test))
    (folder / ("batches.meta" if ten else "meta")).write_bytes(dump(meta))
    return str(folder)


def cifar100(count=6):
    rows = random_images(count, (3072,))
    fine, coarse = [7 * i % 100 for i in range(count)], [3 * i % 20 for i in range(count)]
    test = {"data": rows, "fine_labels": fine, "coarse_labels": coarse, "filenames": [f"{i}.png" for i in range(count)]}
    meta = {"fine_label_names": [f"f{i}" for i in range(100)], "coarse_label_names": [f"c{i}" for i in range(20)]}
    return test, meta


def as_python_2(content):
    """As Python 2 and an old numpy wrote the published files: byte strings throughout, `numpy.core`."""

    class Pickler(pickle._Pickler):
        dispatch: ClassVar = dict(pickle._Pickler.dispatch)

        def save_string(self, text):
            raw = text.encode("latin1") if isinstance(text, str) else text
            self.write(pickle.BINSTRING + len(raw).to_bytes(4, "little") + raw)

        dispatch[str] = dispatch[bytes] = save_string

    stream = io.BytesIO()
    Pickler(stream, protocol=2).dump(content)
    return stream.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")


def refused(source, model, *words):
    """One line, in which every one of `words` stands."""
    with pytest.raises(DataError) as caught:
        load_test_set(str(source), model)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def same_pixels(found, images_nhwc):
    return np.array_equal(found.images.numpy(), images_nhwc.transpose(0, 3, 1, 2))


# Hugging Face parquet


def test_cifar100_as_published(data_dir):
    folder = data_dir / "cifar100"
    found = load_test_set(str(folder), card(100, (3, 32, 32)))
    assert found.images.shape == (10_000, 3, 32, 32)
    assert found.images.dtype == torch.uint8
    assert found.labels.dtype == torch.int64
    assert found.labels.bincount().tolist() == [100] * 100
    assert (found.label_names[0], found.label_names[35], found.label_names[99]) == ("apple", "girl", "worm")
    assert found.labels[0] == 35
    first = pq.read_table(folder / "test-00000-of-00001.parquet")["img"][0].as_py()["bytes"]
    pixels = np.array(Image.open(io.BytesIO(first)))
    assert np.array_equal(found.images[0].permute(1, 2, 0).numpy(), pixels)


def test_cifar100_judges_the_coarse_classes_too_and_refuses_ten(data_dir):
    source = data_dir / "cifar100" / "test-00000-of-00001.parquet"
    coarse = load_test_set(str(source), card(20, (3, 32, 32)))
    assert coarse.label_names[coarse.labels[0]] == "people"
    refused(source, card(10, (3, 32, 32)), "fine_label has 100", "coarse_label has 20", "the model 10")


def test_mnist_as_published(data_dir):
    found = load_test_set(str(data_dir / "mnist"), card(10, (1, 28, 28)))
    assert found.images.shape == (10_000, 1, 28, 28)
    assert found.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert found.label_names == tuple("0123456789")
    refused(data_dir / "mnist", card(10, (1, 32, 32)), "28×28", "32×32", "image folder")
    refused(data_dir / "mnist", card(10, (3, 28, 28)), "grey", "3 channels", "RGB")


@pytest.mark.parametrize("form", ["PNG", "WEBP", "BMP"])
@pytest.mark.parametrize(("raw", "image", "label"), [(True, "image", "label"), (False, "img", "labels")])
def test_parquet_forms(tmp_path, form, raw, image, label):
    images = random_images()
    pictures = [encode(pixels, form) for pixels in images]
    source = write_parquet(tmp_path / "a.parquet", pictures, image, raw, **{label: [0, 1, 2, 0, 1, 2]})
    found = load_test_set(source, card())
    assert same_pixels(found, images)
    assert found.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert found.label_names is None


def test_the_hub_s_own_layout(tmp_path):
    (tmp_path / "data").mkdir()
    write_parquet(tmp_path / "data" / "test-00000-of-00001.parquet", [encode(p) for p in random_images()], label=[0, 1, 2] * 2)
    assert load_test_set(str(tmp_path), card()).labels.tolist() == [0, 1, 2] * 2


def test_a_folder_means_its_test_split_alone(tmp_path):
    pictures = [encode(pixels) for pixels in random_images()]
    (tmp_path / "train-00000-of-00001.parquet").write_bytes(b"never to be opened")
    refused(tmp_path, card(), "no test-*.parquet", "train-00000-of-00001.parquet")
    for shard in range(2):
        path = tmp_path / f"test-0000{shard}-of-00002.parquet"
        write_parquet(path, pictures[3 * shard : 3 * shard + 3], label=[shard] * 3)
    found = load_test_set(str(tmp_path), card())
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert same_pixels(found, random_images())


@given(st.permutations(ANIMALS), st.lists(st.integers(0, 2), min_size=1, max_size=9))
@fuzz
def test_every_image_keeps_the_name_of_its_class(tmp_path, order, labels):
    pictures = [encode(pixels) for pixels in random_images(len(labels))]
    source = write_parquet(tmp_path / "a.parquet", pictures, names={"label": order}, label=labels)
    found = load_test_set(source, card(names=ANIMALS))
    assert found.label_names == ANIMALS
    assert [ANIMALS[label] for label in found.labels] == [order[label] for label in labels]


def test_names_that_contradict_the_models_are_refused(tmp_path):
    pictures = [encode(pixels) for pixels in random_images()]
    source = write_parquet(tmp_path / "a.parquet", pictures, names={"label": ("dog", "cat", "eagle")}, label=[0] * 6)
    refused(source, card(names=ANIMALS), "class 0", "'dog'", "'cat'")
    other = load_test_set(source, card(names=("Hund", "Katze", "Adler")))
    assert other.labels.tolist() == [0] * 6
    refused(source, card(4), "3 classes", "the model 4")


def test_names_that_are_all_others_are_matched_by_position_and_that_is_told(tmp_path):
    write_folder(tmp_path, random_images(), [0, 1, 2, 0, 1, 2], ["ant", "bee", "cow"])
    labels = load_test_set(str(tmp_path), card(3, names=("x", "y", "z")))
    assert labels.doubt == "none of its class names (ant, bee …) is the model's (x, y …): classes were matched by position"
    assert load_test_set(str(tmp_path), card(3, names=("cow", "ant", "bee"))).doubt == ""
    assert load_test_set(str(tmp_path), card(3)).doubt == ""


def test_parquet_with_unfit_columns(tmp_path):
    pictures = [encode(pixels) for pixels in random_images()]
    path = tmp_path / "a.parquet"
    refused(write_parquet(path, pictures, "photo", label=[0] * 6), card(), "photo", "img or image")
    refused(write_parquet(path, pictures, klass=[0] * 6), card(), "klass", "label")
    refused(write_parquet(path, pictures, label=["cat"] * 6), card(), "whole numbers")
    refused(write_parquet(path, pictures, label=[0, 1, None, 0, 1, 2]), card(), "whole numbers")
    refused(write_parquet(path, pictures, label=[-1] * 6), card(), "from -1 to -1", "labelled")
    refused(write_parquet(path, pictures, label=[3] * 6), card(), "0 to 2")
    only_paths = pa.table({"img": [{"bytes": None, "path": "a.png"}, {"bytes": b"", "path": None}], "label": [0, 1]})
    pq.write_table(only_paths, path)
    refused(path, card(), "image 0 has no bytes")
    refused(write_parquet(path, [1] * 6, raw=True, label=[0] * 6), card(), "int64", "PNG")
    refused(write_parquet(path, [b"\x89PNG but no more"] * 6, label=[0] * 6), card(), "image 0", "cannot be read")
    refused(write_parquet(path, [pictures[0][:60]] * 6, label=[0] * 6), card(), "image 0", "cannot be read")


def test_metadata_that_is_no_metadata_means_no_names(tmp_path):
    table = pa.table({"img": [encode(pixels) for pixels in random_images()], "label": [0, 1, 2, 0, 1, 2]})
    for words in ("{", "[]", '{"info": 3}', '{"info": {"features": {"label": null}}}'):
        pq.write_table(table.replace_schema_metadata({"huggingface": words}), tmp_path / "a.parquet")
        assert load_test_set(str(tmp_path / "a.parquet"), card()).label_names is None


# torchvision's pickles


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5, "python 2"])
def test_cifar_pickles_of_every_age(tmp_path, protocol):
    test, meta = cifar100()
    write_cifar(tmp_path / "cifar-100-python", test, meta, _dump(protocol))
    for source in (tmp_path, tmp_path / "cifar-100-python"):
        found = load_test_set(str(source), card(100, (3, 32, 32)))
        assert np.array_equal(found.images.numpy(), test["data"].reshape(-1, 3, 32, 32))
        assert found.labels.tolist() == test["fine_labels"]
        assert found.label_names == tuple(meta["fine_label_names"])
    assert load_test_set(str(tmp_path), card(20, (3, 32, 32))).labels.tolist() == test["coarse_labels"]


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5, "python 2"])
def test_cifar_pickles_with_numpy_s_numbers_and_empty_bytes(tmp_path, protocol):
    test, meta = cifar100()
    test["fine_labels"] = [np.int64(label) for label in test["fine_labels"]]
    test["batch_label"] = b""
    write_cifar(tmp_path / "cifar-100-python", test, meta, _dump(protocol))
    assert load_test_set(str(tmp_path), card(100, (3, 32, 32))).labels.tolist() == test["fine_labels"]


def _dump(protocol):
    return as_python_2 if protocol == "python 2" else lambda content: pickle.dumps(content, protocol)


def test_cifar10_beside_cifar100_goes_to_the_model_of_ten_classes(tmp_path):
    write_cifar(tmp_path / "cifar-100-python", *cifar100())
    test = {b"data": random_images(4, (3072,), seed=1), b"labels": np.array([9, 0, 3, 3])}
    meta = {b"label_names": [b"plane", *(b"c%d" % i for i in range(9))]}
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "test_batch").write_bytes(pickle.dumps(test))
    (folder / "batches.meta").write_bytes(pickle.dumps(meta))
    found = load_test_set(str(tmp_path), card(10, (3, 32, 32)))
    assert found.labels.tolist() == [9, 0, 3, 3]
    assert found.label_names[0] == "plane"
    assert len(load_test_set(str(tmp_path), card(100, (3, 32, 32))).labels) == 6


class Runs:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_hostile_pickle_is_refused_and_not_run(tmp_path, protocol):
    mark = tmp_path / "was run"
    hostile = (
        Runs(os.system, f"touch '{mark}'"),
        Runs(eval, f"open({str(mark)!r}, 'w')"),
        Runs(open, str(mark), "w"),
        Runs(getattr, "", "encode"),
        np.array([open, 1], object),
        np.zeros(2, [("a", "i4")]),
    )
    for content in hostile:
        test, meta = cifar100()
        for key in ("data", "fine_labels", "filenames"):
            write_cifar(tmp_path / "c", {**test, key: content}, meta, _dump(protocol))
            refused(tmp_path / "c", card(100, (3, 32, 32)), "cannot be read", "anew")
    assert not mark.exists()


def test_a_cifar_folder_without_its_names_is_told(tmp_path):
    folder = tmp_path / "cifar-100-python"
    write_cifar(folder, *cifar100())
    (folder / "meta").unlink()
    for source in (tmp_path, folder):
        refused(source, card(100, (3, 32, 32)), "lacks meta", "fetch the folder anew")


def test_a_small_pickle_gets_no_large_memory(tmp_path):
    test, meta = cifar100()
    write_cifar(tmp_path, test, meta)
    memo = pickle.PROTO + b"\5" + pickle.EMPTY_DICT + pickle.LONG_BINPUT + b"\xff\xff\xff\x7f."
    array = pickle.PROTO + b"\5" + pickle.BYTEARRAY8 + (1 << 42).to_bytes(8, "little") + b"."
    for content in (memo, array):
        (tmp_path / "test").write_bytes(content)
        refused(tmp_path, card(100, (3, 32, 32)), "fetch", "anew")


def test_pickles_that_hold_something_else(tmp_path):
    test, meta = cifar100()
    model = card(100, (3, 32, 32))
    refused(write_cifar(tmp_path / "a", [1, 2], meta), model, "no CIFAR file")
    refused(write_cifar(tmp_path / "b", {"data": test["data"]}, meta), model, "fine_labels")
    refused(write_cifar(tmp_path / "c", {**test, "data": test["data"][:, :3000]}, meta), model, "6 CIFAR images")
    refused(write_cifar(tmp_path / "d", {**test, "data": [[0] * 3072] * 6}, meta), model, "6 CIFAR images")
    refused(write_cifar(tmp_path / "e", {**test, "data": test["data"][:5]}, meta), model, "6 CIFAR images")
    refused(write_cifar(tmp_path / "f", {**test, "fine_labels": ["7"] * 6}, meta), model, "whole numbers")
    refused(write_cifar(tmp_path / "g", {**test, "fine_labels": [200] * 6}, meta), model, "0 to 99")


@given(st.data())
@fuzz
def test_damaged_pickles_end_in_data_errors(tmp_path, data):
    test, meta = cifar100(2)
    whole = pickle.dumps(test, data.draw(st.sampled_from([0, 2, 4, 5])))
    broken = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 4)) if broken else 0):
        # Nearly all of the file is pixels; what steers the unpickler stands at its start and end.
        place = data.draw(st.integers(-300, 300))
        broken[place % len(broken)] = data.draw(st.integers(0, 255))
    write_cifar(tmp_path, test, meta)
    (tmp_path / "test").write_bytes(broken)
    with contextlib.suppress(DataError):
        assert isinstance(load_test_set(str(tmp_path), card(100, (3, 32, 32))), TestSet)


# Image folders


def test_image_folder_in_torchvisions_order(tmp_path):
    images, labels = random_images(), [2, 1, 0, 2, 1, 0]
    source = write_folder(tmp_path / "photos", images, labels, ANIMALS)
    (tmp_path / "photos" / ".cache").mkdir()
    (tmp_path / "photos" / "cat" / "notes.txt").write_text("no image")
    found = load_test_set(source, card())
    assert found.label_names == ANIMALS
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert same_pixels(found, images[[2, 5, 1, 4, 0, 3]])
    by_name = load_test_set(source, card(names=("owl", "cat", "dog")))
    assert by_name.labels.tolist() == [1, 1, 2, 2, 0, 0]


@pytest.mark.parametrize(("suffix", "form"), [("jpg", "JPEG"), ("JPEG", "JPEG"), ("webp", "WEBP"), ("bmp", "BMP")])
def test_image_folder_of_other_formats(tmp_path, suffix, form):
    flat = np.full((3, 8, 8, 3), (200, 100, 50), np.uint8)
    found = load_test_set(write_folder(tmp_path, flat, [0, 1, 2], ANIMALS, suffix, form=form), card())
    assert (found.images.int() - torch.tensor([200, 100, 50]).view(1, 3, 1, 1)).abs().max() <= 2


def test_only_image_folders_are_resized_and_without_aliasing(tmp_path):
    stripes = np.zeros((3, 32, 64, 3), np.uint8)
    stripes[:, :, ::2] = 255
    stripes[..., 2] = 0
    source = write_folder(tmp_path / "photos", stripes, [0, 1, 2], ANIMALS)
    found = load_test_set(source, card())
    assert found.images.shape == (3, 3, 8, 8)
    inside = found.images[:, :2, 1:-1, 1:-1].float()
    assert ((inside - 127.5).abs() <= 2).all()
    parquet = write_parquet(tmp_path / "a.parquet", [encode(s) for s in stripes], label=[0, 1, 2])
    refused(parquet, card(), "32×64", "8×8", "image folder")


def test_colour_is_never_guessed(tmp_path):
    grey = random_images(3, (8, 8))
    source = write_folder(tmp_path / "grey", grey, [0, 1, 2], ANIMALS)
    refused(source, card(), "grey", "3 channels")
    assert np.array_equal(load_test_set(source, card(size=(1, 8, 8))).images[:, 0].numpy(), grey)
    # The same pixels written as RGB lose nothing as grey, and are what the user says they are.
    same = write_folder(tmp_path / "same", grey, [0, 1, 2], ANIMALS, mode="RGB")
    for channels in (1, 3):
        found = load_test_set(same, card(size=(channels, 8, 8)))
        assert np.array_equal(found.images.numpy(), np.repeat(grey[:, None], channels, 1))
    colour = write_folder(tmp_path / "colour", random_images(3), [0, 1, 2], ANIMALS)
    refused(colour, card(size=(1, 8, 8)), "in colour", "1 channel")
    refused(colour, card(size=(4, 8, 8)), "takes 4", ".npz")
    # A grey photograph among coloured ones is grey in all three channels.
    (tmp_path / "colour" / "cat" / "0.png").write_bytes(encode(grey[0]))
    assert (load_test_set(colour, card()).images[0].numpy() == grey[0]).all()


def test_image_folders_that_are_not_one(tmp_path):
    write_folder(tmp_path / "set" / "test", random_images(), [0, 1, 2] * 2, ANIMALS)
    refused(tmp_path / "set", card(1 + 1), "CLASS", str(tmp_path / "set" / "test"))
    refused(tmp_path, card(1 + 1), "CLASS", "name the folder")
    refused(tmp_path / "set" / "test", card(4), "3 classes", "cat, dog, owl", "the model 4")
    refused(tmp_path / "set" / "test" / "cat", card(), "known form")
    numbers = [str(i) for i in range(11)]
    write_folder(tmp_path / "numbers", random_images(11), range(11), numbers)
    refused(tmp_path / "numbers", card(11), "10 before 2", "zeros")
    assert load_test_set(str(tmp_path / "numbers"), card(11, names=numbers)).labels.tolist() == [
        0,
        1,
        10,
        *range(2, 10),
    ]


def test_broken_or_deep_pictures(tmp_path):
    write_folder(tmp_path / "a", random_images(3), [0, 1, 2], ANIMALS)
    picture = tmp_path / "a" / "dog" / "1.png"
    whole = picture.read_bytes()
    for broken in (b"", whole[:50], whole[:-40], b"<svg/>", b"%!PS-Adobe-3.0 EPSF-3.0\n"):
        picture.write_bytes(broken)
        refused(tmp_path / "a", card(), "dog/1.png", "cannot be read")
    picture.write_bytes(encode(np.full((8, 8), 40_000, np.uint16)))
    refused(tmp_path / "a", card(), "8 bits")


# .npz


@pytest.mark.parametrize(("x", "y"), [("images", "labels"), ("x", "y"), ("data", "labels"), ("x_test", "y_test")])
def test_npz_layouts_and_types(tmp_path, x, y):
    images, labels = random_images(), np.array([0, 1, 2, 0, 1, 2], np.uint8)
    exact = images / np.float32(255)
    for form in (images, images.transpose(0, 3, 1, 2), exact):
        found = load_test_set(write_npz(tmp_path / "a.npz", **{x: form, y: labels}), card())
        assert same_pixels(found, images)
        assert found.labels.tolist() == labels.tolist()
    source = write_npz(tmp_path / "b.npz", **{x: images[..., 0], y: labels[:, None]})
    grey = load_test_set(source, card(size=(1, 8, 8)))
    assert same_pixels(grey, images[..., :1])


def test_unfit_npz(tmp_path):
    images, labels, path = random_images(), np.array([0, 1, 2] * 2), tmp_path / "a.npz"
    refused(write_npz(path, pixels=images, labels=labels), card(), "pixels", "rename")
    refused(write_npz(path, images=images, labels=labels[:5]), card(), "do not agree")
    refused(write_npz(path, images=images, labels=np.eye(3)[labels]), card(), "whole number")
    refused(write_npz(path, images=images, labels=labels / 2), card(), "whole number")
    refused(write_npz(path, images=images[:0], labels=labels[:0]), card(), "no images")
    refused(write_npz(path, images=images[..., 0], labels=labels), card(), "[6, 8, 8]", "3×8×8")
    refused(write_npz(path, images=images[:, :7], labels=labels), card(), "[6, 7, 8, 3]", "resize")
    refused(write_npz(path, images=images / 100, labels=labels), card(), "0..1", "uint8")
    refused(write_npz(path, images=images * np.nan, labels=labels), card(), "0..1")
    refused(write_npz(path, images=images.astype(np.int64), labels=labels), card(), "int64", "uint8")
    refused(write_npz(path, images=np.array(3), labels=labels), card(), "do not agree")


def test_an_npz_runs_nothing(tmp_path):
    mark = tmp_path / "was run"
    hostile = np.array([Runs(os.system, f"touch '{mark}'")], object)
    refused(write_npz(tmp_path / "a.npz", images=hostile, labels=np.array([0])), card(), "never loaded")
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Runs(os.system, f"touch '{mark}'")))
    refused(tmp_path / "b.npz", card(), "cannot be read")
    assert not mark.exists()


# Digits, and what is no test set


def test_digits_are_scikit_learns_and_fixed():
    split, again = digits_split(), digits_split()
    assert torch.equal(split.test_images, again.test_images)
    assert (len(split.train_labels), len(split.test_labels)) == (1347, 450)
    together = torch.cat([split.train_images, split.test_images]).reshape(-1, 64).double() * 16 / 255
    pixels, labels = load_digits(return_X_y=True)
    # Rounding to 256 levels keeps scikit-learn's 17 apart, and the parts are the whole: each digit once.
    assert sorted(map(tuple, together.round().tolist())) == sorted(map(tuple, pixels.tolist()))
    shares = split.test_labels.bincount().numpy() / np.bincount(labels)
    assert np.abs(shares - 0.25).max() < 0.01
    train = split.train_images.double() / 255
    assert (split.mean[0], split.std[0]) == pytest.approx((train.mean().item(), train.std(correction=0).item()))


def test_digits_as_a_test_set():
    found = load_test_set("digits", card(10, (1, 8, 8)))
    assert torch.equal(found.images, digits_split().test_images)
    assert (found.name, found.label_names) == ("digits", tuple("0123456789"))
    refused("digits", card(10, (3, 32, 32)), "1×8×8", "3×32×32")
    refused("digits", card(100, (1, 8, 8)), "10 classes", "the model 100")


def test_what_is_no_test_set(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder.npz").mkdir()
    for source in ("a.tar.gz", "empty"):
        refused(tmp_path / source, card(), "known form", "parquet", "digits")
    for source in (tmp_path / "missing", "x" * 5000, "", "no\0file"):
        refused(source, card(), "parquet")
    refused(tmp_path / "folder.npz", card(), "cannot be read")
    (tmp_path / "page.npz").write_text("<html>")
    refused(tmp_path / "page.npz", card(), "no .npz at all")


def test_pipes_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    refused(tmp_path / "pipe.npz", card(), "parquet")
    (tmp_path / "set" / "a").mkdir(parents=True)
    os.mkfifo(tmp_path / "set" / "a" / "pipe.png")
    refused(tmp_path / "set", card(), "a/pipe.png")


def test_what_is_no_image_is_told_without_addresses(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "page.png").write_text("<html>")
    refused(tmp_path, card(2), "a/page.png cannot be read (it is no PNG, ")


@given(st.sampled_from(["parquet", "npz"]), st.floats(0, 0.999), st.integers(0, 255))
@fuzz
def test_truncated_and_damaged_files_end_in_data_errors(tmp_path, form, place, byte):
    images, labels = random_images(3), np.array([0, 1, 2])
    path = tmp_path / f"a.{form}"
    if form == "npz":
        write_npz(path, images=images, labels=labels)
    else:
        write_parquet(path, [encode(pixels) for pixels in images], label=labels)
    whole = path.read_bytes()
    cut = int(place * len(whole))
    path.write_bytes(whole[:cut])
    refused(path, card(), "a." + form)
    path.write_bytes(whole[:cut] + bytes([byte]) + whole[cut + 1 :])
    with contextlib.suppress(DataError):
        assert len(load_test_set(str(path), card()).labels) == 3
