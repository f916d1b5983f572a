"""Run both baselines over the sealed test part and measure them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from belisha.components.baseline.cache import code_version, detect_cached
from belisha.components.baseline.heat_map import HeatMap, fit_heat_map
from belisha.components.baseline.hog import HogDetector
from belisha.components.baseline.report import write_baseline_report
from belisha.components.shared.detections import Detections, write_detections
from belisha.components.shared.errors import NoDataError
from belisha.components.shared.evaluation import EvaluationSet, Summary, detection_set, evaluate, evaluation_set
from belisha.components.shared.evaluation_artifact import DETECTIONS_TEST_FILE
from belisha.components.shared.files import directory_aside, write_json
from belisha.components.shared.inference import detect_all
from belisha.components.shared.ledger import Ledger
from belisha.components.shared.manifest import Picture, read_info, read_pictures
from belisha.components.shared.progress import ProgressEvent, ProgressSink, silent
from belisha.components.shared.registry import REGISTRY_FOLDER
from belisha.components.shared.splits import Part, Split, TestLook, open_test, pictures_of, read_split
from belisha.components.shared.storage import ObjectStore, join_uri, open_store

BASELINE_SCHEMA = "belisha.baseline/1"
BASELINE_FILE, REPORT_FILE = "baseline.json", "report.html"
HOG, HEAT_MAP = "hog", "heatmap"
_REASON = "measure the baselines"


@dataclass(frozen=True, slots=True)
class BaselineSummary:
    """What the baselines reach.

    Attributes:
        split_digest: of the split whose test part was used.
        summaries: metrics by name of the baseline.
        looks: runs that have looked at this test part, this one included.
        notes: sentences for people.
    """

    split_digest: str
    summaries: Mapping[str, Summary]
    looks: int
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        metrics = {name: summary.to_json() for name, summary in self.summaries.items()}
        return {"split_digest": self.split_digest, "baselines": metrics, "looks": self.looks, "notes": self.notes}


def evaluate_baselines(
    dataset_dir: Path, split_dir: Path, out_dir: Path, storage_uri: str, run_id: str, progress: ProgressSink = silent
) -> BaselineSummary:
    """Detect with HOG and with constant boxes on the test part, measure both, write the baseline folder.

    Args:
        dataset_dir: a dataset folder.
        split_dir: its split.
        out_dir: replaced as a whole; holds `hog/` and `heatmap/` with detections, `baseline.json` and `report.html`.
        storage_uri: whose ledger records the look at the test part; HOG's boxes are kept there for the next candidate.
        run_id: who looks.
        progress: told after each picture.

    Raises:
        ContractError: dataset and split do not fit, or one of them is damaged.
        NoDataError: the test part has no pedestrian.
        StorageError: pictures or storage cannot be reached.
    """
    info, split, every = read_info(dataset_dir), read_split(split_dir), read_pictures(dataset_dir)
    heat_map = fit_heat_map(pictures_of(every, split.ids(Part.TRAIN)))
    look = open_test(split, Ledger(open_store(join_uri(storage_uri, REGISTRY_FOLDER))), reason=_REASON, run_id=run_id)
    test = pictures_of(every, look.image_ids)
    truth = _truth(test, split)
    detections = {
        HOG: _hog(test, open_store(join_uri(storage_uri)), progress),
        HEAT_MAP: {picture.image_id: heat_map.on(picture.width_px, picture.height_px) for picture in test},
    }
    summaries = {name: evaluate(truth, detection_set(truth, found)) for name, found in detections.items()}
    summary = BaselineSummary(split.digest, summaries, look.looks, _notes(summaries, heat_map, look))
    with directory_aside(out_dir) as aside:
        for name, found in detections.items():
            write_detections(aside / name / DETECTIONS_TEST_FILE, found)
        write_json(aside / BASELINE_FILE, _content(summary, heat_map, info.digest))
        write_baseline_report(aside / REPORT_FILE, summary.summaries, summary.notes, heat_map, test, detections)
    return summary


def _truth(test: Sequence[Picture], split: Split) -> EvaluationSet:
    if not any(not box.ignore for picture in test for box in picture.boxes):
        raise NoDataError(
            f"the test part has {len(test)} pictures but no pedestrian, so nothing can be measured: add labelled pictures, "
            "or split with another salt"
        )
    return evaluation_set(test, split.group_of)


def _hog(test: Sequence[Picture], store: ObjectStore, progress: ProgressSink) -> dict[str, Detections]:
    detector, done = HogDetector(), 0

    def shown(event: ProgressEvent) -> None:
        if not event.finished:
            progress(ProgressEvent(event.step, done + event.done, len(test), event.unit, event.note))

    def detect(pictures: Sequence[Picture]) -> dict[str, Detections]:
        return detect_all(detector, pictures, shown, None, step="baseline")

    def piece_done(pictures: int) -> None:
        nonlocal done
        done = pictures
        progress(ProgressEvent("baseline", done, len(test), "pictures"))

    return detect_cached(test, store, detect, piece_done)


def _notes(summaries: Mapping[str, Summary], heat_map: HeatMap, look: TestLook) -> list[str]:
    notes = [
        f"On test pictures HOG reaches AP50 {summaries[HOG].ap50:.3f} and constant boxes {summaries[HEAT_MAP].ap50:.3f}."
    ]
    if not len(heat_map.scores):
        notes.append("The training part has no pedestrian, so there are no constant boxes.")
    notes += sorted({note for summary in summaries.values() for note in summary.notes})
    return notes + ([look.warning] if look.warning else [])


def _content(summary: BaselineSummary, heat_map: HeatMap, dataset_digest: str) -> dict[str, Any]:
    boxes = [
        [*map(float, box), float(score)] for box, score in zip(heat_map.boxes_relative, heat_map.scores, strict=True)
    ]
    return {
        "schema": BASELINE_SCHEMA,
        **summary.to_json(),
        "dataset_digest": dataset_digest,
        "hog_code": code_version(),
        "heatmap_training_pictures": heat_map.pictures,
        "heatmap_boxes_relative": boxes,
    }
