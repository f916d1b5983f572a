"""Entry point of `kubectl belisha`: assembles the verbs and turns errors into a sentence and an exit code.

kubectl finds the console script `kubectl-belisha` on the PATH and hands it every flag behind the plugin's name; flags before
that name are kubectl's own, and it refuses them. `kubectl_complete-belisha` answers kubectl's shell completion.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import signal
import sys

import typer

from belisha.cli.output import print_sentence
from belisha.components.shared.environment import refuse_unknown
from belisha.components.shared.errors import BelishaError
from belisha.kubectl import verbs

PROGRAM = "kubectl belisha"
_EPILOG = """
Exit codes: 0 all is well, 1 it is not, 2 bad input or usage, 3 nobody can tell yet, 70 refused for good, 75 try again.

Flags stand behind the plugin's name: `kubectl belisha status -n ml`, not `kubectl -n ml belisha status`.
"""

app = typer.Typer(
    name=PROGRAM,
    help="Look at and change which model a cluster serves.",
    epilog=_EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback()
def root() -> None:
    """Look at and change which model a cluster serves."""


def register_verbs() -> typer.Typer:
    """The application with every verb."""
    for module in sorted(pkgutil.iter_modules(verbs.__path__), key=lambda found: found.name):
        importlib.import_module(f"{verbs.__name__}.{module.name}").register(app)
    return app


def main() -> None:
    """Run the plugin; every expected error becomes one sentence on standard error."""
    register_verbs()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        refuse_unknown(os.environ)
        app(prog_name=PROGRAM)
    except BelishaError as error:
        print_sentence(f"{PROGRAM}: {error}")
        raise SystemExit(error.exit_code) from None


def complete() -> None:
    """Answer kubectl's completion: one candidate a line, then a directive, as cobra's plugins do."""
    for candidate in candidates(sys.argv[1:]):
        sys.stdout.write(f"{candidate}\n")
    # 4: no file names.
    sys.stdout.write(":4\n")


def candidates(words: list[str]) -> list[str]:
    """What may stand in place of the last word."""
    from typer.main import get_command

    *before, last = words or [""]
    command = get_command(register_verbs())
    for word in before:
        found = getattr(command, "commands", {}).get(word)
        command = command if found is None else found
    names = list(getattr(command, "commands", {})) if not last.startswith("-") else []
    options = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
    return sorted(word for word in [*names, *options] if word.startswith(last) and (last or not word.startswith("-")))


if __name__ == "__main__":
    main()
