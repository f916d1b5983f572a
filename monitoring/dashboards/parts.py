"""What all dashboards share: variables, links, annotations, and panels that cannot lack a unit or a description."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    BigValueTextMode,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
)

DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
TITLES = {"release": "Release", "drift": "Drift", "loop": "Loop", "serving": "Serving"}
OF_DEPLOYMENT = 'namespace=~"$namespace", deployment_name=~"$deployment"'
OF_MODEL = f'{OF_DEPLOYMENT}, model_version=~"$model"'
BY_MODEL = "namespace, deployment_name, model_version"
ROLE = "{{role}} {{model_version}}"
COLUMNS = 24


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL and what its lines are called.

    `$D` stands for the matchers of the deployment, `$M` for those of the model; see `filled`.
    """

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Look:
    """How a panel differs from a plot of lines from 0 upwards.

    Attributes:
        kind: lines, number or states.
        width: of 24 columns.
        bounds: values at which a line is drawn.
        signed: whether values may be negative.
        stacked: whether areas stand on each other.
    """

    kind: str = "lines"
    width: int = 8
    bounds: Sequence[float] = ()
    signed: bool = False
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """One panel."""

    title: str
    description: str
    unit: str
    queries: Sequence[Query]
    look: Look = Look()


@dataclass(frozen=True, slots=True)
class Row:
    """Panels below a heading that asks what they answer."""

    title: str
    plots: Sequence[Plot]


def of_role(expr: str) -> str:
    """Figures by model with the role that the ledger gives it now, for legends that say champion and challenger."""
    return f"({expr}) * on ({BY_MODEL}) group_left (role) ab:role:info{{$D}}"


def filled(expr: str) -> str:
    """PromQL with its matchers in place."""
    return expr.replace("$D", OF_DEPLOYMENT).replace("$M", OF_MODEL)


def dashboard_json(name: str, description: str, rows: Sequence[Row]) -> str:
    """A dashboard as Grafana imports it."""
    built = (
        dashboard.Dashboard(f"Belisha / {TITLES[name]}")
        .uid(f"belisha-{name}")
        .description(description)
        .tags(["belisha"])
        .readonly()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .annotation(_ledger_events())
    )
    for variable in _variables():
        built = built.with_variable(variable)
    for other in TITLES:
        built = built.link(_link(other)) if other != name else built
    for row in rows:
        built = built.with_row(dashboard.Row(row.title))
        for plot in row.plots:
            built = built.with_panel(_panel(plot))
    return JSONEncoder(sort_keys=True, indent=2).encode(built.build()) + "\n"


def _variables() -> Sequence[Builder[model.VariableModel]]:
    info = "ab:role:info"
    return (
        dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"),
        _query("namespace", f"label_values({info}, namespace)"),
        _query("deployment", f'label_values({info}{{namespace=~"$namespace"}}, deployment_name)'),
        _query("model", f"label_values({info}{{{OF_DEPLOYMENT}}}, model_version)"),
    )


def _query(name: str, query: str) -> Builder[model.VariableModel]:
    everything = model.VariableOption(selected=True, text="All", value="$__all")
    return (
        dashboard.QueryVariable(name)
        .label(name.capitalize())
        .datasource(DATASOURCE)
        .query(query)
        .definition(query)
        # On one machine nothing has a namespace: all of them, and none, is what this matches.
        .include_all(include_all=True)
        .all_value(".*")
        .multi(multi=True)
        .current(everything)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )


def _link(other: str) -> Builder[model.DashboardLink]:
    return (
        dashboard.DashboardLink(TITLES[other])
        .type(model.DashboardLinkType.LINK)
        .url(f"/d/belisha-{other}")
        .keep_time(keep_time=True)
        .include_vars(include_vars=True)
    )


def _ledger_events() -> Builder[model.AnnotationQuery]:
    """What was done to the models, at the time at which the ledger says it was."""
    expr = filled('belisha_ledger_last_record_timestamp_seconds{$D, action!~"test-look|apply"} * 1000')
    return (
        dashboard.AnnotationQuery()
        .name("Ledger")
        .datasource(DATASOURCE)
        .enable(enable=True)
        .icon_color("purple")
        .expr(expr)
        .use_value_for_time(use_value_for_time=True)
        .title_format("{{action}} {{subject}}")
    )


def _panel(plot: Plot) -> Builder[model.Panel]:
    # The three builders share no base class that knows these methods.
    kinds: dict[str, Callable[[Plot], Any]] = {"lines": _lines, "number": _number, "states": _states}
    panel = kinds[plot.look.kind](plot)
    panel = panel.title(plot.title).description(plot.description).datasource(DATASOURCE).unit(plot.unit)
    panel = panel.span(plot.look.width).height(5 if plot.look.kind == "number" else 8)
    for number, query in enumerate(plot.queries):
        panel = panel.with_target(_target(query, chr(ord("A") + number), instant=plot.look.kind == "number"))
    return panel  # type: ignore[no-any-return]


def _target(query: Query, name: str, *, instant: bool) -> Builder[object]:
    target = (
        prometheus.Dataquery().expr(filled(query.expr)).legend_format(query.legend).ref_id(name).datasource(DATASOURCE)
    )
    return target.instant() if instant else target.range()


def _lines(plot: Plot) -> timeseries.Panel:
    legend = common.VizLegendOptions().show_legend(show_legend=True).display_mode(LegendDisplayMode.LIST)
    panel = timeseries.Panel().legend(legend.placement(LegendPlacement.BOTTOM)).fill_opacity(8).line_width(2)
    panel = panel if plot.look.signed else panel.min(0)
    if plot.look.stacked:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL)).fill_opacity(30)
    if plot.look.bounds:
        steps = [
            model.Threshold(value=None, color="green"),
            *(model.Threshold(value=one, color="red") for one in plot.look.bounds),
        ]
        thresholds = dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)
        style = common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(thresholds).thresholds_style(style)
    return panel


def _number(_: Plot) -> stat.Panel:
    last = common.ReduceDataOptions().calcs(["lastNotNull"])
    return (
        stat.Panel().reduce_options(last).text_mode(BigValueTextMode.VALUE_AND_NAME).graph_mode(BigValueGraphMode.NONE)
    )


def _states(_: Plot) -> statetimeline.Panel:
    return statetimeline.Panel().merge_values(merge_values=True).row_height(0.9)
