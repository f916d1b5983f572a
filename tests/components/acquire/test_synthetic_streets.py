"""Drawn streets: the same for the same seed, labels exact to the pixel, conditions that can be told apart."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from belisha.components.acquire.synthetic import CONDITIONS, StreetPicture, StreetSettings, draw_street
from belisha.components.acquire.synthetic.canvas import (
    BODY,
    CROWD,
    OTHER,
    Canvas,
    Frame,
    Placing,
    Shape,
    Sprite,
    draw_sprite,
)
from belisha.components.acquire.synthetic.figure import figure_shapes, random_look, random_pose
from belisha.components.acquire.synthetic.props import LOOK_ALIKES
from belisha.components.acquire.synthetic.street import LEAST_VISIBLE_RATIO, paint
from belisha.components.acquire.synthetic.world import moment_of, view_of
from belisha.components.shared.boxes import iou
from belisha.components.shared.manifest import Box

FRAME = Frame(320, 200)


def digest(street: StreetPicture) -> str:
    return hashlib.sha256(street.image_rgb.tobytes() + repr((street.boxes, street.group_id)).encode()).hexdigest()


def streets(condition: str, count: int, **changes: object) -> list[StreetPicture]:
    settings = StreetSettings(seed=11, conditions=((condition, 1.0),), pictures_per_sequence=1, **changes)  # type: ignore[arg-type]
    return [draw_street(settings, index) for index in range(count)]


@pytest.fixture(scope="module")
def mixed() -> list[StreetPicture]:
    settings = StreetSettings(seed=5, pedestrians=(3, 14), pictures_per_sequence=2)
    return [draw_street(settings, index) for index in range(40)]


@pytest.fixture(scope="module")
def by_condition() -> dict[str, list[StreetPicture]]:
    return {condition: streets(condition, 12) for condition in CONDITIONS}


def test_a_picture_depends_on_seed_and_index_alone() -> None:
    settings = StreetSettings(seed=3, pictures=10)
    alone = digest(draw_street(settings, 7))
    for index in (2, 7, 3, 6, 7):
        found = digest(draw_street(settings, index))
        assert (found == alone) == (index == 7)
    assert digest(draw_street(StreetSettings(seed=3, pictures=5000, first_index=2, jpeg_quality=50), 7)) == alone
    assert digest(draw_street(StreetSettings(seed=4), 7)) != alone


def test_a_sequence_shows_the_same_people_and_another_one_does_not() -> None:
    settings = StreetSettings(seed=8, cameras=3, conditions=(("day", 1.0),), pedestrians=(4, 8))
    pictures = [draw_street(settings, index) for index in range(24)]
    groups = {street.group_id for street in pictures}
    assert len(groups) == 6
    assert {street.camera for street in pictures} == {f"street8-camera{camera:03d}" for camera in range(3)}
    for _, part in itertools.groupby(pictures, key=lambda street: street.group_id):
        times = [street.captured_at for street in part]
        assert len(times) == 4 and times == sorted(set(times))
        assert (times[-1] - times[0]).total_seconds() < 60
        assert times[0].tzinfo is not None

    def difference(first: int, second: int) -> float:
        shrunk = [cv2.resize(pictures[index].image_rgb, (64, 38)).astype(float) for index in (first, second)]
        return float(np.abs(shrunk[0] - shrunk[1]).mean())

    # Frames of one sequence share background and weather; the next sequence has another camera.
    assert difference(0, 1) < 0.5 * difference(0, 4)


def test_boxes_are_as_tight_as_the_mask(mixed: list[StreetPicture]) -> None:
    checked = 0
    for street in mixed:
        height, width = street.labels.shape
        for label in np.unique(street.labels[(street.labels > 0) & (street.labels < CROWD)]):
            rows, columns = np.nonzero(street.labels == label)
            shown = (columns.min(), rows.min(), columns.max() - columns.min() + 1, rows.max() - rows.min() + 1)
            assert shown in street.visible_boxes_px
            checked += 1
        for box, body, visible in zip(street.boxes, street.body_boxes_px, street.visible_boxes_px, strict=True):
            assert inside(visible, (box.x, box.y, box.width, box.height))
            assert box.x >= 0 and box.y >= 0 and box.x + box.width <= width and box.y + box.height <= height
            assert inside((box.x, box.y, box.width, box.height), body)
    assert checked > 100


def inside(inner: Sequence[float], outer: Sequence[float]) -> bool:
    left, top = inner[0] >= outer[0], inner[1] >= outer[1]
    return bool(
        left and top and inner[0] + inner[2] <= outer[0] + outer[2] and inner[1] + inner[3] <= outer[1] + outer[3]
    )


def test_visible_ratio_is_the_visible_box_over_the_whole_body(mixed: list[StreetPicture]) -> None:
    seen = {"none": 0, "partial": 0, "heavy": 0, "crowd": 0}
    for street in mixed:
        for box, body, visible in zip(street.boxes, street.body_boxes_px, street.visible_boxes_px, strict=True):
            seen[box.occlusion] += 1
            if box.occlusion == "crowd":
                assert box.ignore and box.visible_ratio is None
                continue
            ratio = visible[2] * visible[3] / (body[2] * body[3])
            assert box.visible_ratio == pytest.approx(ratio, abs=1e-4)
            assert 0 < ratio <= 1
            assert box.ignore == (ratio < LEAST_VISIBLE_RATIO)
    assert min(seen.values()) > 0, seen


def block(x: int, y: int, width: int, height: int, depth: float, *, body: bool) -> Sprite:
    right, bottom = x + width - 1, y + height - 1
    shape = Shape([(x, y), (right, y), (right, bottom), (x, bottom)], (200, 90, 60), body)
    sprite = draw_sprite([shape], FRAME, depth_m=depth, feet_y=y + height, kind="block")
    assert sprite is not None
    return sprite


@pytest.mark.parametrize(
    ("name", "cover", "visible"),
    [
        ("nothing in front", (200, 10, 20, 20), (100, 40, 30, 80)),
        ("lower half covered", (90, 80, 60, 60), (100, 40, 30, 40)),
        ("left third covered", (90, 30, 20, 120), (110, 40, 20, 80)),
        ("a pole through the middle hides no extent", (112, 30, 5, 120), (100, 40, 30, 80)),
        ("wholly covered", (90, 30, 60, 120), None),
    ],
)
def test_a_known_occluder_leaves_the_known_rest(
    name: str, cover: tuple[int, int, int, int], visible: tuple[int, int, int, int] | None
) -> None:
    canvas = Canvas(np.zeros((200, 320, 3), np.uint8), np.zeros((200, 320), np.uint8))
    person = block(100, 40, 30, 80, 9.0, body=True)
    assert person.body_box == (100, 40, 30, 80)
    canvas.paste(person, 1)
    canvas.paste(block(*cover, 5.0, body=False))
    assert canvas.visible_box(1, person.box) == visible, name


@pytest.mark.parametrize(
    ("x", "y", "visible"),
    [
        (-10, 50, (0, 50, 20, 80)),
        (305, 50, (305, 50, 15, 80)),
        (50, -30, (50, 0, 30, 50)),
        (50, 150, (50, 150, 30, 50)),
    ],
)
def test_the_body_counts_outside_the_picture_too(x: int, y: int, visible: tuple[int, int, int, int]) -> None:
    canvas = Canvas(np.zeros((200, 320, 3), np.uint8), np.zeros((200, 320), np.uint8))
    person = block(x, y, 30, 80, 9.0, body=True)
    canvas.paste(person, 1)
    assert person.body_box == (x, y, 30, 80)
    assert canvas.visible_box(1, person.box) == visible


@hypothesis_settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(-20, 310), st.integers(-20, 180), st.integers(4, 90), st.integers(4, 90), st.sampled_from("wps")
        ),
        min_size=1,
        max_size=9,
    )
)
def test_pasting_only_what_stands_before_something_new_hides_the_same(
    places: list[tuple[int, int, int, int, str]],
) -> None:
    """Walkers, parked things and scenery at rising distance: the short way labels every pixel as the long way does."""
    sprites = [(block(x, y, w, h, 3.0 + rank, body=kind == "w"), kind) for rank, (x, y, w, h, kind) in enumerate(places)
               if x + w > 1 and y + h > 1]  # fmt: skip
    people = [sprite for sprite, kind in reversed(sprites) if kind == "w"]
    scenery = [sprite for sprite, kind in reversed(sprites) if kind == "s"]
    things = [sprite for sprite, kind in sprites if kind == "p"]
    short, long = (Canvas(np.zeros((200, 320, 3), np.uint8), np.zeros((200, 320), np.uint8)) for _ in range(2))
    for sprite in scenery:
        short.stand(sprite)
    paint(short, people, things, scenery)
    for sprite, kind in reversed(sprites):
        label = 1 + next(rank for rank, person in enumerate(people) if person is sprite) if kind == "w" else OTHER
        long.paste(sprite, label)
    assert np.array_equal(short.labels, long.labels)


def test_what_lies_wholly_outside_is_not_drawn() -> None:
    shape = Shape([(400.0, 10.0), (420.0, 10.0), (420.0, 60.0)], (1, 2, 3), body=True)
    assert draw_sprite([shape], FRAME, depth_m=3, feet_y=60, kind="block") is None


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 2 * math.pi), st.floats(16, 190), st.booleans())
def test_a_figure_is_as_tall_as_its_perspective_says(seed: int, turn: float, height_px: float, walking: bool) -> None:
    rng = np.random.default_rng(seed)
    look = random_look(rng, umbrella_chance=0.3)
    pose = random_pose(rng, math.cos(turn), math.sin(turn), walking=walking)
    sprite = draw_sprite(
        figure_shapes(look, pose, fine=height_px >= 45), FRAME,
        depth_m=5, feet_y=195, kind="pedestrian", placing=Placing(160, 195, height_px, -1),
    )  # fmt: skip
    assert sprite is not None and sprite.body_box is not None
    x, y, width, height = sprite.body_box
    # A stride lowers the head and a hat raises it; a box counts whole pixels.
    assert 0.8 * height_px - 2 <= height <= 1.06 * height_px + 3
    assert y + height == pytest.approx(195, abs=2.5)
    assert 0.08 * height_px <= width <= 0.85 * height_px + 3
    rows, columns = np.nonzero(sprite.rgba[:, :, 3] == BODY)
    assert columns.min() + sprite.x >= x and rows.min() + sprite.y >= y
    assert columns.max() + sprite.x < x + width and rows.max() + sprite.y < y + height


def test_bags_and_umbrellas_belong_to_nobody() -> None:
    rng = np.random.default_rng(4)
    looks = [random_look(rng, umbrella_chance=1.0) for _ in range(8)]
    for look in looks:
        shapes = figure_shapes(look, random_pose(rng, 0, 1, walking=True), fine=True)
        top = max(y for shape in shapes if shape.body for _, y in shape.outline)
        dome = max(y for shape in shapes if not shape.body for _, y in shape.outline)
        assert dome > top + 0.03


def test_height_follows_from_the_feet(mixed: list[StreetPicture]) -> None:
    settings = StreetSettings(seed=5, pedestrians=(3, 14), pictures_per_sequence=2)
    ratios = []
    for index, street in enumerate(mixed):
        view = view_of(5, moment_of(settings, index).camera, 640, 384)
        for box, (_, y, _, height) in zip(street.boxes, street.body_boxes_px, strict=True):
            if box.occlusion != "crowd":
                ratios.append(height * view.camera_height_m / (y + height - view.horizon_px))
    assert 1.5 < float(np.median(ratios)) < 1.8
    assert min(ratios) > 0.7 and max(ratios) < 2.2


def test_heights_span_what_detectors_meet() -> None:
    found = [street for condition in ("day", "night") for street in streets(condition, 60)]
    heights = np.array(
        [
            body[3]
            for street in found
            for box, body in zip(street.boxes, street.body_boxes_px, strict=True)
            if not box.ignore
        ]
    )
    assert len(heights) > 300
    assert heights.min() < 35 and heights.max() > 220
    assert np.mean((heights >= 40) & (heights <= 200)) > 0.6


def test_look_alikes_are_never_labelled() -> None:
    kinds: set[str] = set()
    for condition in CONDITIONS:
        for street in streets(condition, 8, pedestrians=(0, 0)):
            assert street.boxes == ()
            assert set(np.unique(street.labels)) <= {0, OTHER}
            kinds |= {thing.kind for thing in street.lookalikes}
    assert kinds >= LOOK_ALIKES - {"dog"}, f"never drawn: {LOOK_ALIKES - kinds}"


def test_people_are_labelled_and_the_look_alikes_beside_them_are_not(mixed: list[StreetPicture]) -> None:
    """A look-alike's box never is a label's: they meet only where a person stands in front of one."""
    things = pedestrians = 0
    for street in mixed:
        boxes = np.array([(box.x, box.y, box.width, box.height) for box in street.boxes if not box.ignore]).reshape(
            -1, 4
        )
        lookalikes = np.array([thing.box_px for thing in street.lookalikes], dtype=np.float64).reshape(-1, 4)
        things, pedestrians = things + len(lookalikes), pedestrians + len(boxes)
        assert not (iou(boxes, lookalikes) > 0.97).any()
    assert things > 100 and pedestrians > 100


def brightness(street: StreetPicture) -> float:
    return float(street.image_rgb.mean())


def contrast(street: StreetPicture) -> float:
    return float(cv2.cvtColor(street.image_rgb, cv2.COLOR_RGB2GRAY).std())


def sharpness(street: StreetPicture) -> float:
    return float(np.log(cv2.Laplacian(cv2.cvtColor(street.image_rgb, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var()))


def noise(street: StreetPicture) -> float:
    grey = cv2.cvtColor(street.image_rgb, cv2.COLOR_RGB2GRAY).astype(float)
    return float(np.median(np.abs(grey - cv2.medianBlur(street.image_rgb, 3).mean(axis=2))))


@pytest.mark.parametrize(
    ("condition", "statistic", "factor"),
    [
        ("night", brightness, (0.25, 0.65)),
        ("dusk", brightness, (0.4, 0.9)),
        ("rain", brightness, (0.4, 0.92)),
        ("fog", contrast, (0.2, 0.8)),
        ("night", noise, (1.1, 9.0)),
        ("low_resolution", sharpness, (0.0, 0.8)),
    ],
)
def test_conditions_can_be_told_apart(
    by_condition: dict[str, list[StreetPicture]], condition: str, statistic: object, factor: tuple[float, float]
) -> None:
    """The same cameras under another sky: the statistic that the condition is known for moves."""
    assert callable(statistic)
    day, other = ([statistic(street) for street in by_condition[name]] for name in ("day", condition))
    ratio = float(np.median(other) / np.median(day))
    assert factor[0] <= ratio <= factor[1], ratio


def test_every_picture_is_tagged(by_condition: dict[str, list[StreetPicture]]) -> None:
    for condition, found in by_condition.items():
        assert {street.condition for street in found} == {condition}
        assert all(street.image_rgb.shape == (384, 640, 3) and street.image_rgb.dtype == np.uint8 for street in found)
        hours = {street.captured_at.hour for street in found}
        assert (condition == "night") == (hours == {22})


@pytest.mark.parametrize("condition", ["day", "fog"])
def test_another_size_shows_the_same_street(condition: str) -> None:
    large, small = (
        streets(condition, 6, width_px=width, height_px=height) for width, height in ((640, 384), (320, 192))
    )
    for one, other in zip(large, small, strict=True):
        halved = cv2.resize(one.image_rgb, (320, 192), interpolation=cv2.INTER_AREA).astype(float)
        away = np.abs(halved - one.image_rgb.mean() - (other.image_rgb - other.image_rgb.mean()))
        assert float(np.median(away)) < 14
        bodies = [np.array(street.body_boxes_px, dtype=float).reshape(-1, 4) for street in (one, other)]
        overlap = iou(bodies[0] / 2, bodies[1])
        assert abs(len(bodies[0]) - len(bodies[1])) <= 1
        assert overlap.size == 0 or float(np.median(overlap.max(axis=1))) > 0.7


@pytest.mark.parametrize(("width", "height"), [(160, 96), (1280, 720), (384, 640), (641, 385)])
def test_any_size_is_drawn(width: int, height: int) -> None:
    settings = StreetSettings(seed=2, width_px=width, height_px=height, pedestrians=(4, 8), pictures_per_sequence=1)
    found = [draw_street(settings, index) for index in range(6)]
    assert all(street.image_rgb.shape == (height, width, 3) for street in found)
    assert sum(len(street.boxes) for street in found) > 3
    boxes: list[Box] = [box for street in found for box in street.boxes]
    assert all(box.width > 0 and box.height > 0 for box in boxes)
