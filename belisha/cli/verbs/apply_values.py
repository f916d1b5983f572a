"""`belisha apply-values`: what a chart's values ask of the ledger; the chart's hook runs it."""

from __future__ import annotations

from typing import Annotated

import typer

from belisha.cli.release_options import Json, Storage, print_outcome

_EXAMPLES = """
Examples:

    belisha apply-values --source helm/ml/belisha --revision 4 --challenger-traffic 25

    belisha apply-values --source helm/ml/belisha --revision 5 --champion v8 --json

What the same source asked for last changes nothing, whatever was decided since; `belisha split` and `belisha promote` are for
people.
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="apply-values", epilog=_EXAMPLES)(_apply_values)


def _apply_values(
    storage: Storage,
    source: Annotated[str, typer.Option(help="The installation that asks, such as helm/NAMESPACE/RELEASE.")],
    revision: Annotated[int, typer.Option(min=1, help="Of the installation, for the record.")],
    champion: Annotated[str | None, typer.Option(help="Model version that is to be champion.")] = None,
    challenger: Annotated[str | None, typer.Option(help="Model version that the share is meant for.")] = None,
    challenger_traffic: Annotated[
        int | None, typer.Option(min=0, max=100, help="Share of requests for the challenger in percent.")
    ] = None,
    json: Json = False,
) -> None:
    """Record what an installation's values ask for, once, if they ask for something new."""
    from belisha.components.release.values_wish import Wish, apply_values

    wish = Wish(source, champion, challenger, challenger_traffic)
    print_outcome(apply_values(storage, wish, revision=revision), json=json)
