"""Where a local run keeps its things, and how its steps' outputs are found."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from belisha.components.shared.errors import ContractError


@dataclass(frozen=True, slots=True)
class RunFolder:
    """`<workdir>/runs/<run id>/`."""

    root: Path

    @property
    def arguments_file(self) -> Path:
        """The pipeline's arguments."""
        return self.root / "arguments.json"

    @property
    def log_file(self) -> Path:
        """Everything that KFP and the steps print."""
        return self.root / "pipeline.log"

    @property
    def events_file(self) -> Path:
        """Progress events, one JSON line each."""
        return self.root / "events.jsonl"

    @property
    def steps_root(self) -> Path:
        """What KFP calls the pipeline root."""
        return self.root / "steps"

    def output(self, task: str, name: str) -> Path:
        """The file or folder that a task wrote as its output `name`.

        Raises:
            ContractError: the task has not run, or wrote no such output.
        """
        found = [path for path in self.steps_root.glob(f"*/{task}/{name}") if path.exists()]
        if len(found) != 1:
            raise ContractError(f"{self.root} has no output {name!r} of step {task!r}: look into {self.log_file}")
        return found[0]

    def metadata(self, task: str, name: str) -> dict[str, Any]:
        """What a task recorded about its output `name`; raises ContractError as `output`."""
        value = json.loads(self.output(task, "executor_output.json").read_bytes())
        return dict(value["artifacts"][name]["artifacts"][0]["metadata"])

    def returned(self, task: str) -> Any:
        """The value that a task returned.

        Raises:
            ContractError: the task has not run, or returned nothing.
        """
        value = json.loads(self.output(task, "executor_output.json").read_bytes())
        try:
            return value["parameterValues"]["Output"]
        except KeyError:
            raise ContractError(f"step {task!r} of {self.root} returned nothing: look into {self.log_file}") from None
