"""The drift check: false alerts, what it finds and when, and what it costs."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from belisha.components.drift.freezing import chosen_gap
from belisha.components.drift.judging import StratumJudge
from belisha.components.drift.settings import DriftSettings, Mode
from belisha.components.shared.drift_features import FEATURE_NAMES, FeatureRows, thin_rows
from belisha.components.shared.images import ImageArray, decode_rgb
from bench import drift_embedding, drift_scale
from bench.table import BenchRow
from tests.components.drift.drift_log import feature_rows, wandering
from tests.picture_changes import CHANGES, SEVERITIES
from tests.street_rows import changed, mixed, rows_of, streets

SETTINGS = DriftSettings()
SEEDS = 6
WINDOWS_A_SEED = 100
STREET_WINDOWS = 300
STREET_WIDTH_PX = 320
CHANGED_WINDOWS = 4
SHARES = (0.1, 0.3, 1.0)
_CROP_PX = 360


def run() -> list[BenchRow]:
    """All of it, some minutes."""
    return [*_clean_numbers(), *_streets(), *_real_pictures(), *drift_embedding.run(), *drift_scale.run()]


def alerts_of(flags: Sequence[bool], settings: DriftSettings = SETTINGS) -> int:
    """Alerts over windows one after another: enough of the last ones flagged, and no cooldown."""
    alerts, quiet_until = 0, 0
    for number in range(len(flags)):
        recent = flags[max(0, number + 1 - settings.windows) : number + 1]
        if number >= quiet_until and sum(recent) >= settings.flagged_windows:
            alerts, quiet_until = alerts + 1, number + 1 + settings.cooldown_windows
    return alerts


def upper_bound(found: int, of: int) -> float:
    """Clopper and Pearson's one-sided 95 % upper bound of a share."""
    return 1.0 if found == of else float(stats.beta.ppf(0.95, found + 1, of - found))


def lower_bound(found: int, of: int) -> float:
    """Clopper and Pearson's one-sided 95 % lower bound of a share."""
    return 0.0 if found == 0 else float(stats.beta.ppf(0.05, found, of - found + 1))


def _clean_numbers() -> Iterator[BenchRow]:
    """Numbers in which nothing ever changes, pictures a second apart: thinned by the gap measured on the first of them."""
    table = Table("nothing has changed", "mode", "flags a 100 windows", "alerts a 100 windows")
    for rho, kind in ((0.0, "independent"), (0.9, "video-like")):
        gap, lots = _clean_lots(rho, SEEDS, thin=True)
        flags = [_flags(rows) for rows in lots]
        _add_modes(table, f"{kind}, thinned to {gap:g} s", {Mode.CALIBRATED: flags, Mode.TEXTBOOK: _textbook(lots[:2])})
        if rho:
            raw = _clean_lots(rho, 2, thin=False)[1]
            of_raw = {Mode.CALIBRATED: [_flags(rows) for rows in raw], Mode.TEXTBOOK: _textbook(raw)}
            _add_modes(table, f"{kind}, as it is", of_raw)
        alerts, windows, flagged = sum(map(alerts_of, flags)), sum(map(len, flags)), sum(map(sum, flags))
        detail = (
            f"rho {rho:g}, thinned to {gap:g} s: {alerts} alerts and {flagged} flags in {windows} held-out windows of 300; "
            f"upper 95 % bound {100 * upper_bound(alerts, windows):.2f}"
        )
        yield BenchRow(
            f"drift: alerts a 100 clean windows, {kind}", 100 * alerts / windows, 1.0, at_least=False, detail=detail
        )
    Console(width=120).print(table)


def _clean_lots(rho: float, seeds: int, *, thin: bool) -> tuple[float, list[FeatureRows]]:
    """A reference and a hundred windows a seed, and the gap of the last."""
    lots, gap = [], 0.0
    for seed in range(seeds):
        rng = np.random.default_rng([seed, round(rho * 10)])
        gap = chosen_gap(feature_rows(wandering(rng, 20_000, len(FEATURE_NAMES), rho))) if thin else 0.0
        count = (SETTINGS.min_reference_pictures + WINDOWS_A_SEED * SETTINGS.window_pictures) * max(1, round(gap))
        lots.append(thin_rows(feature_rows(wandering(rng, count, len(FEATURE_NAMES), rho)), gap))
    return gap, lots


def _textbook(lots: Sequence[FeatureRows]) -> list[list[bool]]:
    return [_flags(rows, replace(SETTINGS, mode=Mode.TEXTBOOK)) for rows in lots]


def _add_modes(table: Table, name: str, by_mode: Mapping[Mode, list[list[bool]]]) -> None:
    for mode, flags in by_mode.items():
        windows = sum(map(len, flags))
        shares = (100 * sum(map(count, flags)) / windows for count in (sum, alerts_of))
        table.add_row(name, mode.value, *(f"{share:.1f}" for share in shares))


def _flags(rows: FeatureRows, settings: DriftSettings = SETTINGS) -> list[bool]:
    """Of the windows after the reference, one after another."""
    reference, held_out = SETTINGS.min_reference_pictures, SETTINGS.window_pictures
    judge = _judge(rows.take(slice(0, reference)), settings)
    return [
        judge.window(rows.take(slice(begin, begin + held_out))).flagged
        for begin in range(reference, len(rows) - held_out + 1, held_out)
    ]


