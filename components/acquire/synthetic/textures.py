"""Noise, cloth, streaks and glows that are computed once and cut to size; the same on every machine and in every worker."""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np

from belisha.components.shared.images import ImageArray

_TILE = 512
_CLOTHS = 12


def _fixed(number: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence((20250301, number)))


def smooth_noise(rng: np.random.Generator, width: int, height: int, cell: float) -> np.ndarray:
    """Noise of unit standard deviation whose patches are about `cell` pixels wide, `(height, width)` float32."""
    small = rng.standard_normal((max(2, int(height / cell) + 2), max(2, int(width / cell) + 2))).astype(np.float32)
    field = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(field / max(1e-6, float(field.std())))


@functools.lru_cache(maxsize=1)
def _noise() -> ImageArray:
    """Sensor noise around 128 with a standard deviation of 32, partly the same in all channels."""
    rng = _fixed(1)
    grey = rng.standard_normal((1024, 1024, 1)).astype(np.float32)
    colour = rng.standard_normal((1024, 1024, 3)).astype(np.float32)
    return np.asarray((128 + 32 * (0.8 * grey + 0.6 * colour)).clip(0, 255), dtype=np.uint8)


def noise_tile(rng: np.random.Generator, width: int, height: int) -> ImageArray:
    """A cut of the noise at a random place, `(height, width, 3)` uint8 around 128, standard deviation 32."""
    source = _noise()
    y, x = (int(value) for value in rng.integers(0, 256, 2))
    if height + y <= source.shape[0] and width + x <= source.shape[1]:
        return source[y : y + height, x : x + width]
    times = (math.ceil((height + y) / source.shape[0]), math.ceil((width + x) / source.shape[1]), 1)
    return np.ascontiguousarray(np.tile(source, times)[y : y + height, x : x + width])


@functools.lru_cache(maxsize=_CLOTHS)
def _cloth(number: int) -> ImageArray:
    """Folds and weave as a factor of brightness; every third cloth is striped."""
    rng = _fixed(100 + number)
    folds = 0.045 * smooth_noise(rng, _TILE, _TILE, 16) + 0.035 * smooth_noise(rng, _TILE, _TILE, 4)
    weave = 0.03 * rng.standard_normal((_TILE, _TILE)).astype(np.float32)
    light = np.linspace(1.0, 0.8, 48, dtype=np.float32)
    side = np.tile(np.concatenate([light, light[::-1]]), _TILE // 96 + 1)[None, :_TILE]
    value = 0.92 + folds + weave + 0.3 * (side - 0.9)
    if number % 3 == 2:
        value[(np.arange(_TILE) % (10 + number)) < 4] *= 0.78
    tile = np.repeat((value.clip(0.3, 1.0) * 255)[:, :, None], 4, axis=2)
    tile[:, :, 3] = 255
    return np.asarray(tile, dtype=np.uint8)


def cloth_tile(number: int, width: int, height: int) -> ImageArray:
    """A factor of brightness per pixel, `(height, width, 4)` uint8 of 255; the fourth channel leaves alpha alone."""
    tile = _cloth(number % _CLOTHS)
    if width <= _TILE and height <= _TILE:
        return tile[:height, :width]
    return np.asarray(cv2.resize(tile, (max(width, _TILE), max(height, _TILE))), dtype=np.uint8)[:height, :width]


@functools.lru_cache(maxsize=32)
def _shadow_blob(darkness_percent: int) -> ImageArray:
    y, x = np.mgrid[-1:1:33j, -1:1:65j]
    inside = np.exp(-2.5 * (x**2 + y**2) ** 1.5)
    factor = 1 - darkness_percent / 100 * inside * (x**2 + y**2 < 1)
    return np.asarray(np.repeat((255 * factor)[:, :, None], 3, axis=2), dtype=np.uint8)


def shadow_blob(darkness: float) -> ImageArray:
    """A soft dark ellipse as a factor, `(33, 65, 3)` uint8 of 255; darkness 0..1."""
    return _shadow_blob(round(100 * darkness))


@functools.lru_cache(maxsize=8)
def glow(radius: int) -> ImageArray:
    """Light around a lamp, `(2 radius, 2 radius, 3)` uint8, white."""
    axis = np.linspace(-1, 1, 2 * radius, dtype=np.float32)
    distance = np.sqrt(axis[None, :] ** 2 + axis[:, None] ** 2)
    light = 255 * (0.8 * np.exp(-(distance**2) * 14) + 0.3 * (1 - distance).clip(0) ** 2)
    return np.asarray(np.repeat(light.clip(0, 255)[:, :, None], 3, axis=2), dtype=np.uint8)


@functools.lru_cache(maxsize=16)
def rain_streaks(number: int, width: int, height: int) -> ImageArray:
    """Slanted streaks to add to a picture, `(height, width, 3)` uint8."""
    rng = _fixed(200 + number)
    layer = np.zeros((height, width, 3), np.uint8)
    slant = rng.uniform(-0.25, 0.25)
    for _ in range(int(width * height / 700)):
        x, y = rng.uniform(-20, width + 20), rng.uniform(-20, height)
        length, light = rng.uniform(0.02, 0.07) * height, int(rng.uniform(18, 70))
        end = (round(x + slant * length), round(y + length))
        cv2.line(layer, (round(x), round(y)), end, (light, light, light), 1, cv2.LINE_AA)
    return np.asarray(cv2.blur(layer, (2, 3)), dtype=np.uint8)
