"""The model card: Markdown with YAML front matter, made of recorded numbers only."""

from __future__ import annotations

import yaml

from belisha.components.shared.manifest import DatasetInfo
from belisha.components.shared.model_artifact import ModelInfo

LICENCE = (
    "AGPL-3.0: trained with ultralytics, whose publisher licenses the software under AGPL-3.0 (or commercially) and claims the "
    "same for weights trained with it"
)


def model_card(info: ModelInfo, dataset: DatasetInfo, start: str, proof: str, licences: list[str]) -> str:
    """The text of `card.md`.

    Args:
        info: of the model, without file digests.
        dataset: it learned from.
        start: where training started, in words.
        proof: the export check, in words.
        licences: of the pictures, as their sources state them.
    """
    front = {
        "library_name": "onnx",
        "pipeline_tag": "object-detection",
        "license": "agpl-3.0",
        "tags": ["pedestrian-detection", "yolo"],
        "datasets": [dataset.name],
        "metrics": {name: round(value, 6) for name, value in info.metrics.items()},
    }
    sections = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n",
        "# Pedestrian detector\n",
        "Finds pedestrians on single pictures; one class, `pedestrian`. Boxes are returned at score "
        f"{info.thresholds.score:.4f} and above, suppression at IoU {info.thresholds.nms_iou:g}.\n",
        _section("Start", start),
        _section("Data", _data(info, dataset, licences)),
        _section("Settings", _table(info.training["settings"])),
        _section("Figures of the training", _table(info.metrics) + "\n" + _WARNING),
        _section("Export", proof),
        _section("Licence", f"{LICENCE}. This is not legal advice. Keep the licences of the pictures, too."),
        _section("Limits", _LIMITS),
    ]
    return "\n".join(sections)


_WARNING = (
    "Validation figures were used to choose the best epoch and the score threshold, so they flatter; "
    "judge the model by its evaluation on the sealed test part.\n"
)
_LIMITS = (
    "Street pictures other than those it learned from may be harder: look at its evaluation by condition, height and "
    "occlusion before use. It is no safety device."
)


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}\n"


def _data(info: ModelInfo, dataset: DatasetInfo, licences: list[str]) -> str:
    known = ", ".join(licences) or "none stated by the sources"
    return (
        f"{dataset.name}: {dataset.images} pictures, {dataset.pedestrians} pedestrians, {dataset.ignored} ignored regions; "
        f"digest `{info.dataset_digest}`, split `{info.split_digest}`. Licences of the pictures: {known}."
    )


def _table(values: dict[str, object] | dict[str, float]) -> str:
    rows = "\n".join(f"| {name} | {'' if value == '' else value} |" for name, value in values.items())
    return f"| name | value |\n|---|---|\n{rows}\n"
