"""Entry point: assembles the verbs and turns errors into a sentence and an exit code."""

from __future__ import annotations

import importlib
import os
import pkgutil
import signal

import typer

from belisha.cli import verbs
from belisha.cli.output import print_sentence
from belisha.components.shared.environment import refuse_unknown
from belisha.components.shared.errors import BelishaError

EXIT_CODES_HELP = (
    "Exit codes: 0 done, 1 negative verdict, 2 bad input or usage, 3 inconclusive, 70 a step failed for good, "
    "75 a passing fault, try again."
)

app = typer.Typer(
    name="belisha",
    help="Train, test, release and watch pedestrian detectors.",
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback()
def root() -> None:
    """Train, test, release and watch pedestrian detectors."""


def _register_verbs() -> None:
    for module in sorted(pkgutil.iter_modules(verbs.__path__), key=lambda found: found.name):
        importlib.import_module(f"{verbs.__name__}.{module.name}").register(app)


def main() -> None:
    """Run the command line; every expected error becomes one sentence on standard error."""
    _register_verbs()
    # A polite end is an end by the keyboard: whatever is running cleans up after itself.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        refuse_unknown(os.environ)
        app()
    except BelishaError as error:
        print_sentence(f"belisha: {error}")
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
