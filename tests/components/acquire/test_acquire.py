"""Ingestion end to end: real sets, merging, quarantine, clipping, atomicity, and a real kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from belisha.components.acquire.options import AcquireOptions
from belisha.components.shared.errors import InputError
from belisha.components.shared.files import sha256_hex
from belisha.components.shared.images import DecodeLimits
from belisha.components.shared.manifest import read_info, read_pictures
from belisha.components.shared.picture_store import PictureReader
from tests.components.acquire.ingesting import acquire_quietly, coco_set, files_below, jpeg

FILES = {"card.html", "dataset.json", "fingerprints.parquet", "manifest.parquet", "quarantine.json"}


def dataset_files(out: Path) -> set[str]:
    return {path.name for path in out.iterdir() if path.name != "pictures"}


def quarantine(out: Path) -> dict[str, str]:
    entries = json.loads((out / "quarantine.json").read_bytes())["entries"]
    return {entry["path"]: entry["reason"] for entry in entries}


@pytest.mark.real_data
def test_real_sets_have_the_counts_that_are_known(real_data: Path, tmp_path: Path) -> None:
    expected = json.loads((real_data / "expected.json").read_bytes())
    for name in ("coco128", "mot17mini"):
        summary = acquire_quietly([real_data / name], tmp_path / name)
        assert (summary.images, summary.pedestrians) == (expected[name]["images"], expected[name]["person_boxes"])
        assert summary.quarantined == 0
        assert dataset_files(tmp_path / name) == FILES
    pictures = read_pictures(tmp_path / "mot17mini")
    assert len({picture.group_id for picture in pictures}) == len(expected["mot17mini"]["by_sequence"])
    assert sum(bool(picture.boxes) for picture in read_pictures(tmp_path / "coco128")) == 61


@pytest.mark.real_data
def test_three_formats_of_one_set_are_one_dataset_alone_and_merged(real_data: Path, tmp_path: Path) -> None:
    expected = json.loads((real_data / "expected.json").read_bytes())["voc61"]
    options = AcquireOptions(images=str(real_data / "voc61" / "images"))
    folders = [real_data / "voc61" / name for name in expected["formats"]]
    found = [acquire_quietly([folder], tmp_path / folder.name, options) for folder in folders]
    merged = acquire_quietly(folders, tmp_path / "merged", options)
    assert len({summary.digest for summary in [*found, merged]}) == 1
    assert {(summary.images, summary.pedestrians) for summary in found} == {
        (expected["images"], expected["person_boxes"])
    }
    repeated = [source["repeated_same_labels"] for source in read_info(tmp_path / "merged").details["sources"]]
    assert repeated == [0, 61, 61]


@pytest.mark.real_data
def test_all_real_sets_merge_into_one(real_data: Path, tmp_path: Path) -> None:
    options = AcquireOptions(images=str(real_data / "voc61" / "images"))
    sources = [real_data / "coco128", real_data / "mot17mini", real_data / "voc61" / "coco"]
    summary = acquire_quietly(sources, tmp_path / "all", options)
    assert (summary.images, summary.pedestrians) == (128 + 25 + 61, 254 + 588 + 60)
    info = read_info(tmp_path / "all")
    alone = acquire_quietly([sources[1]], tmp_path / "alone")
    assert info.parents[1] == alone.digest
    assert info.name == "coco128+mot17mini+coco"


@pytest.mark.real_data
def test_labels_without_pictures_are_one_sentence_and_nothing_written(real_data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"labels for 500 pictures, but none of them is there: give .* --images"):
        acquire_quietly([real_data / "citypersons" / "val_gt.json"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_rows_say_where_the_verified_bytes_lie(tmp_path: Path) -> None:
    source = coco_set(tmp_path / "set", {"a.jpg": jpeg(1), "b.jpg": jpeg(2)}, {"a.jpg": [(1, 2, 30, 40)]})
    acquire_quietly([source], tmp_path / "out")
    pictures = read_pictures(tmp_path / "out")
    assert {picture.image_id for picture in pictures} == {sha256_hex(jpeg(1)), sha256_hex(jpeg(2))}
    assert [len(picture.boxes) for picture in pictures if picture.image_id == sha256_hex(jpeg(2))] == [0]
    for picture in pictures:
        assert sha256_hex(PictureReader().read(picture.uri, picture.image_id)) == picture.image_id
        assert (picture.source, picture.width_px, picture.height_px) == ("set", 120, 90)
    hashes = pq.read_table(tmp_path / "out" / "fingerprints.parquet")
    assert hashes.column("image_id").to_pylist() == [picture.image_id for picture in pictures]


def test_what_cannot_be_used_is_listed_with_its_reason(tmp_path: Path) -> None:
    big = jpeg(5, 400, 300)
    bad = {
        "truncated.jpg": big[: len(big) // 2],
        "empty.jpg": b"",
        "text.jpg": b"not a picture at all",
        "wide.jpg": jpeg(6, 1200, 200),
        "heavy.jpg": jpeg(7) + bytes(60_000) + b"\xff\xd9",
        "other_size.jpg": jpeg(8, 90, 120),
    }
    boxes = {"other_size.jpg": [(1.0, 1.0, 20.0, 30.0)], "good.jpg": [(1.0, 1.0, 20.0, 30.0)]}
    source = coco_set(tmp_path / "set", {"good.jpg": jpeg(1), **bad, "gone.jpg": b""}, boxes)
    (source / "images" / "gone.jpg").unlink()
    limits = DecodeLimits(max_bytes=50_000, max_pixels=150_000)
    summary = acquire_quietly([source], tmp_path / "out", AcquireOptions(decode_limits=limits))
    assert (summary.images, summary.quarantined) == (1, 7)
    reasons = {Path(path).name: reason for path, reason in quarantine(tmp_path / "out").items()}
    assert reasons == {
        "truncated.jpg": "truncated",
        "empty.jpg": "empty",
        "text.jpg": "not_a_picture",
        "wide.jpg": "oversized",
        "heavy.jpg": "oversized",
        "other_size.jpg": "other_size",
        "gone.jpg": "missing",
    }
    card = (tmp_path / "out" / "card.html").read_text()
    assert all(name in card for name in bad)
    assert any("7 pictures are in quarantine" in note for note in summary.notes)


def test_exif_orientation_makes_width_and_height_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    source = coco_set(tmp_path / "set", {"a.jpg": b""}, {"a.jpg": [(5, 6, 30, 40)]}, size=(90, 120))
    Image.fromarray(np.zeros((90, 120, 3), np.uint8)).save(source / "images" / "a.jpg", exif=exif)
    acquire_quietly([source], tmp_path / "out")
    (picture,) = read_pictures(tmp_path / "out")
    assert (picture.width_px, picture.height_px, len(picture.boxes)) == (90, 120, 1)


def test_of_a_repeated_picture_the_first_labels_are_kept_and_counted(tmp_path: Path) -> None:
    box = (10.0, 10.0, 20.0, 40.0)
    first = coco_set(tmp_path / "one" / "set", {"a.jpg": jpeg(1), "b.jpg": jpeg(2)}, {"a.jpg": [box], "b.jpg": [box]})
    second = coco_set(
        tmp_path / "two" / "set", {"x.jpg": jpeg(1), "y.jpg": jpeg(2), "z.jpg": jpeg(3)}, {"x.jpg": [box]}
    )
    summary = acquire_quietly([first, second], tmp_path / "out")
    assert (summary.images, summary.pedestrians) == (3, 2)
    account = read_info(tmp_path / "out").details["sources"][1]
    assert (account["name"], account["repeated_same_labels"], account["repeated_other_labels"]) == ("set-2", 1, 1)
    assert any("the first ones were kept (e.g. images/y.jpg)" in note for note in summary.notes)


def test_nothing_usable_writes_nothing(tmp_path: Path) -> None:
    source = coco_set(tmp_path / "set", {"a.jpg": b"no picture"})
    with pytest.raises(InputError, match=r"not one of 1 pictures could be used .*not_a_picture"):
        acquire_quietly([source], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_failing_run_leaves_the_old_dataset_as_it_was(tmp_path: Path) -> None:
    good = coco_set(tmp_path / "good", {"a.jpg": jpeg(1)}, {"a.jpg": [(1, 2, 30, 40)]})
    bad = coco_set(tmp_path / "bad", {"a.jpg": b"no picture"})
    out = tmp_path / "out"
    (out / "mine").mkdir(parents=True)
    before = acquire_quietly([good], out)
    files = {name: (out / name).read_bytes() for name in files_below(out)}
    with pytest.raises(InputError):
        acquire_quietly([bad], out)
    assert {name: (out / name).read_bytes() for name in files_below(out)} == files
    assert read_info(out).digest == before.digest
    after = acquire_quietly([good, coco_set(tmp_path / "more", {"b.jpg": jpeg(2)})], out)
    assert after.images == 2
    assert (out / "mine").is_dir()


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    source = coco_set(tmp_path / "set", {f"{i}.jpg": jpeg(i) for i in range(20)}, {"3.jpg": [(1, 2, 30, 40)]})
    found = {
        workers: acquire_quietly(
            [source], tmp_path / f"out{workers}", AcquireOptions(workers=workers), str(tmp_path / "p")
        )
        for workers in (1, 3)
    }
    assert found[1] == found[3]
    first, second = (tmp_path / f"out{workers}" / "manifest.parquet" for workers in (1, 3))
    assert first.read_bytes() == second.read_bytes()


REFUSALS = {
    "no source": ([], {}, "no source is given"),
    "no such folder": (["nowhere"], {}, "does not exist"),
    "unknown format": (["set"], {"format": "klingon"}, "not a known label format"),
    "unknown role": (["set"], {"class_map": {"dog": "eat"}}, "expected one of"),
    "unknown scheme": (["ftp://host/a.zip"], {}, "scheme"),
    "no such pictures": (["set"], {"images": "nowhere"}, "does not exist"),
    "an archive that is none": (["fake.zip"], {}, "is named like an archive"),
    "the output itself": (["out"], {}, "both source and output"),
}


@pytest.mark.parametrize(("sources", "options", "message"), REFUSALS.values(), ids=REFUSALS.keys())
def test_bad_input_is_a_sentence(
    sources: list[str], options: dict[str, object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    coco_set(tmp_path / "set", {"a.jpg": jpeg(1)})
    (tmp_path / "fake.zip").write_bytes(b"no archive")
    before = files_below(tmp_path)
    with pytest.raises(InputError, match=message):
        acquire_quietly(sources, tmp_path / "out", AcquireOptions(**options))  # type: ignore[arg-type]
    assert files_below(tmp_path) == before
    assert not (tmp_path / "out").exists()


def test_a_killed_run_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    pictures = {f"{i}.jpg": jpeg(i, 900, 700) for i in range(60)}
    source = coco_set(tmp_path / "set", pictures, {"3.jpg": [(1, 2, 30, 40)]}, size=(900, 700))
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "belisha.cli.main",
        "acquire",
        str(source),
        "--out",
        str(out),
        "--workers",
        "1",
        "--json",
    ]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(files_below(out / "pictures")) < 5 and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.005)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert not (out / "dataset.json").exists()
    assert 5 <= len(files_below(out / "pictures")) < 60
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(again.stdout.splitlines()[-1])
    untouched = acquire_quietly([source], tmp_path / "other")
    assert result["digest"] == untouched.digest
    assert dataset_files(out) == FILES
    for picture in read_pictures(out):
        PictureReader().read(picture.uri, picture.image_id)


def test_the_journal_spares_decoding_what_was_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from belisha.components.acquire import ingest
    from belisha.components.shared.errors import StorageError
    from belisha.components.shared.picture_store import PictureStore

    source = coco_set(tmp_path / "set", {f"{i}.jpg": jpeg(i) for i in range(6)})
    real_add, real_decode, stored, decoded = PictureStore.add, ingest.decode_rgb, [], []

    def full_after_four(self: PictureStore, data: bytes, image_id: str | None = None) -> str:
        if len(stored) == 4:
            raise StorageError("no room")
        stored.append(image_id)
        return real_add(self, data, image_id)

    def counting(data: bytes, limits: DecodeLimits) -> object:
        decoded.append(data)
        return real_decode(data, limits)

    options = AcquireOptions(workers=1)
    with monkeypatch.context() as patch:
        patch.setattr(PictureStore, "add", full_after_four)
        with pytest.raises(StorageError):
            acquire_quietly([source], tmp_path / "out", options)
    monkeypatch.setattr(ingest, "decode_rgb", counting)
    assert acquire_quietly([source], tmp_path / "out", options).images == 6
    assert len(decoded) == 2


def test_two_runs_into_one_folder_do_not_mix(tmp_path: Path) -> None:
    from belisha.components.acquire.workspace import workspace

    source = coco_set(tmp_path / "set", {"a.jpg": jpeg(1)})
    with workspace(tmp_path / "out"), pytest.raises(InputError, match="another run is writing"):
        acquire_quietly([source], tmp_path / "out")
    assert acquire_quietly([source], tmp_path / "out").images == 1
