"""A registry with models whose answers are known, and pictures to ask them about."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from belisha.components.release.release import release
from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.files import write_json
from belisha.components.shared.golden import GoldenPicture, write_golden
from belisha.components.shared.images import ImageArray, decode_rgb
from belisha.components.shared.model_artifact import read_model_info, write_model_info
from belisha.components.shared.registry import open_registry
from tests.release_folders import write_folders

Boxes = list[tuple[float, float, float, float, float]]


@dataclass(frozen=True)
class World:
    """A storage with versions v1, v2, …; `answers[version][number]` is what a version finds on picture `number`."""

    storage: Path
    pictures: list[bytes]
    answers: dict[str, list[Boxes]]


def bright_picture(seed: int, cells: int = 3, size_px: int = 96) -> ImageArray:
    """A black picture with bright rectangles that fill cells of the tiny model's grid."""
    rng = np.random.default_rng(seed)
    image = np.zeros((size_px, size_px, 3), np.uint8)
    for cell in rng.choice((size_px // 32) * (size_px // 16), cells, replace=False):
        row, column = divmod(int(cell), size_px // 16)
        image[row * 32 : row * 32 + 32, column * 16 : column * 16 + 16] = int(rng.integers(150, 255))
    return image


def png(image: ImageArray) -> bytes:
    return bytes(cv2.imencode(".png", np.ascontiguousarray(image[:, :, ::-1]))[1])


def make_world(root: Path, *, models: int = 2, pictures: int = 6) -> World:
    """Release `models` tiny models that differ in their scores: v1 the champion, the last one the challenger."""
    world = World(root / "storage", [png(bright_picture(seed)) for seed in range(pictures)], {})
    for _ in range(models):
        release_another(world)
    return world


def release_another(world: World) -> str:
    """Release one more tiny model, which becomes the challenger of whoever is champion; its version."""
    number = len(world.answers) + 1
    folder = world.storage.parent / f"model-{number}"
    champion = open_registry(str(world.storage)).ledger.state().champion
    write_folders(folder, gain=1 - 0.05 * (number - 1), champion=champion)
    add_golden(folder)
    # Known before it serves: whoever compares answers may meet it at once.
    world.answers[f"v{number}"] = [boxes_of(folder / "model", image) for image in world.pictures]
    release(folder / "model", folder / "evaluation", folder / "decision", str(world.storage), f"run-{number}")
    return f"v{number}"


def boxes_of(model_dir: Path, data: bytes) -> Boxes:
    """What a model finds on an encoded picture, asked without any server: x, y, width, height, score."""
    found = OnnxDetector(model_dir).detect(decode_rgb(data))
    return [
        (*(float(value) for value in box), float(score))
        for box, score in zip(found.boxes_xywh_px, found.scores, strict=True)
    ]


def same_boxes(found: list[dict[str, float]], expected: Boxes) -> bool:
    """Whether an answer's boxes are those expected, to 1e-3 px and 1e-3 in score."""
    values = [[box[name] for name in ("x", "y", "width", "height", "score")] for box in found]
    return len(values) == len(expected) and np.allclose(values or 0, expected or 0, atol=1e-3)


def add_golden(folder: Path) -> None:
    """Give a model folder golden pictures, and its decision the digest that comes of it."""
    model = folder / "model"
    info = read_model_info(model)
    images = [bright_picture(seed) for seed in (100, 101)]
    golden = [GoldenPicture(image, OnnxDetector(model).detect(image)) for image in images]
    write_golden(model, golden, info.thresholds.score)
    digest = write_model_info(model, replace(info, files={})).digest
    for path in (folder / "decision/decision.json", folder / "evaluation/metrics.json"):
        write_json(path, {**json.loads(path.read_text()), "model_digest": digest})
