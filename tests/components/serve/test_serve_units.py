"""Choosing a runtime, reading requests, and telling observers, without a server."""

from __future__ import annotations

import base64
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from belisha.components.serve.answer import Answer
from belisha.components.serve.observing import Observers
from belisha.components.serve.payload import RequestFacts, checked_facts, facts_of_headers, picture_of_body
from belisha.components.serve.recording import row_of
from belisha.components.serve.refusals import RefusalError
from belisha.components.serve.runtime_choice import choose_runtime, preferred
from belisha.components.serve.service import PictureService, ServiceSettings
from belisha.components.shared.detections import no_detections
from belisha.components.shared.errors import InputError
from belisha.components.shared.picture_statistics import analysis_copy, picture_statistics
from belisha.components.shared.request_log import table_of
from belisha.components.shared.runtimes import open_runtime
from tests.components.serve.conftest import bright_cell, png, write_served_model


@given(st.binary(min_size=1, max_size=400), st.integers(1, 40))
def test_base64_in_lines_of_any_length_is_read_back(data: bytes, width: int) -> None:
    text = base64.b64encode(data).decode()
    lines = "\r\n".join(text[begin : begin + width] for begin in range(0, len(text), width))
    assert picture_of_body(json.dumps({"binData": lines}).encode()) == data
    assert picture_of_body(json.dumps({"jsonData": {"image": lines}}).encode()) == data


@given(st.binary(max_size=300))
def test_any_body_is_a_picture_or_refused(body: bytes) -> None:
    try:
        assert isinstance(picture_of_body(body), bytes)
    except RefusalError as refusal:
        assert refusal.status == 400


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_any_value_in_a_message_is_refused_or_base64(value: object) -> None:
    try:
        found = picture_of_body(json.dumps({"binData": value}).encode())
    except RefusalError as refusal:
        assert refusal.status == 400
    else:
        assert base64.b64encode(found).decode() == "".join(str(value).split())


@given(
    st.dictionaries(
        st.sampled_from(["X-Request-ID", "X-Belisha-Camera", "X-Belisha-Role", "X-Belisha-Drawn"]), st.text()
    )
)
def test_any_headers_are_read_or_refused(headers: dict[str, str]) -> None:
    try:
        facts = facts_of_headers(headers)
    except RefusalError as refusal:
        assert refusal.status == 400
    else:
        assert facts.request_id
        assert facts.camera == headers.get("X-Belisha-Camera", "")


def test_headers_mean_what_they_say() -> None:
    headers = {"Seldon-Puid": "p1", "X-Belisha-Client": "shop", "X-Belisha-Shadow": "1", "X-Belisha-Drawn": "0"}
    assert facts_of_headers(headers) == RequestFacts("p1", client="shop", shadow=True, drawn=False)


SPEEDS = {
    "clearly faster": ({"onnxruntime": 1.0, "openvino": 0.8}, "openvino"),
    "hardly faster": ({"onnxruntime": 1.0, "openvino": 0.95}, "onnxruntime"),
    "slower": ({"onnxruntime": 1.0, "openvino": 2.0}, "onnxruntime"),
    "the only one": ({"openvino": 2.0}, "openvino"),
}


@pytest.mark.parametrize("case", SPEEDS)
def test_another_runtime_must_be_worth_it(case: str) -> None:
    seconds, expected = SPEEDS[case]
    assert preferred(seconds) == expected


def test_where_openvino_is_missing_auto_serves_by_onnx_runtime(
    served_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    choice = choose_runtime(served_model, "auto", threads=1, concurrency=1)
    assert choice.detector.runtime.name == "onnxruntime"
    assert "not installed" in choice.refused["openvino"]
    assert "openvino is out" in choice.sentence


def test_unknown_runtime_is_refused(served_model: Path) -> None:
    with pytest.raises(InputError, match="choose one of"):
        choose_runtime(served_model, "abacus", threads=1, concurrency=1)
    with pytest.raises(InputError, match="choose onnxruntime"):
        open_runtime("abacus", served_model / "model.onnx")


def test_a_fault_of_the_runtime_is_a_500_without_its_words(served_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = PictureService(ServiceSettings(served_model, "v1", runtime="onnxruntime"))
    service.load()
    monkeypatch.setattr(service.choice.detector, "detect_and_embed", lambda _: 1 / 0)
    with pytest.raises(RefusalError) as refusal:
        service.answer(png(bright_cell()), checked_facts(), 0.0)
    assert refusal.value.status == 500
    assert "division" not in str(refusal.value)


def test_the_models_embedding_reaches_the_log(tmp_path: Path) -> None:
    write_served_model(tmp_path / "model", embedding=True)
    service = PictureService(ServiceSettings(tmp_path / "model", "v1", runtime="onnxruntime"))
    service.load()
    answer = service.answer(png(bright_cell(2, 1)), checked_facts(), 0.0)
    logged = row_of(answer, tuple(answer.detections.scores.tolist()), picture_statistics(answer.image_rgb)).embedding
    assert [round(value, 3) for value in logged] == [0.0] * 8 + [1.0] + [0.0] * 9
    assert table_of([row_of(answer, (), picture_statistics(answer.image_rgb))])["embedding"][0].as_py()[8] == 1.0


def test_refusals_do_not_use_up_places(served_model: Path) -> None:
    service = PictureService(ServiceSettings(served_model, "v1", runtime="onnxruntime", concurrency=1))
    service.load()
    for _ in range(5):
        with pytest.raises(RefusalError):
            service.answer(b"garbage", checked_facts(), 0.0)
    assert len(service.answer(png(bright_cell()), checked_facts(), 0.0).detections) == 1


class Failing:
    def answered(self, answer: Answer) -> None:
        raise OSError("disk")

    def refused(self, outcome: str, *, shadow: bool) -> None:
        raise ValueError(outcome)

    def close(self) -> None:
        raise RuntimeError


class Listening:
    def __init__(self) -> None:
        self.heard: list[str] = []

    def answered(self, answer: Answer) -> None:
        self.heard.append(answer.facts.request_id)

    def refused(self, outcome: str, *, shadow: bool) -> None:
        self.heard.append(outcome)

    def close(self) -> None:
        self.heard.append("closed")


def test_an_observer_that_fails_harms_nobody() -> None:
    listening = Listening()
    observers = Observers((Failing(), listening))
    black = np.zeros((4, 4, 3), np.uint8)
    moment = datetime.now(UTC)
    observers.answered(
        Answer(RequestFacts("r1"), "v1", "champion", b"", black, analysis_copy(black), no_detections(), moment, 0, 0, 0)
    )
    observers.refused("error", shadow=True)
    observers.close()
    assert listening.heard == ["r1", "error", "closed"]
