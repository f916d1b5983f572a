"""Drift: does the world still look as it did."""

from __future__ import annotations

from collections.abc import Sequence

from belisha.monitoring.dashboards.parts import ROLE, Look, Plot, Query, Row, of_role

DESCRIPTION = (
    "Does the world still look as the champion knows it: scores by feature and stratum, windows, verdicts, pictures."
)
_WHERE = "{{stratum}} {{feature}}"
_BY = "namespace, deployment_name, stratum"


def rows() -> Sequence[Row]:
    """Panels from top to bottom."""
    return (
        Row("Has the world changed", _verdicts()),
        Row("What has changed", _features()),
        Row("Pictures as they come", _pictures()),
    )


def _verdicts() -> Sequence[Plot]:
    age = "time() - belisha_drift_last_success_timestamp_seconds{$D}"
    return (
        Plot(
            "Drift confirmed",
            "1 while enough of the last windows left the range that the reference knows.",
            "none",
            [Query("belisha_drift_alert{$D}", "{{deployment_name}}")],
            Look("number", 4),
        ),
        Plot(
            "Age of the last check",
            "Since a drift check last came to an end.",
            "s",
            [Query(age, "{{deployment_name}}")],
            Look("number", 4),
        ),
        Plot(
            "Verdicts",
            "Verdict of the drift check over time.",
            "none",
            [Query("belisha_drift_verdict{$D} == 1", "{{verdict}}")],
            Look("states", 8),
        ),
        Plot(
            "Pictures in the windows",
            "Thinned pictures in the last window and in the reference, by stratum.",
            "short",
            [
                Query("belisha_drift_window_pictures{$D}", "{{stratum}} window"),
                Query("belisha_drift_reference_pictures{$D}", "{{stratum}} reference"),
            ],
        ),
    )


def _features() -> Sequence[Plot]:
    against = f"belisha_drift_score{{$D}} / on ({_BY}) group_left () max by ({_BY}) (belisha_drift_bound{{$D}} > 0)"
    return (
        Plot(
            "Score against its bound",
            "How far each feature left its calibrated range, over the largest score that clean windows "
            "reach: above 1 the window is flagged.",
            "none",
            [Query(against, _WHERE)],
            Look(width=12, bounds=(1,)),
        ),
        Plot(
            "Score and bound",
            "Each feature's score, and the bound of its stratum.",
            "none",
            [Query("belisha_drift_score{$D}", _WHERE), Query("belisha_drift_bound{$D}", "{{stratum}} bound")],
            Look(width=12),
        ),
        Plot(
            "Distance of distributions",
            "Distance between the current window and the reference, 0 (same) to 1, by feature.",
            "percentunit",
            [Query("belisha_drift_effect_ratio{$D}", _WHERE)],
            Look(width=12),
        ),
        Plot(
            "Medians",
            "Median of each feature in the reference and in the current window, in the feature's own unit.",
            "none",
            [Query("belisha_drift_feature_median{$D}", f"{_WHERE} {{{{window}}}}")],
            Look(width=12, signed=True),
        ),
    )


def _mean(statistics: str) -> str:
    by = "namespace, deployment_name, model_version, statistic"
    chosen = f'{{$M, statistic=~"{statistics}"}}[$__rate_interval]'
    name = "belisha_picture_statistic"
    return of_role(f"sum by ({by}) (rate({name}_sum{chosen})) / sum by ({by}) (rate({name}_count{chosen}))")


def _pictures() -> Sequence[Plot]:
    legend = f"{ROLE} {{{{statistic}}}}"
    return (
        Plot(
            "Light",
            "Means over answered pictures: brightness, contrast, and the shares of dark and of saturated pixels.",
            "percentunit",
            [Query(_mean("brightness|contrast|dark_ratio|saturated_ratio"), legend)],
        ),
        Plot(
            "Detail",
            "Means over answered pictures: logarithm of sharpness, entropy in bits, noise and colourfulness in grey levels.",
            "short",
            [Query(_mean("sharpness_log|entropy_bits|noise|colourfulness"), legend)],
        ),
        Plot(
            "Size",
            "Means over answered pictures: megapixels, and width over height.",
            "short",
            [Query(_mean("megapixels|aspect_ratio"), legend)],
        ),
    )
