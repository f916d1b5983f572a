"""Files that are no pipeline, and servers that are too old for one."""

from __future__ import annotations

import pytest

from belisha.components.shared.errors import ContractError
from belisha.components.shared.kfp_client.package import parse_package
from belisha.components.shared.kfp_client.versions import too_old
from tests.kfp_stub import PACKAGE


@pytest.mark.parametrize(
    ("case", "data"),
    [
        ("empty", b""),
        ("no YAML", b"a: ["),
        ("a list", b"[1, 2]"),
        ("an alias bomb of nothing", b"a: &a [*a]"),
        ("two pipelines", PACKAGE + b"---\n" + PACKAGE),
        ("another document", PACKAGE + b"---\nkind: Secret\n"),
        ("binary", bytes(range(256))),
    ],
)
def test_what_is_no_pipeline_is_not_sent(case: str, data: bytes) -> None:
    with pytest.raises(ContractError):
        parse_package(data)


@pytest.mark.parametrize(
    ("server", "needed", "expected"),
    [
        ("2.16.1", "2.17.0", True),
        ("2.17.0", "2.17.0", False),
        ("v2.9.3", "2.17.0", True),
        ("3.0.0", "2.17.0", False),
        ("", "2.17.0", False),
        ("dev", "2.17.0", False),
        ("2.17.0", "", False),
    ],
)
def test_a_server_that_is_too_old_is_told(server: str, needed: str, expected: bool) -> None:
    assert too_old(server, needed) is expected
