"""The folder of synthetic streets: readable by the COCO reader, the same from any number of workers, never over other files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from belisha.components.acquire.labels import ReaderOptions
from belisha.components.acquire.readers.coco import CocoReader
from belisha.components.acquire.synthetic import StreetSettings, draw_street, generate, parse_synthetic_uri
from belisha.components.shared.errors import InputError
from belisha.components.shared.images import decode_rgb
from belisha.components.shared.progress import ProgressEvent

SETTINGS = StreetSettings(pictures=24, seed=6, width_px=320, height_px=192, pedestrians=(2, 10), cameras=5)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("synthetic") / "streets"
    generate(target, SETTINGS)
    return target


def test_the_coco_reader_reads_what_was_drawn(folder: Path) -> None:
    labels = CocoReader().read(folder, ReaderOptions())
    assert len(labels.pictures) == SETTINGS.pictures
    for picture in labels.pictures:
        street = draw_street(SETTINGS, int(picture.path.stem.rsplit("_", 1)[1]))
        drawn = [(box.x, box.y, box.width, box.height, box.ignore, box.visible_ratio) for box in street.boxes]
        read = [(box.x, box.y, box.width, box.height, box.ignore, box.visible_ratio) for box in picture.boxes]
        assert sorted(read, key=str) == sorted(drawn, key=str)
        facts = (picture.condition, picture.camera, picture.captured_at, picture.group_id)
        assert facts == (street.condition, street.camera, street.captured_at, street.group_id)
        assert picture.licence == "CC0-1.0"
        assert decode_rgb(picture.path.read_bytes()).shape == (192, 320, 3)


def test_workers_change_no_byte(folder: Path, tmp_path: Path) -> None:
    generate(tmp_path / "two", SETTINGS, workers=2)
    assert content(tmp_path / "two") == content(folder)


def test_a_later_call_goes_on_where_an_earlier_one_ended(folder: Path, tmp_path: Path) -> None:
    later = parse_synthetic_uri(
        "synthetic://streets?pictures=6&first=18&seed=6&width=320&height=192&pedestrians=2-10&cameras=5"
    )
    generate(tmp_path / "later", later)
    pictures = {name: data for name, data in content(tmp_path / "later").items() if name.endswith(".jpg")}
    assert len(pictures) == 6
    assert pictures.items() <= content(folder).items()


def test_the_folder_says_where_it_comes_from(folder: Path) -> None:
    document: dict[str, Any] = json.loads((folder / "annotations.json").read_text())
    assert parse_synthetic_uri(document["info"]["source"]) == SETTINGS
    page = (folder / "preview.html").read_text()
    assert "Synthetic streets" in page and page.count("data:image/jpeg") > 4


def test_our_own_folder_is_replaced_and_a_foreign_one_is_not(tmp_path: Path) -> None:
    few = StreetSettings(pictures=2, width_px=160, height_px=96)
    for _ in range(2):
        generate(tmp_path / "own", few)
    assert len(list((tmp_path / "own" / "images").iterdir())) == 2
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "annotations.json").write_text('{"info": {"description": "COCO"}}')
    with pytest.raises(InputError, match="not empty"):
        generate(foreign, few)
    with pytest.raises(InputError, match="is a file"):
        generate(foreign / "annotations.json", few)
    assert [path.name for path in foreign.iterdir()] == ["annotations.json"]


@pytest.mark.parametrize("workers", [0, -1, 65])
def test_a_silly_number_of_workers_is_refused(tmp_path: Path, workers: int) -> None:
    with pytest.raises(InputError, match="expected 1 to 64"):
        generate(tmp_path / "out", SETTINGS, workers=workers)


def test_a_stopped_call_leaves_nothing(tmp_path: Path) -> None:
    def stop(event: ProgressEvent) -> None:
        if event.done > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path / "out", StreetSettings(pictures=200, width_px=320, height_px=192), stop)
    assert list(tmp_path.iterdir()) == []


def verb(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "belisha.cli.main", "synthesize", *arguments]
    return subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)


def test_the_verb_writes_and_reports(tmp_path: Path) -> None:
    out = tmp_path / "streets"
    done = verb(
        "--out", str(out), "--pictures", "6", "--conditions", "day,night", "--width", "320", "--height", "192", "--json"
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["images"] == 6 and set(summary["conditions"]) <= {"day", "night"}
    assert len(CocoReader().read(out, ReaderOptions()).pictures) == 6
    assert "preview.html" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--conditions", "snow"), "there is no condition 'snow'"),
        (("--pictures", "0"), "pictures: expected 1 to 1000000, got 0"),
        (("--conditions", "day&seed=4"), "gives 'seed' twice"),
        (("--pedestrians", "few"), "expected a whole number, got 'few'"),
    ],
)
def test_the_verb_refuses_with_a_sentence(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    done = verb("--out", str(tmp_path / "streets"), *arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert says in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
