"""Feature rows and references: the same numbers whoever makes them, whole or refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belisha.components.shared.drift_features import (
    FEATURE_NAMES,
    features_of,
    first_of_each_stretch,
    joined,
    no_rows,
    thin_log,
    thin_rows,
)
from belisha.components.shared.drift_reference import (
    Reference,
    Source,
    decode_reference,
    encode_reference,
    freeze,
    newest_frozen,
)
from belisha.components.shared.errors import ContractError
from belisha.components.shared.picture_statistics import STATISTIC_NAMES, PictureStatistics
from belisha.components.shared.request_log import PredictionRow, table_of
from belisha.components.shared.storage import open_store

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def prediction(seconds: float = 0.0, **changes: object) -> PredictionRow:
    row = PredictionRow(
        time=NOON + timedelta(seconds=seconds),
        request_id="r",
        model_version="v1",
        role="champion",
        camera="north",
        client="",
        shadow=False,
        drawn=False,
        latency_seconds=0.01,
        picture_id="a" * 64,
        picture_uri="",
        width_px=640,
        height_px=400,
        statistics=PictureStatistics(*(0.5 for _ in STATISTIC_NAMES)),
        scores=(0.9, 0.5, 0.3),
        boxes_xywh_px=(0, 0, 10, 100, 0, 0, 10, 40, 0, 0, 10, 60),
        embedding=(1.0, 2.0),
    )
    return replace(row, **changes)


def feature(rows, name: str) -> list[float]:
    return rows.values[:, FEATURE_NAMES.index(name)].tolist()


def test_predictions_become_numbers() -> None:
    rows = features_of(table_of([prediction(), prediction(1, scores=(), boxes_xywh_px=()), prediction(2)]))
    assert feature(rows, "boxes") == [3, 0, 3]
    assert feature(rows, "max_score") == pytest.approx([0.9, 0, 0.9])
    assert feature(rows, "mean_score") == pytest.approx([1.7 / 3, 0, 1.7 / 3])
    assert feature(rows, "box_height_ratio") == pytest.approx([0.15, 0, 0.15])
    assert feature(rows, "uncertain_ratio") == pytest.approx([2 / 3, 0, 2 / 3])
    assert rows.embeddings.tolist() == [[1, 2]] * 3


def test_a_slice_of_a_log_gives_the_rows_of_that_slice() -> None:
    table = table_of([prediction(number, scores=(number / 10,), boxes_xywh_px=(0, 0, 1, 8)) for number in range(9)])
    whole, part = features_of(table), features_of(table.slice(3, 4))
    assert part.values.tolist() == whole.values[3:7].tolist()
    assert features_of(pa.concat_tables([table.slice(0, 3), table.slice(3)])).values.tolist() == whole.values.tolist()


def test_damaged_numbers_leave_their_row_out() -> None:
    broken = PictureStatistics(*(float("nan") for _ in STATISTIC_NAMES))
    rows = features_of(table_of([prediction(), prediction(1, statistics=broken)]))
    assert len(rows) == 1


def test_embeddings_of_several_lengths_are_left_out() -> None:
    assert features_of(table_of([prediction(), prediction(1, embedding=())])).embeddings.shape == (2, 0)
    one, other = (features_of(table_of([prediction(embedding=one)])) for one in ((1.0,), (1.0, 2.0)))
    assert joined([one, other]).embeddings.shape == (2, 0)


def test_nothing_gives_nothing() -> None:
    assert len(features_of(table_of([]))) == len(no_rows()) == len(joined([])) == len(thin_rows(no_rows(), 30)) == 0


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 500), st.sampled_from("ab")), min_size=1, max_size=60),
    st.integers(1, 90),
    st.integers(0, 60),
)
def test_a_log_thins_alike_in_whole_and_in_parts(rows: list[tuple[int, str]], gap: int, cut: int) -> None:
    log = table_of([prediction(seconds, camera=camera) for seconds, camera in sorted(rows)])
    whole = features_of(thin_log(log, gap))
    parts = [features_of(thin_log(part, gap)) for part in (log.slice(0, cut), log.slice(cut))]
    together = thin_rows(joined(parts), gap)
    assert sorted(zip(together.time_us, together.camera, strict=True)) == sorted(
        zip(whole.time_us, whole.camera, strict=True)
    )
    stretches = {(camera, time // (gap * 1_000_000)) for time, camera in zip(whole.time_us, whole.camera, strict=True)}
    assert len(stretches) == len(whole)


def test_the_first_of_a_stretch_is_kept() -> None:
    times = np.array([5, 1, 12, 11, 25]) * 1_000_000
    assert first_of_each_stretch(times, np.zeros(5, np.int64), 10).tolist() == [1, 3, 4]


def some_reference() -> Reference:
    return Reference(Source.LOG, 2.5, features_of(table_of([prediction(number) for number in range(5)])))


def test_a_reference_survives_its_file() -> None:
    reference = some_reference()
    data = encode_reference(reference)
    found = decode_reference(data, "here")
    assert data == encode_reference(found)
    assert (found.source, found.gap_seconds) == (Source.LOG, 2.5)
    assert np.allclose(found.rows.values, reference.rows.values)
    assert found.rows.embeddings.tolist() == reference.rows.embeddings.tolist()
    assert found.rows.camera.tolist() == ["north"] * 5


def test_references_without_embeddings_or_rows_survive_too() -> None:
    plain = features_of(table_of([prediction(embedding=())]))
    assert decode_reference(encode_reference(Reference(Source.TRAINING, 0, plain)), "").rows.embeddings.shape == (1, 0)
    assert len(decode_reference(encode_reference(Reference(Source.TRAINING, 0, no_rows())), "").rows) == 0


@pytest.mark.parametrize("spoil", ["cut", "garbage", "other schema", "no metadata", "nan"])
def test_a_damaged_reference_is_refused_by_its_place(spoil: str) -> None:
    import io

    import pyarrow.parquet as pq

    data = encode_reference(some_reference())
    table = pq.read_table(pa.BufferReader(data))
    buffer = io.BytesIO()
    if spoil == "cut":
        buffer.write(data[:-20])
    elif spoil == "garbage":
        buffer.write(b"hello")
    elif spoil == "other schema":
        metadata = {b"belisha": table.schema.metadata[b"belisha"].replace(b"reference/1", b"reference/9")}
        pq.write_table(table.replace_schema_metadata(metadata), buffer)
    elif spoil == "no metadata":
        pq.write_table(table.replace_schema_metadata(None), buffer)
    else:
        place = table.column_names.index("noise")
        pq.write_table(table.set_column(place, "noise", pa.array([float("nan")] * 5, pa.float32())), buffer)
    with pytest.raises(ContractError, match=r"^over there is no"):
        decode_reference(buffer.getvalue(), "over there")


def test_the_newest_frozen_reference_counts(tmp_path) -> None:
    store = open_store(str(tmp_path))
    assert newest_frozen(store, "v1") is None
    freeze(store, "v1", some_reference(), NOON)
    _, digest = freeze(store, "v1", replace(some_reference(), gap_seconds=9.0), NOON + timedelta(days=1))
    freeze(store, "v10", some_reference(), NOON + timedelta(days=2))
    found = newest_frozen(store, "v1")
    assert found is not None
    assert (found.gap_seconds, found.digest) == (9.0, digest)
