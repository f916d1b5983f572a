"""The process that executes the compiled pipeline through `kfp.local`: one process a run, as kfp.local needs it.

Started by `local_run` as `python -m belisha.pipelines.local_child RUN_DIR`, in a process group of its own.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

from belisha.pipelines.compiling import compiled_path
from belisha.pipelines.run_folder import RunFolder


def main(run_dir: str) -> None:
    """Execute the pipeline with the arguments that lie in the run's folder."""
    folder = RunFolder(Path(run_dir))
    arguments = json.loads(folder.arguments_file.read_bytes())
    # A step's leftovers from a killed attempt must not mix with this one's outputs.
    shutil.rmtree(folder.steps_root, ignore_errors=True)
    warnings.filterwarnings("ignore", message="You may be attemping")
    from kfp import components, local

    # kfp.local deletes its workspace after every run: it gets an empty one of its own, never a folder that matters.
    with tempfile.TemporaryDirectory(prefix="belisha-kfp-") as workspace:
        local.init(
            local.SubprocessRunner(use_venv=False),
            pipeline_root=str(folder.steps_root),
            workspace_root=workspace,
            raise_on_error=True,
        )
        components.load_component_from_file(str(compiled_path()))(**arguments)


if __name__ == "__main__":
    main(sys.argv[1])
