"""Retrain: what a drift alert or the calendar does, exactly once a cause, within a budget.

`policy` decides from the ledger's records alone; `retrainer` carries it out through a `Trigger`; `run_records` reads back what
became of every cause. See docs/retraining.md.
"""
