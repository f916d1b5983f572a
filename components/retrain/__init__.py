"""Retrain: what a drift alert or the calendar does, exactly once a cause, within a budget."""
