"""Training with ultralytics, and the export that everything else runs on.

This folder is licensed AGPL-3.0 (see LICENSE and README.md here) because it imports ultralytics; nothing outside it does.
"""

from belisha.components.train.settings import TrainSettings

__all__ = ["TrainSettings"]
