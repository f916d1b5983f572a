"""Keeps ultralytics quiet, offline and out of the user's home folder. Call `prepare` before anything imports it."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

# Read by ultralytics when it is imported; workers of several GPUs inherit them.
_SWITCHES = {
    "YOLO_OFFLINE": "1",  # no DNS probes, no analytics, no crash reports; downloads fail at once
    "YOLO_AUTOINSTALL": "0",  # never installs packages at run time
    "YOLO_VERBOSE": "0",
    "ULTRALYTICS_SAFE_LOAD": "1",  # checkpoints are pickles: load known classes only
    "ULTRALYTICS_SKIP_REQUIREMENTS_CHECKS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin while they wait ruin a machine that is shared
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # CUDA reads it when it starts
}
_INTEGRATIONS = ("sync", "mlflow", "clearml", "comet", "dvc", "raytune", "neptune", "tensorboard", "wandb", "hub")


def prepare() -> None:
    """Set every switch, turn ultralytics' integrations off and its patch of Pillow back; harmless to call again."""
    os.environ.update(_SWITCHES)
    if "YOLO_CONFIG_DIR" not in os.environ:
        os.environ["YOLO_CONFIG_DIR"] = str(_config_folder())
    _turn_integrations_off()
    _give_pillow_back()


def _config_folder() -> Path:
    """A folder of this process: ultralytics writes settings there and asks the network for a font that is not there."""
    import matplotlib

    folder = Path(tempfile.mkdtemp(prefix="belisha-ultralytics-"))
    owner = os.getpid()
    atexit.register(lambda: shutil.rmtree(folder, ignore_errors=True) if os.getpid() == owner else None)
    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    (folder / "Ultralytics").mkdir()
    for place in (folder, folder / "Ultralytics"):
        shutil.copyfile(font, place / "Arial.ttf")
    return folder


def _turn_integrations_off() -> None:
    from ultralytics import settings

    wanted = {name: False for name in _INTEGRATIONS if settings.get(name)}
    if wanted:
        settings.update(wanted)


def _give_pillow_back() -> None:
    """Ultralytics puts an `open` of its own into Pillow, which wants to install packages when a file is no picture."""
    from PIL import Image
    from ultralytics.utils import patches

    Image.open = patches._image_open


def loaded_early() -> bool:
    """Whether something imported ultralytics before `prepare` could set its switches."""
    return "ultralytics" in sys.modules and os.environ.get("YOLO_OFFLINE") != "1"
