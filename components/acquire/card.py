"""The data card: one HTML file that shows what is in a dataset, what was left out, and what to doubt."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from belisha.components.acquire.merge import SourceAccount
from belisha.components.acquire.samples import duplicate_sections, sample_section
from belisha.components.shared.manifest import DatasetInfo, Picture
from belisha.components.shared.report import Fact, Markup, Section, facts, paragraph, table, write_report

_HEIGHT_EDGES_PX = (0, 20, 30, 50, 80, 120, 200, 400, 800)
_VISIBLE_EDGES = (0.0, 0.2, 0.4, 0.65, 0.8, 1.0)
_MAX_ROWS = 60
_BAR_EM = 14.0


def write_card(
    path: Path,
    info: DatasetInfo,
    pictures: Sequence[Picture],
    hashes: Sequence[int],
    accounts: Sequence[SourceAccount],
    notes: Sequence[str],
) -> None:
    """Write the card.

    Args:
        path: the HTML file.
        info: the dataset's counts and digest.
        pictures: its rows, at least one.
        hashes: perceptual hashes in the order of `pictures`.
        accounts: what became of each source.
        notes: warnings for people.
    """
    sections = [
        _overview(info, accounts),
        _notes(notes),
        _sources(accounts),
        _pictures(pictures),
        _boxes(pictures),
        _quarantine(accounts),
        *duplicate_sections(pictures, hashes),
        sample_section(pictures),
    ]
    lead = f"{info.images:,} pictures, digest {info.digest[:16]}…"
    write_report(path, f"Data card: {info.name}", lead, [section for section in sections if section.blocks])


def _overview(info: DatasetInfo, accounts: Sequence[SourceAccount]) -> Section:
    quarantined = sum(len(account.quarantined) for account in accounts)
    per_picture = info.pedestrians / info.images
    items = [
        Fact("Pictures", f"{info.images:,}"),
        Fact("Pedestrians", f"{info.pedestrians:,}", f"{per_picture:.2f} a picture"),
        Fact("Ignore regions", f"{info.ignored:,}", "neither right nor wrong"),
        Fact("In quarantine", f"{quarantined:,}", "pictures left out", "warn" if quarantined else ""),
    ]
    return Section("Overview", [facts(items)])


def _notes(notes: Sequence[str]) -> Section:
    shown = [paragraph(note, tone="warn") for note in notes[:_MAX_ROWS]]
    if len(notes) > _MAX_ROWS:
        shown.append(paragraph(f"and {len(notes) - _MAX_ROWS} more in dataset.json"))
    return Section("What to know", shown)


def _sources(accounts: Sequence[SourceAccount]) -> Section:
    headers = ("source", "address", "format", "pictures", "in quarantine", "repeated", "boxes cut", "labels refused")
    rows = [
        (
            account.source.name,
            account.source.uri,
            account.labels.format,
            len(account.pictures),
            len(account.quarantined),
            account.repeated_same + account.repeated_other,
            account.clipped_boxes,
            account.refused_boxes.total(),
        )
        for account in accounts
    ]
    blocks = [table(headers, rows)]
    refused = Counter(_keyed((account.source.name, account.refused_boxes) for account in accounts))
    ignored = Counter(_keyed((account.source.name, account.labels.ignored) for account in accounts))
    dropped = Counter(_keyed((account.source.name, account.labels.dropped) for account in accounts))
    blocks += _reason_table("Labels refused", "reason", refused)
    blocks += _reason_table("Classes that became ignore regions", "class", ignored)
    blocks += _reason_table("Classes left out", "class", dropped)
    return Section("Sources", blocks)


def _keyed(items: Iterable[tuple[str, object]]) -> dict[tuple[str, str], int]:
    return {(name, key): count for name, counts in items for key, count in dict(counts).items()}  # type: ignore[call-overload]


def _reason_table(title: str, word: str, counts: Counter[tuple[str, str]]) -> list[Markup]:
    rows = [(source, key, count) for (source, key), count in counts.most_common(_MAX_ROWS)]
    return [table(("source", word, "boxes"), rows, title)] if rows else []


def _pictures(pictures: Sequence[Picture]) -> Section:
    blocks = [
        _shares("Size", "pixels", pictures, lambda picture: f"{picture.width_px} x {picture.height_px}"),
        _shares("Condition", "condition", pictures, lambda picture: picture.condition or "unknown"),
        _shares("Camera", "camera", pictures, lambda picture: picture.camera or "unknown"),
        _shares("Licence", "licence", pictures, lambda picture: picture.licence or "not stated by the source"),
        _shares("Pedestrians a picture", "pedestrians", pictures, _crowd),
    ]
    return Section("Pictures", blocks)


def _crowd(picture: Picture) -> str:
    count = sum(not box.ignore for box in picture.boxes)
    for upper, words in ((0, "none (background)"), (1, "1"), (3, "2 to 3"), (10, "4 to 10"), (30, "11 to 30")):
        if count <= upper:
            return words
    return "more than 30"


def _shares(title: str, header: str, pictures: Sequence[Picture], key: Callable[[Picture], str]) -> Markup:
    counted = Counter(map(key, pictures))
    people: Counter[str] = Counter()
    for picture in pictures:
        people[key(picture)] += sum(not box.ignore for box in picture.boxes)
    most = counted.most_common(_MAX_ROWS)
    rows = [(name, count, _bar(count / most[0][1]), people[name]) for name, count in most]
    caption = title if len(counted) <= _MAX_ROWS else f"{title} (the {_MAX_ROWS} most frequent of {len(counted)})"
    return table((header, "pictures", "", "pedestrians"), rows, caption)


def _boxes(pictures: Sequence[Picture]) -> Section:
    boxes = [box for picture in pictures for box in picture.boxes if not box.ignore]
    if not boxes:
        return Section("Pedestrians", [paragraph("there is no pedestrian in this dataset", tone="warn")])
    heights = np.array([box.height for box in boxes])
    ratios = [box.visible_ratio for box in boxes if box.visible_ratio is not None]
    quantiles = ", ".join(f"{value:.0f}" for value in np.percentile(heights, [5, 50, 95]))
    blocks = [
        _histogram("Height in pixels", heights, _HEIGHT_EDGES_PX),
        paragraph(f"5 %, median, 95 % of the heights: {quantiles} px"),
    ]
    if ratios:
        blocks.append(_histogram("Visible share of the body", np.array(ratios), _VISIBLE_EDGES))
    unknown = len(boxes) - len(ratios)
    blocks.append(paragraph(f"the visible share is not known for {unknown:,} of {len(boxes):,} pedestrians"))
    words = Counter(box.occlusion for box in boxes if box.occlusion)
    if words:
        rows = [(word, count) for word, count in words.most_common(_MAX_ROWS)]
        blocks.append(table(("occlusion", "pedestrians"), rows, "Occlusion, in the source's words"))
    return Section("Pedestrians", blocks)


def _histogram(title: str, values: np.typing.NDArray[np.float64], edges: Sequence[float]) -> Markup:
    """Counts between the edges, lower edge included; the last class is open where values go beyond it."""
    bounds = np.array(edges, dtype=np.float64)
    place = np.searchsorted(bounds, values, side="right") - 1
    if values.max() <= bounds[-1]:
        place = place.clip(max=len(bounds) - 2)
    counts = np.bincount(place.clip(min=0), minlength=len(bounds) - 1)
    names = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(edges)] + [f"from {edges[-1]:g}"]
    rows = [(name, int(count), _bar(count / counts.max())) for name, count in zip(names, counts, strict=False)]
    return table(("from, to", "pedestrians", ""), rows, title)


def _bar(ratio: float) -> Markup:
    style = f"display:inline-block;height:.8em;width:{_BAR_EM * ratio:.2f}em;background:#2a6fdb;border-radius:2px"
    return Markup('<span style="{}"></span>').format(style)


def _quarantine(accounts: Sequence[SourceAccount]) -> Section:
    entries = [entry for account in accounts for entry in account.quarantined]
    rows = [(entry.source, entry.path, entry.reason, entry.sentence) for entry in entries[:_MAX_ROWS]]
    if not rows:
        return Section("Quarantine", [])
    lead = f"{len(entries):,} pictures were left out; quarantine.json lists them all."
    return Section("Quarantine", [table(("source", "picture", "reason", "what to do"), rows)], lead)