def _judge(reference: FeatureRows, settings: DriftSettings = SETTINGS) -> StratumJudge:
    return StratumJudge(reference, settings, strata=1, with_embedding=False)


def _streets() -> Iterator[BenchRow]:
    """Drawn streets of eight cameras, by their picture statistics alone."""
    reference, size = SETTINGS.min_reference_pictures, SETTINGS.window_pictures
    flags = _flags(rows_of(streets(reference + STREET_WINDOWS * size, width_px=STREET_WIDTH_PX)))
    detail = f"{alerts_of(flags)} alerts and {sum(flags)} flags in {len(flags)} windows of 300; upper 95 % bound "
    detail += f"{100 * upper_bound(alerts_of(flags), len(flags)):.1f}"
    value = 100 * alerts_of(flags) / len(flags)
    yield BenchRow("drift: alerts a 100 clean windows, drawn streets", value, 1.0, at_least=False, detail=detail)
    judge = _judge(rows_of(streets(reference)))
    pictures = list(streets(CHANGED_WINDOWS * size, first=reference))
    clean = rows_of(pictures)
    table = Table("share of flagged windows", "affected", *(f"severity {severity}" for severity in SEVERITIES))
    for change in CHANGES:
        affected = [rows_of(changed(pictures, change, severity)) for severity in SEVERITIES]
        shares = [[_found(judge, clean, one, share) for one in affected] for share in SHARES]
        for share, found in zip(SHARES, shares, strict=True):
            table.add_row(change, f"{share:.0%}", *(f"{value:.0%}" for value in found))
        yield _first_window(change, sum(shares[-1]) * CHANGED_WINDOWS)
    Console(width=120).print(table)


def _found(judge: StratumJudge, clean: FeatureRows, affected: FeatureRows, share: float) -> float:
    """Share of the windows that are flagged when so many of their pictures are affected."""
    rows, size = mixed(clean, affected, share, np.random.default_rng(0)), SETTINGS.window_pictures
    flags = [judge.window(rows.take(slice(at, at + size))).flagged for at in range(0, len(rows), size)]
    return sum(flags) / len(flags)


def _first_window(change: str, found: float) -> BenchRow:
    windows = CHANGED_WINDOWS * len(SEVERITIES)
    detail = (
        f"{found:.0f} of {windows} windows flagged at once, severities 1 to 5, all pictures affected; "
        f"lower 95 % bound {lower_bound(round(found), windows):.0%}"
    )
    value = windows / found if found else float("inf")
    return BenchRow(f"drift: windows to detection, {change}", value, 1.0, at_least=False, detail=detail)


def _real_pictures() -> list[BenchRow]:
    """Night found and day not, on cuts of the few real frames: windows of 100 against 900 cuts of the day's frames."""
    folder = Path(os.environ.get("BELISHA_TEST_DATA", "../shared/data")) / "mot17mini"
    if not folder.is_dir():
        print(f"no rows for real pictures: {folder} is not there")
        return []
    settings = replace(SETTINGS, window_pictures=100, min_reference_pictures=900)
    day, night = (_frames(folder, time_of_day) for time_of_day in ("day", "night"))
    rng = np.random.default_rng(0)
    judge = _judge(rows_of(_cuts(day, 900, rng)), settings)
    flags = {
        name: [judge.window(rows_of(_cuts(frames, 100, rng))).flagged for _ in range(20)]
        for name, frames in (("day", day), ("night", night))
    }
    clean, found = sum(flags["day"]), sum(flags["night"])
    lower = f"{found} of 20 windows; lower 95 % bound {lower_bound(found, 20):.0%}"
    upper = f"{clean} of 20 windows; upper 95 % bound {upper_bound(clean, 20):.0%}"
    return [
        BenchRow("drift: mot17mini, night against day found", found / 20, 1.0, at_least=True, detail=lower),
        BenchRow("drift: mot17mini, day against day flagged", clean / 20, 0.05, at_least=False, detail=upper),
    ]


def _frames(folder: Path, time_of_day: str) -> list[ImageArray]:
    """All frames of that light, at half size where they are large, so that all show the same detail."""
    with (folder / "conditions.csv").open() as lines:
        names = [row["sequence"] for row in csv.DictReader(lines) if row["time_of_day"] == time_of_day]
    images = [
        decode_rgb(path.read_bytes()) for name in names for path in sorted((folder / "train" / name).rglob("*.jpg"))
    ]
    return [_half(image) if image.shape[0] > 2 * _CROP_PX else image for image in images]


def _half(image: ImageArray) -> ImageArray:
    size = (image.shape[1] // 2, image.shape[0] // 2)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _cuts(frames: Sequence[ImageArray], count: int, rng: np.random.Generator) -> Iterator[ImageArray]:
    """Random cuts of the frames in turn."""
    for number in range(count):
        image = frames[number % len(frames)]
        top, left = (int(rng.integers(0, side - _CROP_PX + 1)) for side in image.shape[:2])
        yield np.ascontiguousarray(image[top : top + _CROP_PX, left : left + _CROP_PX])
