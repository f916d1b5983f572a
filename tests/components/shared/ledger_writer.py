"""A process that appends records to a ledger: python ledger_writer.py STORE_URI NAME COUNT [PAUSE_AFTER_CREATE]."""

from __future__ import annotations

import sys

from belisha.components.shared.ledger import Action, Draft, Ledger
from belisha.components.shared.storage import open_store


def main(uri: str, name: str, count: int) -> None:
    ledger = Ledger(open_store(uri), actor=name)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for number in range(count):
        ledger.append(lambda _, state, n=number: Draft(Action.REGISTER, f"{name}-{n}", "because", state))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
