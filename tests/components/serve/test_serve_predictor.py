"""One predictor over HTTP: forms of a request, answers, errors, readiness, the end."""

from __future__ import annotations

import base64
import concurrent.futures
import io
import json
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from PIL import Image

from belisha.components.shared.images import decode_rgb
from belisha.components.shared.model_artifact import (
    read_model_info,
)
from tests.components.serve.conftest import BOX, PICTURE, bright_cell, png
from tests.components.serve.serving import PREDICT, Predictor, read_reply


def encoded(kind: str, image: Image.Image, **settings: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def multipart(field: str, data: bytes) -> tuple[bytes, dict[str, str]]:
    head = f'--edge\r\nContent-Disposition: form-data; name="{field}"; filename="a.png"\r\n\r\n'.encode()
    return head + data + b"\r\n--edge--\r\n", {"Content-Type": "multipart/form-data; boundary=edge"}


JSON = {"Content-Type": "application/json"}
BASE64 = base64.b64encode(PICTURE).decode()
LINES = base64.encodebytes(PICTURE).decode()
BODIES = {
    "raw": (PICTURE, {"Content-Type": "image/png"}),
    "raw without a type": (PICTURE, {"Content-Type": ""}),
    "raw as curl labels it": (PICTURE, {"Content-Type": "application/x-www-form-urlencoded"}),
    "raw under a wrong type": (PICTURE, {"Content-Type": "image/jpeg"}),
    "raw labelled JSON": (PICTURE, JSON),
    "binData": (json.dumps({"binData": BASE64}).encode(), JSON),
    "binData in lines, other keys": (json.dumps({"meta": {}, "binData": LINES}).encode(), JSON),
    "JSON without a type": (json.dumps({"binData": BASE64}).encode(), {"Content-Type": "text/plain"}),
    "jsonData": (json.dumps({"jsonData": {"image": BASE64, "note": 1}}).encode(), JSON),
    "form": multipart("binData", PICTURE),
}


@pytest.mark.parametrize("case", BODIES)
def test_every_form_of_a_request_gets_the_same_boxes(tiny_predictor: Predictor, case: str) -> None:
    body, headers = BODIES[case]
    reply = tiny_predictor.post(body, headers=headers)
    assert reply.status == 200, reply.body
    assert reply.json["boxes"] == [BOX]


@pytest.mark.parametrize("path", [PREDICT, "/api/v0.1/predictions", "/predict"])
def test_the_wrappers_paths_answer(tiny_predictor: Predictor, path: str) -> None:
    assert tiny_predictor.post(PICTURE, path).json["boxes"] == [BOX]


def test_body_of_unstated_length(tiny_predictor: Predictor) -> None:
    connection = tiny_predictor.connect()
    connection.request("POST", PREDICT, iter([PICTURE[:50], PICTURE[50:]]), encode_chunked=True)
    assert read_reply(connection).json["boxes"] == [BOX]


def test_answer_says_who_answered(tiny_predictor: Predictor) -> None:
    sent = {
        "X-Request-ID": "door-7:1",
        "X-Belisha-Role": "challenger",
        "X-Belisha-Camera": "door-7",
        "X-Belisha-Shadow": "1",
    }
    reply = tiny_predictor.post(PICTURE, headers=sent)
    answer = reply.json
    assert {name: answer[name] for name in ("request_id", "model_version", "role", "width_px", "height_px")} == {
        "request_id": "door-7:1",
        "model_version": "tiny-1",
        "role": "challenger",
        "width_px": 96,
        "height_px": 96,
    }
    assert 0 < answer["latency_seconds"] < 60
    assert reply.headers["Content-Type"] == "application/json"
    assert [reply.headers[name] for name in ("X-Request-ID", "X-Belisha-Model-Version", "X-Belisha-Role")] == [
        *("door-7:1", "tiny-1", "challenger")
    ]


def test_a_request_without_an_id_gets_one_of_its_own(tiny_predictor: Predictor) -> None:
    ids = {tiny_predictor.post(PICTURE).json["request_id"] for _ in range(3)}
    assert len(ids) == 3


def grey16() -> Image.Image:
    return Image.fromarray(bright_cell()[:, :, 0].astype(np.uint16) * 257)


RGB = Image.fromarray(bright_cell())
ROTATED = Image.Exif()
ROTATED[0x0112] = 6
KINDS = {
    "png": encoded("PNG", RGB),
    "webp": encoded("WEBP", RGB, lossless=True),
    "bmp": encoded("BMP", RGB),
    "jpeg": encoded("JPEG", RGB, quality=100, subsampling=0),
    "grey jpeg": encoded("JPEG", RGB.convert("L"), quality=100),
    "cmyk jpeg": encoded("JPEG", RGB.convert("CMYK"), quality=100),
    "progressive jpeg": encoded("JPEG", RGB, quality=100, progressive=True),
    "turned by EXIF": encoded("JPEG", RGB.rotate(90, expand=True), quality=100, subsampling=0, exif=ROTATED),
    "16 bit png": encoded("PNG", grey16()),
    "palette png": encoded("PNG", RGB.convert("P")),
    "png with alpha": encoded("PNG", RGB.convert("RGBA")),
    "one bit png": encoded("PNG", RGB.convert("1")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture(tiny_predictor: Predictor, kind: str) -> None:
    found = tiny_predictor.post(KINDS[kind]).detections
    assert found.boxes_xywh_px.tolist() == [[32, 32, 16, 32]]
    assert found.scores[0] > 0.97


def test_jpeg_with_boxes_when_asked_for(tiny_predictor: Predictor) -> None:
    dark = np.full((300, 400, 3), 30, np.uint8)
    dark[100:200, 150:200] = 255
    plain = tiny_predictor.post(png(dark))
    assert len(plain.json["boxes"]) > 0
    reply = tiny_predictor.post(png(dark), headers={"Accept": "image/jpeg"})
    assert reply.headers["Content-Type"] == "image/jpeg"
    assert reply.headers["X-Belisha-Model-Version"] == "tiny-1"
    drawn = decode_rgb(reply.body)
    assert drawn.shape == dark.shape
    greener = (drawn[:, :, 1].astype(int) - drawn[:, :, 0]) > 60
    assert greener.sum() > 200, "no green box is on the picture"


@pytest.mark.parametrize(
    "accept", ["", "*/*", "application/json", "application/json, image/jpeg", "text/html", "=;,;q=x"]
)
def test_json_unless_a_picture_is_wanted_more(tiny_predictor: Predictor, accept: str) -> None:
    assert tiny_predictor.post(PICTURE, headers={"Accept": accept}).json["boxes"] == [BOX]


ERRORS = {
    "unknown path": ("/nothing", "POST", 404),
    "unknown path, GET": ("/nothing/../x", "GET", 404),
    "the wrapper's other verbs": ("/api/v1.0/aggregate", "POST", 404),
    "route": ("/route", "POST", 404),
    "wrong method": (PREDICT, "GET", 405),
    "odd method": (PREDICT, "DELETE", 405),
}


@pytest.mark.parametrize("case", ERRORS)
def test_wrong_addresses_are_refused_with_a_sentence(tiny_predictor: Predictor, case: str) -> None:
    path, method, status = ERRORS[case]
    reply = tiny_predictor.post(b"{}", path, method=method)
    assert reply.status == status
    assert set(reply.json) == {"error", "request_id"}


def test_other_pages_of_the_wrapper(tiny_predictor: Predictor) -> None:
    assert tiny_predictor.post(b"", "/health/ping", method="GET").body == b"pong"
    assert tiny_predictor.post(b"", "/metadata", method="GET").json["versions"] == ["tiny-1"]


FEEDBACK = {
    "seldon's executor": ("/send-feedback", {"reward": 1, "request": {"binData": "AAAA"}, "response": {"jsonData": {}}}),
    "a caller": ("/api/v1.0/feedback", {"reward": 0.5, "truth": {"jsonData": {"pedestrians": 2}}}),
    "nothing gained": ("/api/v0.1/feedback", {"reward": 0}),
    "said by silence, as protobuf does": ("/send-feedback", {}),
    "bad": ("/send-feedback", {"reward": -2}),
}  # fmt: skip


def rewards(running: Predictor) -> dict[str, float]:
    return {name: value for name, value in running.counted().items() if "feedback" in name or "reward" in name}


def test_feedback_counts_a_reward_of_zero_too(tiny_predictor: Predictor) -> None:
    before = rewards(tiny_predictor)
    for path, value in FEEDBACK.values():
        reply = tiny_predictor.post(json.dumps(value).encode(), path, headers={"Content-Type": "application/json"})
        assert (reply.status, reply.json) == (200, {})
    after = rewards(tiny_predictor)
    assert {name: after[name] - before[name] for name in after} == {
        "belisha_feedback_total/negative": 1, "belisha_feedback_total/zero": 2, "belisha_feedback_total/positive": 2,
        "belisha_reward_gained_total/": 1.5, "belisha_reward_lost_total/": 2,
    }  # fmt: skip


NO_FEEDBACK = [
    b"",
    b"no",
    b"[1]",
    b'{"reward": "1"}',
    b'{"reward": true}',
    b'{"reward": NaN}',
    b'{"reward": 1e400}',
    b"[" * 9999,
]


@pytest.mark.parametrize("body", NO_FEEDBACK)
def test_feedback_that_is_none_is_refused_with_a_sentence(tiny_predictor: Predictor, body: bytes) -> None:
    before = rewards(tiny_predictor)
    reply = tiny_predictor.post(body, "/api/v1.0/feedback", headers={"Content-Type": "application/json"})
    assert reply.status == 400
    assert "reward" in reply.json["error"]
    assert rewards(tiny_predictor) == before
    assert tiny_predictor.post(b"", "/send-feedback", method="GET").status == 405


def test_health_says_what_serves(tiny_predictor: Predictor, served_model: Path) -> None:
    health = tiny_predictor.health().json
    assert health["model_version"] == "tiny-1"
    assert health["runtime"] in ("onnxruntime", "openvino")
    assert health["digest"] == read_model_info(served_model).digest


def test_many_threads_get_their_own_answers(tiny_predictor: Predictor) -> None:
    def ask(number: int) -> bool:
        column, row = number % 6, number % 3
        reply = tiny_predictor.post(png(bright_cell(column, row)), headers={"X-Request-ID": f"r{number}"})
        (box,) = reply.json["boxes"]
        return (reply.json["request_id"], box["x"], box["y"]) == (f"r{number}", column * 16, row * 32)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(200)))


def test_connections_are_kept(tiny_predictor: Predictor) -> None:
    connection = tiny_predictor.connect()
    ports = set()
    for _ in range(5):
        connection.request("POST", PREDICT, PICTURE)
        assert read_reply(connection).status == 200
        ports.add(connection.sock.getsockname()[1])
    assert len(ports) == 1


def test_only_loopback_is_listened_on(tiny_predictor: Predictor) -> None:
    addresses = {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in tiny_predictor.family()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


def test_drawn_boxes_and_plain_boxes_are_of_the_same_picture(tiny_predictor: Predictor) -> None:
    """A picture far larger than the model's input: boxes are in its pixels."""
    large = cv2.resize(bright_cell(), (960, 960), interpolation=cv2.INTER_NEAREST)
    (box,) = tiny_predictor.post(png(large)).detections.boxes_xywh_px.tolist()
    assert box == pytest.approx([320, 320, 160, 320], abs=1e-3)


def test_another_sites_page_may_read_answers(tiny_predictor: Predictor) -> None:
    """The wrapper's own CORS headers, which nobody but a browser needs."""
    allowed = tiny_predictor.post(PICTURE, headers={"Origin": "http://dashboard.example"}).headers
    assert allowed["Access-Control-Allow-Origin"] == "http://dashboard.example"
    assert "Access-Control-Allow-Origin" not in tiny_predictor.post(PICTURE).headers
