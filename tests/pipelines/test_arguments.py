"""What people type becomes the pipeline's parameters, or one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from belisha.components.shared.errors import InputError
from belisha.pipelines.arguments import absolute_source, pipeline_arguments


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        pytest.param("train_epochs=3", {"train_epochs": 3}, id="integer"),
        pytest.param("gate_min_ap50=0.5", {"gate_min_ap50": 0.5}, id="number"),
        pytest.param("split_salt=a=b", {"split_salt": "a=b"}, id="text with an equals sign"),
        pytest.param('data_class_map={"rider": "ignore"}', {"data_class_map": {"rider": "ignore"}}, id="mapping"),
        pytest.param('data_sources=["a", "b"]', {"data_sources": ["a", "b"]}, id="list"),
    ],
)
def test_settings_are_parsed_by_the_pipelines_own_types(setting: str, expected: dict[str, object]) -> None:
    assert pipeline_arguments({}, [setting]) == expected


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        pytest.param("train_epochs", "not NAME=VALUE", id="no value"),
        pytest.param("train_epoch=3", "did you mean train_epochs", id="near miss"),
        pytest.param("qqqq=3", "known are", id="nothing like it"),
        pytest.param("train_epochs=three", "not a number integer", id="no integer"),
        pytest.param("data_sources={}", "not a list", id="mapping for a list"),
        pytest.param("data_sources=[", "not a list", id="broken JSON"),
    ],
)
def test_what_does_not_fit_is_refused(setting: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        pipeline_arguments({}, [setting])


def test_none_means_the_pipelines_default_and_a_setting_wins() -> None:
    assert pipeline_arguments({"train_epochs": None, "train_batch": 4}, ["train_batch=2"]) == {"train_batch": 2}


def test_local_paths_become_absolute_and_addresses_stay() -> None:
    assert absolute_source("s3://bucket/x") == "s3://bucket/x"
    assert absolute_source("pictures") == str(Path.cwd() / "pictures")
