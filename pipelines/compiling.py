"""Writing the training pipeline as the YAML that KFP takes."""

from __future__ import annotations

import tempfile
import warnings
from importlib.resources import files
from pathlib import Path

from belisha.components.shared.files import write_bytes_atomic

COMPILED_FILE = "training.yaml"


def compiled_path() -> Path:
    """The committed pipeline inside the installed package."""
    return Path(str(files("belisha.pipelines.compiled"))) / COMPILED_FILE


def compile_training(path: Path) -> None:
    """Compile the training pipeline to `path`; the images are those of `container_images` at this moment."""
    # KFP warns of every image whose name does not contain "python".
    warnings.filterwarnings("ignore", message="You may be attemping")
    from kfp import compiler

    from belisha.pipelines.training import training_pipeline

    with tempfile.TemporaryDirectory() as folder:
        aside = Path(folder) / COMPILED_FILE
        compiler.Compiler().compile(training_pipeline, str(aside))
        write_bytes_atomic(path, aside.read_bytes())
