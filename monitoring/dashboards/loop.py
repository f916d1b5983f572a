"""Loop: is the machinery itself alive."""

from __future__ import annotations

from collections.abc import Sequence

from belisha.monitoring.dashboards.parts import Look, Plot, Query, Row

DESCRIPTION = "Is the loop itself alive: jobs, training runs, candidates and their verdicts, review queue, request log."
_JOBS = ("drift", "experiment", "review", "retrain")
_WHO = "{{deployment_name}}"


def rows() -> Sequence[Row]:
    """Panels from top to bottom."""
    return (
        Row("Do the jobs run", _jobs()),
        Row("Does training bring candidates", _training()),
        Row("Do people keep up", _review()),
        Row("Is everything recorded", _records()),
    )


def _jobs() -> Sequence[Plot]:
    ages = [Query(f"time() - (belisha_{job}_last_success_timestamp_seconds{{$D}} > 0)", job) for job in _JOBS]
    last = [Query(f"(belisha_{job}_last_success_timestamp_seconds{{$D}} > 0) * 1000", job) for job in _JOBS]
    return (
        Plot("Last success", "When each job last came to a good end.", "dateTimeAsIso", last, Look("number", 8)),
        Plot("Age of the last success", "Since each job last came to a good end.", "s", ages),
        Plot(
            "From drift to a new champion",
            "How long it took from the first drift alert to the promotion that followed, the last time.",
            "s",
            [Query("belisha_ledger_drift_to_champion_seconds{$D}", _WHO)],
            Look("number", 4),
        ),
        Plot(
            "Drift waits for a champion",
            "Since when a drift alert has had no promotion after it; 0 when none waits.",
            "s",
            [
                Query(
                    "(time() - (belisha_ledger_drift_open_timestamp_seconds{$D} > 0)) or 0 * belisha_ledger_readable{$D}",
                    _WHO,
                )
            ],
            Look("number", 4),
        ),
    )


def _training() -> Sequence[Plot]:
    return (
        Plot(
            "Training runs",
            "Runs that the policy started in the last 24 hours, its budget, and whether one is under way.",
            "short",
            [
                Query("belisha_retrain_runs_today{$D}", "started in 24 h"),
                Query("belisha_retrain_budget_runs{$D}", "budget"),
                Query("belisha_retrain_running{$D}", "running"),
            ],
        ),
        Plot(
            "Why training started",
            "Since a run last started, by cause.",
            "s",
            [Query("time() - (belisha_retrain_last_start_timestamp_seconds{$D} > 0)", "{{cause}}")],
        ),
        Plot(
            "Candidates",
            "Model versions registered in the time shown, by the verdict they came with.",
            "short",
            [Query("sum by (verdict) (increase(belisha_ledger_candidates_total{$D}[$__range]))", "{{verdict}}")],
            Look("number", 8),
        ),
    )


def _review() -> Sequence[Plot]:
    oldest = (
        "(time() - (belisha_review_queue_oldest_timestamp_seconds{$D} > 0)) or 0 * belisha_review_queue_pictures{$D}"
    )
    return (
        Plot(
            "Review queue",
            "Pictures that wait for a person.",
            "short",
            [Query("belisha_review_queue_pictures{$D}", _WHO)],
        ),
        Plot("Oldest picture", "How long the oldest picture in the queue has waited.", "s", [Query(oldest, _WHO)]),
        Plot(
            "Pictures kept for review",
            "Pictures a second that serving keeps for people, by why, and those it had to leave out.",
            "cps",
            [
                Query("sum by (reason) (rate(belisha_review_pictures_total{$M}[$__rate_interval]))", "{{reason}}"),
                Query(
                    "sum by (reason) (rate(belisha_review_left_out_total{$M}[$__rate_interval]))",
                    "left out: {{reason}}",
                ),
            ],
        ),
    )


def _records() -> Sequence[Plot]:
    return (
        Plot(
            "Request log",
            "Rows a second written to the request log, and rows that it lacks.",
            "wps",
            [
                Query(
                    "sum by (model_version) (rate(belisha_request_log_written_total{$M}[$__rate_interval]))",
                    "{{model_version}}",
                ),
                Query(
                    "sum by (model_version, reason) (rate(belisha_request_log_dropped_total{$M}[$__rate_interval])) > 0 "
                    "or sum by (model_version) (rate(belisha_request_log_dropped_total{$M}[$__rate_interval]))",
                    "{{model_version}} dropped {{reason}}",
                ),
            ],
        ),
        Plot(
            "Ledger",
            "Records that were written in the time shown, by what they did.",
            "short",
            [
                Query(
                    "sum by (action) (increase(belisha_ledger_records_total{$D}[$__range]))",
                    "{{action}}",
                )
            ],
            Look("number", 8),
        ),
        Plot(
            "Ledger readable",
            "1 when the exporter's last reading of the ledger went well.",
            "none",
            [Query("belisha_ledger_readable{$D}", _WHO)],
            Look("number", 4),
        ),
        Plot(
            "Since the last record",
            "Since the ledger's last record of each kind.",
            "s",
            [Query("time() - max by (action) (belisha_ledger_last_record_timestamp_seconds{$D})", "{{action}}")],
            Look(width=4),
        ),
    )
