"""Light and weather: what a condition does to the empty street beforehand, and to the finished picture afterwards."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from belisha.components.acquire.synthetic.backdrop import Backdrop, paint_backdrop
from belisha.components.acquire.synthetic.canvas import FOG_COLOUR, GROUND, Canvas, Mask, Rectangle, Sprite
from belisha.components.acquire.synthetic.props import lamp_places, lamp_posts, scenery_of
from belisha.components.acquire.synthetic.textures import glow, noise_tile, rain_streaks
from belisha.components.acquire.synthetic.world import View, generator_of_camera, view_of
from belisha.components.shared.images import ImageArray

_AMBIENT = {"night": (0.23, 0.25, 0.35), "dusk": (0.62, 0.52, 0.54)}
_LAMP_LIGHT = np.array([1.0, 0.86, 0.62], np.float32)
_STREAK_TILES = 6
_EXPOSURES = {"day": (0.86, 1.14), "dusk": (0.9, 1.1), "night": (0.85, 1.2), "rain": (0.84, 1.04), "fog": (0.92, 1.06)}
_NOISE = {"night": (5.0, 9.0), "dusk": (2.5, 5.0), "rain": (2.0, 4.0)}
_SHADOWS = {"day": 0.5, "dusk": 0.35, "night": 0.3, "rain": 0.25, "fog": 0.2}
_HALO_M = 0.9


@dataclass(frozen=True, slots=True)
class Setting:
    """A camera's street under one condition, with nobody in it.

    Attributes:
        image: `(h, w, 3)` uint8, with the scenery; light and noise are yet to come.
        labels: `(h, w)` uint8, where the scenery is.
        light: `(h, w, 3)` uint8 of 255, the light that falls on the street; None by day.
        emission: `(h, w, 3)` uint8, what windows give off, hidden by what stands before them; None by day.
        halo: `(h, w, 3)` uint8, the dazzle of the street lamps; None by day.
        fog_m: distance at which fog leaves 37 % of the contrast; None in clear air.
        wet: whether the ground mirrors.
        shadow: darkness of shadows, 0..1.
        scenery: what stands there, far to near; the image shows it already.
        lookalikes: what is painted on walls and behind glass and resembles a pedestrian.
    """

    image: ImageArray
    labels: Mask
    light: ImageArray | None
    emission: ImageArray | None
    halo: ImageArray | None
    fog_m: float | None
    wet: bool
    shadow: float
    scenery: tuple[Sprite, ...]
    lookalikes: tuple[tuple[str, Rectangle], ...]

    def canvas(self) -> Canvas:
        """A fresh copy to paint on."""
        return Canvas(self.image.copy(), self.labels.copy(), self.fog_m, self.wet, self.shadow)


@functools.lru_cache(maxsize=48)
def _street(seed: int, camera: int, width_px: int, height_px: int) -> tuple[View, Backdrop, tuple[Sprite, ...]]:
    view = view_of(seed, camera, width_px, height_px)
    rng = generator_of_camera(seed, camera).spawn(1)[0]
    backdrop = paint_backdrop(view, rng)
    scenery = sorted((*scenery_of(view, rng), *lamp_posts(view)), key=lambda sprite: -sprite.depth_m)
    return view, backdrop, tuple(scenery)


@functools.lru_cache(maxsize=96)
def setting_of(seed: int, camera: int, width_px: int, height_px: int, condition: str) -> Setting:
    """The empty street of a camera under a condition; computed once and kept."""
    view, backdrop, scenery = _street(seed, camera, width_px, height_px)
    image, fog_m, light, emission, halo = backdrop.image, None, None, None, None
    if condition == "fog":
        fog_m = float(generator_of_camera(seed, camera).spawn(2)[1].uniform(18, 40))
        image = _foggy(backdrop, fog_m)
    elif condition == "rain":
        image = _wet(view, backdrop)
    elif condition in _AMBIENT:
        light = _light(view, backdrop, condition)
        emission = backdrop.emission if condition == "night" else (backdrop.emission // 2)
        halo = _halo(view)
    wet, shadow = condition == "rain", _SHADOWS.get(condition, 0.5)
    canvas = Canvas(image.copy(), np.zeros(image.shape[:2], np.uint8), fog_m, wet, shadow)
    for sprite in scenery:
        canvas.stand(sprite)
    return Setting(canvas.image, canvas.labels, light, emission, halo, fog_m, wet, shadow, scenery, backdrop.lookalikes)


def _foggy(backdrop: Backdrop, fog_m: float) -> ImageArray:
    clear = np.exp(-backdrop.depth_m / fog_m)[:, :, None]
    return np.asarray(backdrop.image * clear + np.array(FOG_COLOUR, np.float32) * (1 - clear), dtype=np.uint8)


def _wet(view: View, backdrop: Backdrop) -> ImageArray:
    """Grey sky, dark ground, and the façades mirrored in it."""
    image = backdrop.image.astype(np.float32)
    image[backdrop.sky] = 0.35 * image[backdrop.sky] + 0.65 * np.array([150, 154, 160], np.float32)
    horizon = int(view.horizon_px) + 1
    ground = image[horizon:]
    above = cv2.resize(np.ascontiguousarray(image[:horizon][::-1]), (view.width_px, len(ground)))
    mirrored = cv2.blur(above, (9, 25))
    on_ground = (backdrop.depth_m[horizon:] == backdrop.depth_m[horizon:].max(axis=1, keepdims=True))[:, :, None]
    image[horizon:] = np.where(on_ground, 0.62 * ground + 0.2 * mirrored, ground)
    grey = image.mean(axis=2, keepdims=True)
    return np.asarray((0.86 * (0.7 * image + 0.3 * grey)).clip(0, 255), dtype=np.uint8)


def _light(view: View, backdrop: Backdrop, condition: str) -> ImageArray:
    """Ambient light and the pools below the street lamps."""
    ambient = np.array(_AMBIENT[condition], np.float32)
    light = np.broadcast_to(ambient, (*backdrop.sky.shape, 3)).copy()
    if condition == "night":
        light[backdrop.sky] *= np.array([0.32, 0.34, 0.45], np.float32)
    else:
        rows = np.linspace(0.8, 1.35, len(light), dtype=np.float32)[:, None, None] * np.array(
            [1.25, 1.0, 0.85], np.float32
        )
        light = np.where(backdrop.sky[:, :, None], light * rows, light)
    strength = 0.55 if condition == "night" else 0.3
    light += strength * cv2.resize(_lamp_pools(view), (view.width_px, view.height_px))[:, :, None] * _LAMP_LIGHT
    return np.asarray((light * 255).clip(0, 255), dtype=np.uint8)


def _lamp_pools(view: View) -> npt.NDArray[np.float32]:
    """What the street lamps shed, at a quarter of the resolution: it is smooth."""
    y, x = np.mgrid[2 : view.height_px : 4, 2 : view.width_px : 4].astype(np.float32)
    pools: npt.NDArray[np.float32] = np.zeros(x.shape, np.float32)
    for u, v in lamp_places(view):
        right, depth = view.ground(u, v)
        if depth > 1.5:
            scale = view.focal_px / depth
            across = (x - (view.width_px / 2 + right * scale)) / (3.6 * scale)
            foot = view.horizon_px + view.camera_height_m * scale
            up = np.where(y < foot, (foot - y) / (5.4 * scale), (y - foot) / max(2.0, 1.4 * scale))
            pools += np.exp(-1.4 * (across**2 + up**2))
    return pools


def _halo(view: View) -> ImageArray:
    image = np.zeros((view.height_px, view.width_px, 3), np.uint8)
    for u, v in lamp_places(view):
        head = view.to_camera(np.array([[u, v, 5.45]]))
        if head[0, 2] > 1.5:
            x, y = view.to_pixels(head)[0].tolist()
            _shine(image, x, y, _HALO_M * view.focal_px / float(head[0, 2]))
    return image


def light_up(canvas: Canvas, setting: Setting, headlights: list[tuple[float, float, float]]) -> None:
    """Turn a canvas painted by day into dusk or night; headlights are [x, y, radius] in pixels."""
    if setting.light is None or setting.emission is None or setting.halo is None:
        return
    image = canvas.image
    cv2.multiply(image, setting.light, dst=image, scale=1 / 255)
    cv2.add(image, setting.emission, dst=image, mask=(canvas.labels == GROUND).view(np.uint8))
    cv2.add(image, setting.halo, dst=image)
    for x, y, radius in headlights:
        _shine(image, x, y, radius)


def _shine(image: ImageArray, x: float, y: float, radius_px: float) -> None:
    """Add the halo of a lamp."""
    radius = int(min(max(radius_px, 3), 160))
    left, top = round(x) - radius, round(y) - radius
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + 2 * radius, image.shape[1]), min(top + 2 * radius, image.shape[0])
    if x1 > x0 and y1 > y0:
        target = image[y0:y1, x0:x1]
        halo = cv2.resize(glow(32), (2 * radius, 2 * radius))
        cv2.add(target, np.ascontiguousarray(halo[y0 - top : y1 - top, x0 - left : x1 - left]), dst=target)


def develop(image: ImageArray, condition: str, rng: np.random.Generator) -> ImageArray:
    """What lens, weather in front of it, sensor and transmission make of the light; the size stays.

    Args:
        image: `(h, w, 3)` uint8 RGB.
        condition: one of `CONDITIONS`.
        rng: randomness of this picture.
    """
    height, width = image.shape[:2]
    image = np.asarray(cv2.GaussianBlur(image, (3, 3), 0.62), dtype=np.uint8)
    if condition == "rain":
        streaks = rain_streaks(int(rng.integers(0, _STREAK_TILES)), width, height)
        image = np.asarray(cv2.add(image, np.roll(streaks, int(rng.integers(0, width)), axis=1)), dtype=np.uint8)
    image = _exposed(image, condition, rng)
    return _coarse(image, rng) if condition == "low_resolution" else image


def _exposed(image: ImageArray, condition: str, rng: np.random.Generator) -> ImageArray:
    """Exposure, black level and sensor noise of this picture, in one pass."""
    height, width = image.shape[:2]
    gain, black = rng.uniform(*_EXPOSURES.get(condition, (0.88, 1.12))), rng.uniform(-6, 6)
    sigma = rng.uniform(*_NOISE.get(condition, (1.2, 3.2)))
    noise = noise_tile(rng, width, height)
    return np.asarray(cv2.addWeighted(image, gain, noise, sigma / 32, black - 4 * sigma), dtype=np.uint8)


def _coarse(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Scaled down, compressed hard, and scaled up again."""
    height, width = image.shape[:2]
    factor = rng.uniform(1.8, 2.8)
    small = cv2.resize(
        image, (max(16, round(width / factor)), max(16, round(height / factor))), interpolation=cv2.INTER_AREA
    )
    quality = int(rng.integers(28, 55))
    encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(cv2.resize(decoded, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
