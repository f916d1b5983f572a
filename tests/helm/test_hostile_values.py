"""What the cluster would take and get wrong is refused before it gets there, by the key's name."""

from __future__ import annotations

from typing import Any

import pytest
from helm_python.errors import HelmError

from tests.helm.rendering import documents
from tests.helm.value_sets import HOSTILE


@pytest.mark.parametrize(("values", "key"), HOSTILE.values(), ids=HOSTILE.keys())
def test_refused_by_the_keys_name(values: dict[str, Any], key: str) -> None:
    with pytest.raises(HelmError) as refusal:
        documents(values)
    assert key in str(refusal.value)


def test_release_name_that_leaves_no_room_for_seldons_names() -> None:
    with pytest.raises(HelmError, match="fullnameOverride"):
        documents({}, name="a-release-with-quite-a-long-name")
