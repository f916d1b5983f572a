"""The model contract: `model.onnx` and `model.json` beside it, bound by digests; nothing in it can execute code on load."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from belisha.components.shared.errors import ContractError, DigestError
from belisha.components.shared.files import canonical_json, read_json, sha256_hex, sha256_of_file, write_json
from belisha.components.shared.manifest import CLASSES
from belisha.components.shared.preprocessing import PreprocessingSpec

MODEL_SCHEMA = "belisha.model/1"
MODEL_FILE = "model.json"
ONNX_FILE = "model.onnx"
GOLDEN_FOLDER = "golden"
# Output of YOLOv8, YOLO11 and kin: (1, 4 + classes, anchors), boxes as centre x, centre y, width, height in model pixels.
OUTPUT_LAYOUT = "yolo-v8"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What serving applies.

    Attributes:
        score: boxes below it are not returned, 0..1.
        nms_iou: of two boxes that overlap more than this the weaker goes, 0..1.
        max_boxes: most boxes returned for one picture.
    """

    score: float = 0.25
    nms_iou: float = 0.7
    max_boxes: int = 300


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What `model.json` says; see DESIGN's contract `model/`.

    Attributes:
        preprocessing: the model's own rules for its input.
        thresholds: what serving applies.
        dataset_digest: of the labels it learned from.
        split_digest: of the assignment it was trained under.
        weights_origin: `scratch`, or address and digest of the weights it started from.
        training: every setting of the training.
        metrics: numbers that training itself reports, by name.
        code_version: version of this software.
        image: reference of the container image, empty on one machine.
        classes: in the order of the model's outputs.
        output_layout: how the output tensor is read.
        licence: what is known of the weights' licence.
        files: SHA-256 of every other file of the artifact, by relative path; filled on writing.
    """

    preprocessing: PreprocessingSpec
    thresholds: Thresholds
    dataset_digest: str
    split_digest: str
    weights_origin: str
    training: dict[str, Any]
    metrics: dict[str, float] = field(default_factory=dict)
    code_version: str = ""
    image: str = ""
    classes: tuple[str, ...] = CLASSES
    output_layout: str = OUTPUT_LAYOUT
    licence: str = ""
    files: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 over the whole description, file digests included: the identity of the model."""
        return sha256_hex(canonical_json(_to_json(self)))


def write_model_info(folder: Path, info: ModelInfo) -> ModelInfo:
    """Record the digests of the files that lie in `folder` and write `model.json` last; returns the completed info."""
    files = {str(path.relative_to(folder)): sha256_of_file(path) for path in _artifact_files(folder)}
    if ONNX_FILE not in files:
        raise ContractError(f"{folder} has no {ONNX_FILE}: export the model before describing it")
    completed = _from_json({**_to_json(info), "files": files})
    try:
        write_json(folder / MODEL_FILE, _to_json(completed))
    except ValueError:
        raise ContractError(
            f"the metrics of {folder} are not all finite numbers ({info.metrics}): leave out the others"
        ) from None
    return completed


def read_model_info(folder: Path) -> ModelInfo:
    """Read and verify a model folder: schema, layout, and the digest of every file it names.

    Raises:
        ContractError: `model.json` is missing, damaged, or of a version or layout that this code does not know.
        DigestError: a file is not the one that was described.
    """
    value = read_json(folder / MODEL_FILE, schema=MODEL_SCHEMA)
    try:
        info = _from_json(value)
        _refuse_odd_files(info.files)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ContractError(f"{folder / MODEL_FILE} is not understood ({error}): export the model again") from None
    if info.output_layout != OUTPUT_LAYOUT:
        raise ContractError(
            f"{folder / MODEL_FILE} has output layout {info.output_layout!r}, not {OUTPUT_LAYOUT!r}: use a newer belisha"
        )
    for name, expected in info.files.items():
        _verify(folder / name, expected)
    return info


def _refuse_odd_files(files: object) -> None:
    if not isinstance(files, dict) or ONNX_FILE not in files:
        raise ValueError(f"it does not name {ONNX_FILE}")
    for name in files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ValueError(f"it names {name!r}, outside the folder")


def _verify(path: Path, expected: str) -> None:
    if not path.is_file():
        raise ContractError(f"{path} is missing from the model: fetch or release the model again")
    found = sha256_of_file(path)
    if found != expected:
        raise DigestError(f"{path} has digest {found} instead of {expected}: fetch or release the model again")


def _artifact_files(folder: Path) -> list[Path]:
    """Every visible file but the description; names that begin with a dot are what killed writers leave."""
    visible = (path for path in folder.rglob("*") if not any(n.startswith(".") for n in path.relative_to(folder).parts))
    return sorted(path for path in visible if path.is_file() and path.name != MODEL_FILE)


def _to_json(info: ModelInfo) -> dict[str, Any]:
    return {"schema": MODEL_SCHEMA, **asdict(info), "classes": list(info.classes)}


def _from_json(value: dict[str, Any]) -> ModelInfo:
    fields = {key: item for key, item in value.items() if key != "schema"}
    fields["preprocessing"] = PreprocessingSpec.from_json(fields["preprocessing"])
    fields["thresholds"] = Thresholds(**fields["thresholds"])
    fields["classes"] = tuple(fields["classes"])
    return ModelInfo(**fields)
