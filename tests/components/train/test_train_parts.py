"""Settings, layout, order, the check before training, failures: each on its own."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from belisha.components.shared.errors import (
    BelishaError,
    ContractError,
    DigestError,
    InputError,
    NoDataError,
    TrainingError,
)
from belisha.components.shared.manifest import Box, Picture, read_pictures
from belisha.components.shared.progress import silent
from belisha.components.shared.storage import open_store
from belisha.components.train import TrainSettings, checkpoint, environment
from belisha.components.train.failures import in_one_sentence
from belisha.components.train.job import Job
from belisha.components.train.layout import TrainPicture, ignored_ratio, lay_out, paint_ignored, read_index
from belisha.components.train.train import train
from tests.components.train.conftest import drawn, write_pictures


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"epochs": 0}, "epochs"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"optimizer": "auto"}, "optimizer"),
        ({"device": "gpu"}, "device"),
        ({"device": "0,1", "batch": 15}, "multiple of 2"),
        ({"image_size_px": 5000}, "image_size_px"),
        ({"mosaic": 1.5}, "mosaic"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, object], word: str) -> None:
    with pytest.raises(InputError, match=word):
        replace(TrainSettings(), **change).resolved()  # type: ignore[arg-type]


def test_open_choices_are_made_by_the_start() -> None:
    scratch = TrainSettings(image_size_px=300, epochs=5).resolved()
    tuned = TrainSettings(weights_uri="x.pt").resolved()
    assert (scratch.learning_rate, scratch.image_size_px, scratch.mosaic) == (0.002, 320, 0.0)
    assert (tuned.learning_rate, tuned.mosaic) == (0.0002, 1.0)
    assert TrainSettings(device="0,1").gpus == 2


def test_job_survives_its_file(tmp_path: Path) -> None:
    job = Job(tmp_path, TrainSettings(seed=3).resolved(), "", "memory://x", "key")
    job.write()
    assert Job.read(job.path) == job


def encoded(image: np.ndarray, kind: str, orientation: int = 1) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(image)
    if kind == "palette":
        picture.quantize(32).save(buffer, "PNG")
    elif kind == "alpha":
        picture.convert("RGBA").save(buffer, "PNG")
    elif kind == "cmyk":
        picture.convert("CMYK").save(buffer, "JPEG")
    else:
        exif = Image.Exif()
        exif[0x0112] = orientation
        picture.save(buffer, kind, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "orientation", "rewritten"),
    [
        ("JPEG", 1, 0),
        ("PNG", 1, 0),
        ("BMP", 1, 0),
        ("JPEG", 6, 1),
        ("JPEG", 3, 1),
        ("palette", 1, 1),
        ("alpha", 1, 1),
        ("cmyk", 1, 1),
    ],
)
def test_training_sees_the_pixels_that_everybody_else_sees(
    tmp_path: Path, kind: str, orientation: int, rewritten: int
) -> None:
    from belisha.components.shared.images import decode_rgb

    image, boxes = drawn(np.random.default_rng(0))
    data = encoded(image, kind, orientation)
    expected = decode_rgb(data)
    height, width = expected.shape[:2]
    dataset, _, _ = write_pictures(tmp_path / "d", [(data, (width, height), boxes, "train")])
    counts = lay_out(
        read_pictures(dataset), tmp_path / "i.json", tmp_path, max_ignored_ratio=1, progress=silent, step="lay out"
    )
    (entry,) = read_index(tmp_path / "i.json")
    seen = cv2.imdecode(np.fromfile(entry.path, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert counts.rewritten == rewritten
    assert seen.shape == expected.shape
    assert np.abs(seen.astype(int) - expected).max() <= 3, "decoders may differ by rounding only"


def picture_with(*boxes: Box) -> Picture:
    return Picture("0" * 64, "file:///x", 100, 100, "s", boxes=boxes)


@pytest.mark.parametrize(
    ("boxes", "ratio"),
    [
        ((), 0.0),
        ((Box(0, 0, 100, 50, ignore=True),), 0.5),
        ((Box(0, 0, 100, 50, ignore=True), Box(0, 0, 100, 50)), 0.0),
        ((Box(-50, -50, 400, 400, ignore=True),), 1.0),
        ((Box(10, 10, 20, 20),), 0.0),
    ],
)
def test_ignored_ratio(boxes: tuple[Box, ...], ratio: float) -> None:
    assert ignored_ratio(picture_with(*boxes)) == pytest.approx(ratio, abs=0.02)


def test_ignored_regions_are_painted_but_pedestrians_stay() -> None:
    entry = TrainPicture("x", 100, 100, [[40, 40, 20, 20]], [[0, 0, 100, 60]])
    image = np.full((50, 50, 3), 7, np.uint8)
    paint_ignored(image, entry)
    again = image.copy()
    paint_ignored(again, entry)
    assert (image[:20] == 114).all()
    assert (image[20:30, 20:30] == 7).all()
    assert (image[31:] == 7).all()
    assert np.array_equal(image, again), "painting twice is painting once"


def test_pictures_with_much_ignored_area_are_left_out_and_backgrounds_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = ((), (Box(0, 0, 192, 120, ignore=True),), (Box(0, 0, 50, 50, ignore=True), Box(60, 10, 30, 80)))
    rows = [(encoded(drawn(rng)[0], "PNG"), (192, 128), boxes, "train") for boxes in labels]
    dataset, _, _ = write_pictures(tmp_path / "d", rows)
    counts = lay_out(
        read_pictures(dataset), tmp_path / "i.json", tmp_path, max_ignored_ratio=0.5, progress=silent, step="lay out"
    )
    assert (counts.pictures, counts.left_out, counts.backgrounds, counts.masked, counts.pedestrians) == (2, 1, 1, 1, 1)


@given(pictures=st.integers(1, 60), world=st.integers(1, 4), epoch=st.integers(0, 5), seed=st.integers(0, 5))
def test_every_picture_comes_once_an_epoch_whatever_the_number_of_gpus(
    pictures: int, world: int, epoch: int, seed: int
) -> None:
    from belisha.components.train.loader import EpochOrder

    ranks = [EpochOrder(pictures, seed, rank, world).indices(epoch) for rank in range(world)]
    assert {len(indices) for indices in ranks} == {-(-pictures // world)}
    assert set(np.concatenate(ranks).tolist()) == set(range(pictures))
    alone = EpochOrder(pictures, seed).indices(epoch)
    assert sorted(alone.tolist()) == list(range(pictures))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate"), "train_batch"),
        (MemoryError(), "train_batch"),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader"),
            "/dev/shm",
        ),
        (RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"), "train_workers"),
        (ValueError("Invalid CUDA 'device=7' requested"), "train_device"),
        (KeyError("odd"), "run it again"),
    ],
)
def test_failures_become_one_sentence(tmp_path: Path, error: Exception, words: str) -> None:
    failure = in_one_sentence(error, Job(tmp_path, TrainSettings().resolved(), "", "", ""))
    assert isinstance(failure, BelishaError)
    assert words in str(failure)
    assert "\n" not in str(failure)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        (TrainSettings(weights_uri="/nowhere/w.pt"), InputError, "do not exist"),
        (TrainSettings(weights_uri="damaged.pt"), InputError, "cannot be loaded"),
        (TrainSettings(weights_uri="damaged.pt", weights_sha256="0" * 64), DigestError, "instead of"),
        (TrainSettings(architecture="yolo99z.yaml"), InputError, "cannot be built"),
        (TrainSettings(architecture="yolo26n.yaml"), InputError, "head"),
    ],
)
def test_bad_starts_are_refused_and_leave_nothing(
    data: tuple[Path, Path, str], tmp_path: Path, settings: TrainSettings, error: type[BelishaError], words: str
) -> None:
    dataset, split, storage = data
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(b"no checkpoint")
    if settings.weights_uri == "damaged.pt":
        settings = replace(settings, weights_uri=str(damaged))
    with pytest.raises(error, match=words):
        train(dataset, split, tmp_path / "model", settings, storage, silent)
    assert not (tmp_path / "model").exists()


def test_no_pedestrian_is_no_data(tmp_path: Path) -> None:
    image = encoded(drawn(np.random.default_rng(0))[0], "PNG")
    dataset, split, storage = write_pictures(tmp_path / "d", [(image, (192, 128), (), "train")])
    with pytest.raises(NoDataError, match="no pedestrian"):
        train(dataset, split, tmp_path / "model", TrainSettings(), storage, silent)


def test_tracking_without_its_client_is_refused(
    data: tuple[Path, Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="mlflow-skinny"):
        train(data[0], data[1], tmp_path / "model", TrainSettings(), data[2], silent)


@pytest.fixture
def job(data: tuple[Path, Path, str], tiny_model: str, tmp_path: Path) -> Job:
    from belisha.components.train import environment

    environment.prepare()
    settings = TrainSettings(architecture=tiny_model, image_size_px=96, batch=4, learning_rate=0.01, overfit_steps=60)
    job = Job(tmp_path, settings.resolved(), "", str(tmp_path / "ck"), "key")
    job.write()
    lay_out(read_pictures(data[0]), job.train_index, tmp_path, max_ignored_ratio=1, progress=silent, step="lay out")
    return job


def test_good_data_pass_the_check_on_one_batch(job: Job) -> None:
    from belisha.components.train.overfit import overfit_check
    from belisha.components.train.trainer import arguments_of

    check = overfit_check(job, arguments_of(job), silent)
    assert check.passed
    assert check.last_loss < check.first_loss


@pytest.mark.parametrize("rate", [0.0, 1e-9, float("nan")])
def test_a_learning_rate_that_does_nothing_fails_the_check(job: Job, rate: float) -> None:
    from belisha.components.train.overfit import overfit_check
    from belisha.components.train.trainer import arguments_of

    arguments = arguments_of(job)
    still = replace(job, settings=replace(job.settings, learning_rate=rate, overfit_steps=20))
    with pytest.raises(TrainingError, match="learning_rate"):
        overfit_check(still, arguments, silent)


def test_boxes_too_small_to_learn_are_no_data(job: Job) -> None:
    from belisha.components.train.overfit import overfit_check
    from belisha.components.train.trainer import arguments_of

    text = job.train_index.read_text()
    entries = read_index(job.train_index)
    for entry in entries:
        for box in entry.boxes_xywh_px:
            box[2:] = [0.5, 0.5]
    from belisha.components.shared.files import write_json
    from belisha.components.train.layout import INDEX_SCHEMA

    rows = [{name: getattr(entry, name) for name in TrainPicture.__slots__} for entry in entries]
    write_json(job.train_index, {"schema": INDEX_SCHEMA, "pictures": rows})
    assert job.train_index.read_text() != text
    with pytest.raises(NoDataError, match="px"):
        overfit_check(job, arguments_of(job), silent)


def test_a_finished_training_comes_back_whole(tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "reference").mkdir(parents=True)
    (model / "model.onnx").write_bytes(b"onnx")
    (model / "reference/rows.parquet").write_bytes(b"rows")
    store = open_store(tmp_path.as_uri() + "/state")
    checkpoint.save_finished(store, model)

    assert checkpoint.restore_finished(store, tmp_path / "again")
    assert (tmp_path / "again/model.onnx").read_bytes() == b"onnx"
    assert (tmp_path / "again/reference/rows.parquet").read_bytes() == b"rows"


def link_to_passwords() -> tarfile.TarInfo:
    link = tarfile.TarInfo("model.onnx")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return link


@pytest.mark.parametrize(
    "member",
    [tarfile.TarInfo("../outside"), tarfile.TarInfo("/outside"), link_to_passwords()],
    ids=["up", "root", "link"],
)
def test_a_finished_training_that_leads_out_is_refused(member: tarfile.TarInfo, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(member)
    store = open_store(tmp_path.as_uri() + "/state")
    store.write(checkpoint.FINISHED_KEY, buffer.getvalue())

    with pytest.raises(ContractError, match="is damaged"):
        checkpoint.restore_finished(store, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    assert not (tmp_path / "outside").exists()


def test_pillow_is_itself_again_after_ultralytics_was_imported() -> None:
    environment.prepare()

    with pytest.raises(Image.UnidentifiedImageError):
        Image.open(io.BytesIO(b"no picture at all"))
