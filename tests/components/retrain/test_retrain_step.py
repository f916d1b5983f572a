"""The pipeline step: what it starts, and that KFP takes its contract."""

from __future__ import annotations

from pathlib import Path

from belisha.components.retrain.component import start_retraining
from belisha.components.shared.ledger import LedgerState
from belisha.components.shared.registry import open_registry
from tests.components.retrain.retraining_world import set_state
from tests.kfp_stub import API, KfpStub, serving


def test_the_step_starts_one_run_a_cause(tmp_path: Path) -> None:
    set_state(open_registry(str(tmp_path)).ledger, LedgerState("v1"))
    with serving(KfpStub()) as stub:
        from belisha.components.shared.kfp_client import KfpClient, KfpTransport

        KfpClient(KfpTransport(stub.url)).upload_version("belisha-training", b"pipelineInfo: {name: p}\n")
        sentences = [
            start_retraining.python_func(
                storage_uri=str(tmp_path),
                kfp_endpoint=stub.url,
                data_sources=["s3://b/x"],
                retrain_cause=" new  cameras ",
            )
            for _ in range(2)
        ]
        (request,) = stub.sent("POST", f"{API}/runs")
        assert stub.complaints == []
    assert "was started" in sentences[0] and "goes on" in sentences[1]
    assert request.body["display_name"].startswith("retrain-manual-new-cameras-")
    assert request.body["runtime_config"]["parameters"]["data_sources"] == ["s3://b/x"]


def test_the_contract_compiles(tmp_path: Path) -> None:
    from kfp import compiler

    compiler.Compiler().compile(start_retraining, str(tmp_path / "step.yaml"))
    assert "start-retraining" in (tmp_path / "step.yaml").read_text()
