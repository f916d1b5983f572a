"""Entry point: assembles the verbs and turns errors into a sentence and an exit code."""

from __future__ import annotations

import sys

import typer

from belisha import __version__
from belisha.cli.output import print_sentence
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


@app.command()
def version() -> None:
    """Print the version."""
    sys.stdout.write(f"{__version__}\n")


def main() -> None:
    """Run the command line; every expected error becomes one sentence on standard error."""
    try:
        app()
    except BelishaError as error:
        print_sentence(f"belisha: {error}")
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        print_sentence("belisha: stopped; run the same command again to go on where it was")
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
