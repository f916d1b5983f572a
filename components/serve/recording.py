"""Joins what is kept of every answer: metrics, the request log, and pictures for review."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from belisha.components.serve.answer import Answer
from belisha.components.serve.metrics import Identity, Load, Outcome, PredictorMetrics, Stage
from belisha.components.serve.process_resources import ProcessResources
from belisha.components.serve.request_log_writer import LogSettings, RequestLogWriter
from belisha.components.serve.sampling import PictureSampler, SamplingSettings
from belisha.components.shared.errors import InputError
from belisha.components.shared.files import sha256_hex
from belisha.components.shared.golden import GoldenMismatchError
from belisha.components.shared.metrics_server import DEFAULT_METRICS_PORT, metrics_address, serve_metrics
from belisha.components.shared.picture_statistics import PictureStatistics, statistics_of
from belisha.components.shared.process_metrics import temporary_metrics_folder
from belisha.components.shared.request_log import PredictionRow
from belisha.components.shared.storage import open_store, scheme_of

METRICS_FOLDER = "BELISHA_METRICS_FOLDER"
LOG_SECONDS = "BELISHA_LOG_SECONDS"
UNIFORM_RATIO, PAIRED_RATIO = "BELISHA_REVIEW_UNIFORM_RATIO", "BELISHA_REVIEW_PAIRED_RATIO"


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """What is kept, and where.

    Attributes:
        identity: labels of the metrics.
        storage_uri: of log and pictures; empty keeps metrics alone.
        metrics_folder: where the processes of this predictor count together; None makes a temporary one.
        metrics_address: host and port of the metrics server.
        log: of the request log.
        sampling: of the pictures for review.
    """

    identity: Identity
    storage_uri: str = ""
    metrics_folder: Path | None = None
    metrics_address: tuple[str, int] = ("127.0.0.1", DEFAULT_METRICS_PORT)
    log: LogSettings = field(default_factory=LogSettings)
    sampling: SamplingSettings = field(default_factory=SamplingSettings)


def settings_from_environment(
    model_version: str, storage_uri: str = "", environment: Mapping[str, str] = os.environ
) -> RecordSettings:
    """Settings as Seldon's environment says them.

    Args:
        model_version: that serves.
        storage_uri: of log and pictures.
        environment: PREDICTOR_ID, SELDON_DEPLOYMENT_ID, GUNICORN_WORKERS, GRPC_WORKERS; and of ours BELISHA_METRICS_PORT,
            BELISHA_METRICS_FOLDER, BELISHA_LISTEN_HOST, BELISHA_LOG_SECONDS,
            BELISHA_REVIEW_UNIFORM_RATIO, BELISHA_REVIEW_PAIRED_RATIO.

    Raises:
        InputError: a number is none.
    """
    folder = environment.get(METRICS_FOLDER, "")
    writers = _number(environment, "GUNICORN_WORKERS", 1) + _number(environment, "GRPC_WORKERS", 0)
    return RecordSettings(
        identity=Identity(
            model_version=model_version,
            predictor_name=environment.get("PREDICTOR_ID") or model_version,
            deployment_name=environment.get("SELDON_DEPLOYMENT_ID") or "belisha",
        ),
        storage_uri=storage_uri,
        metrics_folder=Path(folder) if folder else None,
        metrics_address=metrics_address(environment),
        log=LogSettings(shard_seconds=_number(environment, LOG_SECONDS, 60)),
        sampling=_sampling(environment, max(1, writers)),
    )


def _sampling(environment: Mapping[str, str], writers: int) -> SamplingSettings:
    usual = SamplingSettings()
    return SamplingSettings(
        uniform_ratio=_ratio(environment, UNIFORM_RATIO, usual.uniform_ratio),
        paired_ratio=_ratio(environment, PAIRED_RATIO, usual.paired_ratio),
        writers=writers,
    )


def _ratio(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise InputError(f"{name} is {text!r}, expected a number from 0 to 1: correct the environment")
    return value


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal():
        raise InputError(f"{name} is {text!r}, expected a whole number: correct the environment")
    return int(text)


class Recorder:
    """An observer of a predictor. Make it in the process that forks the workers: they count into one folder.

    Raises:
        InputError: the storage URI is not understood.
    """

    def __init__(self, settings: RecordSettings) -> None:
        self._settings = settings
        self._temporary = settings.metrics_folder is None
        self._folder = settings.metrics_folder or temporary_metrics_folder()
        self.metrics = PredictorMetrics(settings.identity, folder=self._folder)
        self._log: RequestLogWriter | None = None
        self._sampler: PictureSampler | None = None
        if settings.storage_uri:
            # Opened by the first worker that writes: obstore must not have been used before the fork.
            scheme_of(settings.storage_uri)
            self._log = RequestLogWriter(partial(open_store, settings.storage_uri), settings.log, meter=self.metrics)
            self._sampler = PictureSampler(settings.storage_uri, settings.sampling, meter=self.metrics)

    def answered(self, answer: Answer) -> None:
        """A picture got its boxes; called after the answer has gone."""
        statistics = statistics_of(answer.analysis)
        scores = tuple(answer.detections.scores.tolist())
        stages = {
            Stage.DECODE.value: answer.decode_seconds,
            Stage.INFERENCE.value: answer.inference_seconds,
            Stage.TOTAL.value: answer.latency_seconds,
        }
        self.metrics.observe(Outcome.OK, stages, len(scores), scores, statistics, shadow=answer.facts.shadow)
        if self._log is not None and self._sampler is not None:
            row = row_of(answer, scores, statistics)
            uri = self._sampler.offer(row, answer.picture)
            self._log.offer(replace(row, picture_uri=uri) if uri else row)

    def refused(self, outcome: str, seconds: float = 0.0, *, shadow: bool = False) -> None:  # noqa: ARG002 - says nothing
        """A request got no boxes."""
        self.metrics.observe(outcome, shadow=shadow)

    def refused_to_load(self, error: Exception) -> None:
        """This process cannot serve the model."""
        self.metrics.load(Load.GOLDEN_MISMATCH if isinstance(error, GoldenMismatchError) else Load.FAILED)

    def close(self) -> None:
        """Write what is still held, within the bounds of the settings."""
        if self._sampler is not None:
            self._sampler.close()
        if self._log is not None:
            self._log.close()

    def serve_metrics(self) -> None:
        """Answer scrapes until the parent process is gone: Seldon's `custom_service`, a process of its own."""
        host, port = self._settings.metrics_address
        counted, used = self.metrics.page(), ProcessResources(self._settings.identity)

        def page() -> bytes:
            return counted.exposition() + used.exposition()

        serve_metrics(page, host, port, self._folder if self._temporary else None)


def row_of(answer: Answer, scores: tuple[float, ...], statistics: PictureStatistics) -> PredictionRow:
    """An answer as a row of the request log, its picture not kept."""
    height_px, width_px = answer.image_rgb.shape[:2]
    facts = answer.facts
    return PredictionRow(
        time=answer.time,
        request_id=facts.request_id,
        model_version=answer.model_version,
        role=answer.role,
        camera=facts.camera,
        client=facts.client,
        shadow=facts.shadow,
        drawn=facts.drawn,
        latency_seconds=answer.latency_seconds,
        picture_id=sha256_hex(answer.picture),
        picture_uri="",
        width_px=width_px,
        height_px=height_px,
        statistics=statistics,
        scores=scores,
        boxes_xywh_px=tuple(answer.detections.boxes_xywh_px.ravel().tolist()),
        embedding=tuple(answer.embedding.tolist()),
    )
