"""`kubectl belisha doctor`: examine the whole chain, end to end."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from belisha.kubectl.options import Context, Kubeconfig, Name, Namespace, Output, OutputOption, Storage

_EXAMPLES = """
Examples:

    kubectl belisha doctor -n ml

    kubectl belisha doctor -n ml --prometheus http://localhost:9090 -o json

    kubectl belisha doctor -n ml --only webhook-certificate --only storage
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="doctor", epilog=_EXAMPLES)(_doctor)


def _doctor(
    namespace: Namespace = "",
    name: Name = "",
    only: Annotated[list[str] | None, typer.Option("--only", help="Only this check; may be given again.")] = None,
    prometheus: Annotated[str, typer.Option("--prometheus", help="Its address; else through the API server.")] = "",
    kfp: Annotated[
        str, typer.Option("--kfp", help="KFP's Service as namespace/name:port.")
    ] = "kubeflow/ml-pipeline:8888",
    output: OutputOption = Output.TABLE,
    storage: Storage = "",
    context: Context = "",
    kubeconfig: Kubeconfig = "",
) -> None:
    """Check kinds, versions, secrets, storage, KFP, monitors, series, jobs and certificates; each finding says what to do."""
    from belisha.cli.output import print_sentence
    from belisha.components.shared.verdict import worst
    from belisha.kubectl.doctor.checks import Patient
    from belisha.kubectl.doctor.examination import examine
    from belisha.kubectl.place import find_place
    from belisha.kubectl.printers import print_table, print_value

    place = find_place(namespace=namespace, name=name, storage=storage, context=context, kubeconfig=kubeconfig)
    findings = list(examine(Patient(place, prometheus, kfp), only=tuple(only or ())))
    verdict = worst(finding.verdict for finding in findings)
    if output is Output.TABLE:
        rows = [(one.verdict.value, one.check, one.sentence, one.advice) for one in findings]
        print_table(("verdict", "check", "found", "what to do"), rows)
        print_sentence(
            f"{verdict}: {sum(not one.advice for one in findings)} of {len(findings)} findings need nothing done"
        )
    else:
        print_value({"verdict": verdict.value, "findings": [asdict(one) for one in findings]}, output)
    raise typer.Exit(verdict.exit_code)
