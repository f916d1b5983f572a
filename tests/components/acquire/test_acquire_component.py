"""The pipeline's contract of ingestion, and the data card's parts."""

from __future__ import annotations

import json
from pathlib import Path

from kfp.dsl import HTML, Dataset, Metrics

from belisha.components.acquire.component import acquire_pictures
from belisha.components.shared.manifest import read_info
from tests.components.acquire.ingesting import acquire_quietly, coco_set, jpeg


def test_the_component_fills_its_artifacts(tmp_path: Path) -> None:
    source = coco_set(tmp_path / "set", {"a.jpg": jpeg(1), "b.jpg": b""}, {"a.jpg": [(1, 2, 30, 40)]})
    dataset = Dataset(uri=str(tmp_path / "run" / "dataset"))
    card = HTML(uri=str(tmp_path / "run" / "card"))
    metrics = Metrics(uri=str(tmp_path / "run" / "metrics"))
    digest = acquire_pictures.python_func(
        data_sources=[str(source)],
        data_format="",
        data_images_dir="",
        data_class_map={"person": "pedestrian"},
        storage_uri=str(tmp_path / "storage"),
        dataset=dataset,
        card=card,
        metrics=metrics,
    )
    info = read_info(Path(dataset.path))
    assert digest == info.digest == dataset.metadata["digest"]
    assert not (Path(dataset.path) / "pictures").exists()
    assert len(list((tmp_path / "storage" / "pictures").rglob("*/*"))) == 1
    assert metrics.metadata == {"images": 1, "pedestrians": 1, "ignored": 0, "quarantined": 1}
    assert json.loads(Path(metrics.path).read_bytes()) == metrics.metadata
    assert Path(card.path).read_text().startswith("<!doctype html>")


def test_the_card_shows_duplicates_sizes_and_samples(tmp_path: Path) -> None:
    pictures = {"a.jpg": jpeg(1), "again.jpg": jpeg(1)[:-2] + b"\0\0\xff\xd9", "b.jpg": jpeg(2)}
    source = coco_set(tmp_path / "set", pictures, {"a.jpg": [(1, 2, 30, 40), (-5, 10, 30, 60)]})
    acquire_quietly([source], tmp_path / "out")
    card = (tmp_path / "out" / "card.html").read_text()
    assert "2 pictures lie in 1 groups" in card
    assert "120 x 90" in card
    assert "40 to" not in card
    assert card.count("data:image/jpeg;base64") == 2 + 3
    assert "<script" not in card
    assert "http://" not in card


def test_hostile_names_are_text_on_the_card(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>.jpg"
    source = coco_set(tmp_path / "set", {name: b"", "b.jpg": jpeg(2)})
    acquire_quietly([source], tmp_path / "out")
    card = (tmp_path / "out" / "card.html").read_text()
    assert "<img src=x" not in card
    assert "&lt;img src=x onerror=alert(1)&gt;.jpg" in card
