"""Everything a training process must know, as one file: the process may be another one, on several GPUs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from belisha.components.shared.files import read_json, write_json
from belisha.components.train.settings import TrainSettings

JOB_SCHEMA = "belisha.train-job/1"
JOB_FILE = "job.json"


@dataclass(frozen=True, slots=True)
class Job:
    """One training, ready to start.

    Attributes:
        scratch: local folder for what need not outlive the training.
        settings: resolved settings.
        weights_path: local checkpoint to start from; empty from scratch.
        checkpoint_uri: store folder of this training's state.
        key: digest of all that decides the result.
    """

    scratch: Path
    settings: TrainSettings
    weights_path: str
    checkpoint_uri: str
    key: str

    @property
    def path(self) -> Path:
        """Where the job is written."""
        return self.scratch / JOB_FILE

    @property
    def train_index(self) -> Path:
        """Pictures and boxes to learn from."""
        return self.scratch / "train.json"

    @property
    def val_index(self) -> Path:
        """Pictures and boxes to validate on."""
        return self.scratch / "val.json"

    @property
    def error_file(self) -> Path:
        """Where a training process on another GPU leaves its sentence."""
        return self.scratch / "error.txt"

    @property
    def overfit_file(self) -> Path:
        """What the check before training found."""
        return self.scratch / "overfit.json"

    def write(self) -> None:
        """Write the job for other processes."""
        value: dict[str, Any] = {
            **asdict(self),
            "schema": JOB_SCHEMA,
            "scratch": str(self.scratch),
            "settings": self.settings.to_json(),
        }
        write_json(self.path, value)

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read a job; raises ContractError."""
        value = read_json(path, schema=JOB_SCHEMA)
        value.pop("schema")
        value["scratch"] = Path(value["scratch"])
        value["settings"] = TrainSettings(**value["settings"])
        return cls(**value)
