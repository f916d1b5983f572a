"""`helm upgrade` and `kubectl belisha` on one installation: what one decides survives the other.

helm is rendered, its hook is run by the command line it names, and the object is the one that the controller would apply.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from belisha.cli.main import _register_verbs, app
from belisha.components.release.release import promote, rollback
from belisha.components.release.release_template import parse_release_template
from belisha.components.release.seldon_deployment import placements, seldon_deployment
from belisha.components.route.traffic import split_traffic
from belisha.components.shared.errors import InputError
from belisha.components.shared.registry import open_registry
from tests.helm.rendering import documents, release_template_text
from tests.release_folders import release_one


class Installation:
    """A storage, and the values and revision of the last `helm upgrade` that went through."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.uri = folder, f"file://{folder / 'storage'}"
        self.values: dict[str, Any] = {}

    def upgrade(self, **values: Any) -> None:
        """Hooks run first; when one fails, nothing else of the upgrade happens."""
        for job in (it for it in documents(values) if it["kind"] == "Job"):
            args = job["spec"]["template"]["spec"]["containers"][0]["args"]
            result = CliRunner().invoke(app, [*args, "--storage", self.uri])
            if result.exception is not None and not isinstance(result.exception, SystemExit):
                raise result.exception
        self.values = values

    def shares(self) -> dict[str, int]:
        """What the controller applies."""
        template = parse_release_template(release_template_text(self.values))
        wanted = placements(open_registry(self.uri).ledger.state(), template)
        return {it["name"]: it["traffic"] for it in seldon_deployment(wanted, template)["spec"]["predictors"]}

    def replicas(self) -> set[int]:
        template = parse_release_template(release_template_text(self.values))
        wanted = placements(open_registry(self.uri).ledger.state(), template)
        return {it["replicas"] for it in seldon_deployment(wanted, template)["spec"]["predictors"]}


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    if not app.registered_commands:
        _register_verbs()
    found = Installation(tmp_path)
    release_one(tmp_path, found.uri)
    release_one(tmp_path, found.uri, champion="v1", gain=2.0)
    return found


def traffic(percent: int) -> dict[str, Any]:
    return {"challenger": {"traffic": percent}}


def test_what_kubectl_set_survives_upgrades_of_everything_else(installation: Installation) -> None:
    installation.upgrade()
    split_traffic(installation.uri, 0.2, reason="kubectl")
    installation.upgrade(serving={"replicas": 3})
    assert installation.shares() == {"y-v1": 80, "y-v2": 20}
    assert installation.replicas() == {3}
    promote(installation.uri, None, reason="kubectl")
    installation.upgrade(serving={"replicas": 2}, image={"tag": "9.9"})
    assert installation.shares() == {"y-v2": 100}


def test_what_helm_asked_for_survives_kubectl_and_is_changed_by_it(installation: Installation) -> None:
    installation.upgrade(release=traffic(25))
    assert installation.shares() == {"y-v1": 75, "y-v2": 25}
    split_traffic(installation.uri, 0.5, reason="kubectl")
    installation.upgrade(release=traffic(25), serving={"replicas": 2})
    assert installation.shares() == {"y-v1": 50, "y-v2": 50}
    installation.upgrade(release=traffic(30), serving={"replicas": 2})
    assert installation.shares() == {"y-v1": 70, "y-v2": 30}


def test_an_upgrade_that_asks_for_the_impossible_changes_nothing(installation: Installation) -> None:
    installation.upgrade(release=traffic(25))
    with pytest.raises(InputError, match="v9"):
        installation.upgrade(release={"challenger": {"version": "v9", "traffic": 5}}, serving={"replicas": 9})
    assert installation.shares() == {"y-v1": 75, "y-v2": 25}
    assert installation.replicas() == {1}


def test_helm_rolls_back_its_own_wish_and_kubectl_a_promotion(installation: Installation) -> None:
    installation.upgrade(release=traffic(10))
    installation.upgrade(release={"champion": {"version": "v2"}})
    assert installation.shares() == {"y-v2": 100}
    rollback(installation.uri, reason="kubectl")
    installation.upgrade(release={"champion": {"version": "v2"}}, serving={"replicas": 2})
    assert installation.shares() == {"y-v1": 100}, "repeated values undo no rollback"


def test_every_decision_stands_in_one_ledger_with_its_source(installation: Installation) -> None:
    installation.upgrade(release=traffic(25))
    split_traffic(installation.uri, 0.5, reason="three quiet days")
    reasons = [record.draft.reason for record in open_registry(installation.uri).ledger.records()][-2:]
    assert "asked by the values of helm/ml/belisha, revision 3" in reasons[0]
    assert "three quiet days" in reasons[1]
