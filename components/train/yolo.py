"""The one door to ultralytics: kept quiet and offline before it is imported, and its patch of Pillow taken back after."""

from __future__ import annotations

from belisha.components.train import environment

environment.prepare()

from ultralytics import YOLO, __version__  # noqa: E402
from ultralytics.cfg import get_cfg  # noqa: E402
from ultralytics.data.build import InfiniteDataLoader  # noqa: E402
from ultralytics.data.dataset import YOLODataset  # noqa: E402
from ultralytics.models.yolo.detect import DetectionTrainer  # noqa: E402
from ultralytics.nn.modules import Detect  # noqa: E402
from ultralytics.nn.tasks import DetectionModel, load_checkpoint  # noqa: E402
from ultralytics.utils import DEFAULT_CFG, LOCAL_RANK, RANK  # noqa: E402
from ultralytics.utils.metrics import box_iou  # noqa: E402
from ultralytics.utils.nms import non_max_suppression  # noqa: E402
from ultralytics.utils.torch_utils import unwrap_model  # noqa: E402

__all__ = [
    "DEFAULT_CFG", "LOCAL_RANK", "RANK", "YOLO", "Detect", "DetectionModel", "DetectionTrainer", "InfiniteDataLoader",
    "YOLODataset", "__version__", "box_iou", "get_cfg", "load_checkpoint", "non_max_suppression", "unwrap_model",
]  # fmt: skip
