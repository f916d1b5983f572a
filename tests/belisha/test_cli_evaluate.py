"""`belisha evaluate` as a user meets it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from belisha.cli import main as cli


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the real entry point in this process; returns exit code, stdout, stderr."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["belisha", "evaluate", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return int(stopped.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    truth = {
        "images": [{"id": index, "height": 1024} for index in range(100)],
        "annotations": [
            {"id": index, "image_id": index, "category_id": 1, "bbox": [10, 10, 40, 100]} for index in range(10)
        ],
        "categories": [{"id": 1, "name": "pedestrian"}],
    }
    found = [
        {"image_id": index, "category_id": 1, "bbox": [10, 10, 40, 100], "score": 0.9 - index / 100}
        for index in range(5)
    ]
    paths = tmp_path / "truth.json", tmp_path / "found.json"
    for path, value in zip(paths, (truth, found), strict=True):
        path.write_text(json.dumps(value))
    return paths


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["detections_11.json", "detections_12.json"])
def test_citypersons(run: Any, real_data: Path, name: str) -> None:
    folder = real_data / "citypersons"
    code, out, err = run("--truth", folder / "val_gt.json", "--detections", folder / name, "--json")
    assert (code, err) == (0, "")
    value, expected = json.loads(out), json.loads((folder / "expected.json").read_text())[name]
    assert (value["images"], value["pedestrians"], value["height_scale"]) == (500, 3157, "picture")
    assert value["ap50"] == pytest.approx(expected["ap50"], abs=1e-6)
    assert value["ap50_95"] == pytest.approx(expected["ap50_95"], abs=1e-6)
    theirs = expected["mr2_percent"].values()
    assert list(value["mr2"].values()) == pytest.approx([percent / 100 for percent in theirs], abs=1e-6)


@pytest.mark.real_data
def test_detections_with_other_ids_for_pictures_and_categories(run: Any, real_data: Path) -> None:
    folder = real_data / "voc61"
    arguments = (
        "--truth",
        folder / "coco/instances_default.json",
        "--detections",
        folder / "detections/coco_dets.json",
    )
    code, out, _ = run(*arguments, "--json")
    value = json.loads(out)
    assert code == 0
    assert (value["images"], value["pedestrians"], value["detections"]) == (61, 60, 146)
    assert value["best_f1"]["recall"] > 0.8, "joined by id instead of name next to nothing would match"
    assert set(value["mr2"].values()) == {None}
    assert value["notes"] == [
        "MR⁻²: too few pictures (61 of 100)",
        "146 of 296 detections have category_id 0 and were looked at",
        "pictures are found by file name",
    ]
    code, out, _ = run(*arguments, "--category", "car", "--json")
    assert (code, json.loads(out)["category"]) == (0, "car")


def test_json(run: Any, files: tuple[Path, Path]) -> None:
    code, out, err = run("--truth", files[0], "--detections", files[1], "--json")
    value = json.loads(out)
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert value["ap50"] == pytest.approx(51 / 101)
    assert value["mr2"] == {"reasonable": 0.5, "small": None, "heavy": None, "all": 0.5}
    assert (value["best_f1"]["score"], value["best_f1"]["recall"]) == (0.86, 0.5)


def test_table(run: Any, files: tuple[Path, Path]) -> None:
    code, out, _ = run("--truth", files[0], "--detections", files[1])
    assert code == 0
    for text in ("AP50-95", "MR⁻² reasonable (lower is better)", "0.5000", "scaled to pictures 1024 pixels high"):
        assert text in out


@pytest.mark.parametrize(("heights", "note"), [("picture", "scaled to pictures"), ("pixels", "in pixels as they are")])
def test_heights(run: Any, files: tuple[Path, Path], heights: str, note: str) -> None:
    _, out, _ = run("--truth", files[0], "--detections", files[1], "--heights", heights, "--json")
    assert json.loads(out)["height_scale"] == heights
    assert note in json.loads(out)["notes"][0]


def test_pictures_without_height_fall_back_to_pixels_and_say_so(run: Any, files: tuple[Path, Path]) -> None:
    truth = json.loads(files[0].read_text())
    truth["images"] = [{"id": image["id"]} for image in truth["images"]]
    files[0].write_text(json.dumps(truth))
    _, out, _ = run("--truth", files[0], "--detections", files[1], "--json")
    value = json.loads(out)
    assert value["height_scale"] == "pixels"
    assert any("could not be scaled" in note for note in value["notes"])


@pytest.mark.parametrize(
    ("spoil", "options", "code", "sentence"),
    [
        pytest.param({"found": "{"}, [], 2, "is not JSON", id="not JSON"),
        pytest.param({"found": '[{"image_id": 777, "bbox": [1, 2, 3, 4], "score": 1}]'}, [], 2, "does not have", id="id"),
        pytest.param({}, ["--category", "tram"], 2, "has no category tram", id="category"),
        pytest.param({}, ["--heights", "feet"], 2, "expected --heights picture or pixels, got feet", id="heights"),
        pytest.param({"truth": '{"images": [], "annotations": []}', "found": "[]"}, [], 3, "nothing to evaluate", id="empty"),
    ],
)  # fmt: skip
def test_faults_are_one_sentence(
    run: Any, files: tuple[Path, Path], spoil: dict[str, str], options: list[str], code: int, sentence: str
) -> None:
    for name, text in spoil.items():
        files[0].with_name(f"{name}.json").write_text(text)
    got, out, err = run("--truth", files[0], "--detections", files[1], "--json", *options)
    assert (got, out) == (code, "")
    assert sentence in err
    assert err.startswith("belisha: ")
    assert err.count("\n") == 1


def test_no_detection_is_a_figure(run: Any, files: tuple[Path, Path]) -> None:
    files[1].write_text("[]")
    code, out, _ = run("--truth", files[0], "--detections", files[1], "--json")
    value = json.loads(out)
    assert (code, value["ap50"], value["mr2"]["all"], value["best_f1"]) == (0, 0.0, 1.0, None)


def test_help_has_examples(run: Any) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert "belisha evaluate --truth val_gt.json --detections detections.json" in out
    assert "Exit codes" in out
