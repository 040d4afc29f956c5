"""Writes the dashboards beside this file: `python3 dashboards/grafana/build.py`, or into the folder that is named. A test holds them to it.

What is common to all stands here once: variables, links, colours, sizes. A description that names no words of its own is the
metric's own help, from docs/metrics.md.
"""

import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent
HELP = dict(re.findall(r"^\| `(hotshard_\w+)` \|.*\| (.+) \|$", (HERE / "../../docs/metrics.md").read_text(), re.M))
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
GROUP = 'region=~"$region",replication_group=~"$replication_group"'
SHARD = GROUP + ',shard=~"$shard"'
INSTANCE = 'instance=~"$instance"'
# More lines than this nobody tells apart; the table and the bars have them all.
LINES = 20
GREEN, YELLOW, ORANGE, RED, BLUE, GREY = "green", "yellow", "orange", "red", "blue", "text"


def help_of(expression):
    names = re.findall(r"hotshard_\w+", expression)
    return HELP[names[0]]


def steps(*edges, base=GREEN):
    return {"mode": "absolute", "steps": [{"color": base, "value": None}] + [{"color": c, "value": v} for v, c in edges]}


def target(expression, legend="", instant=False, letter="A", table=False):
    return {
        "datasource": SOURCE,
        "expr": expression,
        "refId": letter,
        "legendFormat": legend,
        "instant": instant,
        "range": not instant,
        "format": "table" if table else "time_series",
    }


def panel(kind, title, targets, unit, about=None, links=(), thresholds=None, width=12, height=8, custom=None, options=None, **defaults):
    return {
        "type": kind,
        "title": title,
        "description": about or help_of(targets[0]["expr"]),
        "datasource": SOURCE,
        "targets": targets,
        "gridPos": {"x": 0, "y": 0, "w": width, "h": height},
        "fieldConfig": {
            "defaults": {"unit": unit, "thresholds": thresholds or steps(), "links": list(links), **({"custom": custom} if custom else {}), **defaults},
            "overrides": [],
        },
        "options": options or {},
    }


def lines(title, expression, legend, unit, more=(), stacked=False, **rest):
    targets = [target(expression, legend)] + [target(e, l, letter=chr(66 + n)) for n, (e, l) in enumerate(more)]
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 20 if stacked else 0,
        "showPoints": "never",
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    options = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}, "tooltip": {"mode": "multi", "sort": "desc"}}
    return panel("timeseries", title, targets, unit, custom=custom, options=options, **rest)


def bars(title, expression, legend, unit, **rest):
    options = {
        "displayMode": "gradient",
        "orientation": "horizontal",
        "showUnfilled": True,
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return panel("bargauge", title, [target(expression, legend, instant=True)], unit, options=options, **rest)


def stat(title, expression, unit, legend="", width=4, **rest):
    options = {
        "colorMode": "background",
        "graphMode": "none",
        "textMode": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return panel("stat", title, [target(expression, legend, instant=True)], unit, width=width, height=4, options=options, **rest)


def table(title, columns, about, links=(), width=24, height=10, sort=None):
    """`columns`: (name, expression, unit, thresholds). Rows are joined by the labels they share."""
    letters = [chr(65 + n) for n in range(len(columns))]
    made = panel("table", title, [target(e, "", True, l, True) for l, (_, e, _, _) in zip(letters, columns)], "short", about, links, width=width, height=height)
    made["transformations"] = [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": {f"Value #{l}": name for l, (name, _, _, _) in zip(letters, columns)}}},
    ]
    made["options"] = {"showHeader": True, "sortBy": [{"displayName": sort or columns[0][0], "desc": True}]}
    for name, _, unit, thresholds in columns:
        properties = [{"id": "unit", "value": unit}]
        if thresholds:
            properties += [{"id": "thresholds", "value": thresholds}, {"id": "custom.cellOptions", "value": {"type": "color-background"}}]
        made["fieldConfig"]["overrides"].append({"matcher": {"id": "byName", "options": name}, "properties": properties})
    return made


def row(title):
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": 0, "w": 24, "h": 1}}


def lay_out(panels):
    """Left to right, and down when a row is full."""
    x = y = tallest = 0
    for number, one in enumerate(panels, 1):
        one["id"] = number
        place = one["gridPos"]
        if x + place["w"] > 24:
            x, y, tallest = 0, y + tallest, 0
        place["x"], place["y"] = x, y
        x, tallest = x + place["w"], max(tallest, place["h"])
    return panels


def variable(name, label, expression, many=True):
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "query": {"query": expression, "refId": f"variable-{name}"},
        "refresh": 2,
        "sort": 1,
        "multi": many,
        "includeAll": many,
        **({"allValue": ".*"} if many else {}),
        "current": {"text": "All", "value": "$__all"} if many else {},
    }


DATASOURCE = {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus", "current": {}}
REGION = variable("region", "Region", "label_values(hotshard_discovery_nodes, region)")
GROUPS = variable("replication_group", "Group", 'label_values(hotshard_discovery_nodes{region=~"$region"}, replication_group)')
ONE_GROUP = variable("replication_group", "Group", 'label_values(hotshard_discovery_nodes{region=~"$region"}, replication_group)', many=False)
ONE_SHARD = variable("shard", "Shard", f"label_values(hotshard_shard_commands_per_second{{{GROUP}}}, shard)", many=False)
INSTANCES = variable("instance", "Instance", "label_values(hotshard_build_info, instance)")

TO_GROUP = {"title": "Open the group", "url": "/d/hotshard-group?${datasource:queryparam}&var-region=${__field.labels.region}&var-replication_group=${__field.labels.replication_group}&${__url_time_range}"}
TO_SHARD = {"title": "Open the shard", "url": "/d/hotshard-shard?${datasource:queryparam}&${region:queryparam}&${replication_group:queryparam}&var-shard=${__field.labels.shard}&${__url_time_range}"}
TO_SHARD_OF_ROW = {"title": "Open the shard", "url": "/d/hotshard-shard?${datasource:queryparam}&${region:queryparam}&${replication_group:queryparam}&var-shard=${__data.fields.shard}&${__url_time_range}"}
TO_GROUP_OF_ROW = {"title": "Open the group", "url": "/d/hotshard-group?${datasource:queryparam}&var-region=${__data.fields.region}&var-replication_group=${__data.fields.replication_group}&${__url_time_range}"}


def dashboard(uid, title, about, variables, panels):
    return {
        "uid": uid,
        "title": title,
        "description": about,
        "tags": ["hotshard"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "timezone": "",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [DATASOURCE] + variables},
        "links": [
            {
                "type": "dashboards",
                "title": "hotshard",
                "icon": "external link",
                "tooltip": "",
                "url": "",
                "tags": ["hotshard"],
                "asDropdown": False,
                "targetBlank": False,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "annotations": {"list": []},
        "panels": lay_out(panels),
    }


SKEW = steps((1.5, YELLOW), (2, RED))
DEVIATION = steps((-0.25, GREEN), (0.25, ORANGE), (0.5, RED), base=BLUE)
CPU = steps((0.7, YELLOW), (0.9, RED))
MEMORY = steps((0.7, YELLOW), (0.85, RED))
BY_GROUP = "sum by (region, replication_group)"
WORST = "max by (region, replication_group)"
HOT = f'max by (region, replication_group, shard) (hotshard_shard_status{{{GROUP},status=~"hot|very_hot"}})'


def fleet():
    return dashboard(
        "hotshard-fleet",
        "hotshard / fleet",
        "All replication groups: where is it hot?",
        [REGION, GROUPS],
        [
            stat("Groups", f"count(hotshard_discovery_nodes{{{GROUP}}})", "short", about="Replication groups that are watched."),
            stat("Shards", f"count(hotshard_shard_commands_per_second{{{GROUP}}})", "short", about="Shards whose load is known."),
            stat("Hot shards", f"sum({HOT})", "short", about="Shards that are hot or very hot by one signal at least.", thresholds=steps((1, RED))),
            stat("Nodes that don't answer", f"count(hotshard_node_up{{{GROUP}}} == 0) or vector(0)", "short", about="Nodes whose last poll failed.", thresholds=steps((1, RED))),
            stat("Commands", f"sum(hotshard_shard_commands_per_second{{{GROUP}}})", "ops"),
            stat("Bytes out", f"sum(hotshard_shard_output_bytes_per_second{{{GROUP}}})", "Bps"),
            table(
                "Groups, the most uneven first",
                [
                    ("worst skew", f"{WORST} (hotshard_shard_skew_ratio{{{GROUP}}})", "short", SKEW),
                    ("hot shards", f"{BY_GROUP} ({HOT})", "short", steps((1, RED))),
                    ("shards", f"count by (region, replication_group) (hotshard_shard_commands_per_second{{{GROUP}}})", "short", None),
                    ("commands", f"{BY_GROUP} (hotshard_shard_commands_per_second{{{GROUP}}})", "ops", None),
                    ("bytes out", f"{BY_GROUP} (hotshard_shard_output_bytes_per_second{{{GROUP}}})", "Bps", None),
                    ("busiest engine", f"{WORST} (hotshard_shard_cpu_ratio{{{GROUP}}})", "percentunit", CPU),
                    ("fullest node", f"{WORST} (hotshard_node_memory_used_bytes{{{GROUP}}} / (hotshard_node_memory_max_bytes{{{GROUP}}} > 0))", "percentunit", MEMORY),
                ],
                "One line for each group. Skew is a shard's load over the median of its siblings: at 2 it does twice what they do.",
                [TO_GROUP_OF_ROW],
            ),
            lines("Worst skew of each group", f"topk({LINES}, {WORST} (hotshard_shard_skew_ratio{{{GROUP}}}))", "{{replication_group}}", "short", links=[TO_GROUP], thresholds=SKEW),
            lines("Busiest engine of each group", f"topk({LINES}, {WORST} (hotshard_shard_cpu_ratio{{{GROUP}}}))", "{{replication_group}}", "percentunit", links=[TO_GROUP], thresholds=CPU),
            lines("Commands", f"topk({LINES}, {BY_GROUP} (hotshard_shard_commands_per_second{{{GROUP}}}))", "{{replication_group}}", "ops", links=[TO_GROUP]),
            lines("Bytes out", f"topk({LINES}, {BY_GROUP} (hotshard_shard_output_bytes_per_second{{{GROUP}}}))", "{{replication_group}}", "Bps", links=[TO_GROUP]),
        ],
    )


def side_by_side(title, metric, unit):
    return bars(title, f"sort_desc(topk({LINES}, hotshard_shard_{metric}{{{GROUP}}}))", "{{shard}}", unit, links=[TO_SHARD], width=8, height=9)


def group():
    by = "by (region, replication_group, shard)"
    return dashboard(
        "hotshard-group",
        "hotshard / group",
        "One replication group, its shards side by side: which one burns, and by which signal?",
        [REGION, ONE_GROUP],
        [
            bars(
                "Skew, the hottest first",
                f"sort_desc(topk({LINES}, max by (shard) (hotshard_shard_skew_ratio{{{GROUP}}})))",
                "{{shard}}",
                "short",
                about="Each shard's load over the median of its siblings, by the signal in which it is highest. 1 is even, red does more than twice as much.",
                thresholds=SKEW,
                links=[TO_SHARD],
                width=24,
                height=9,
                min=0,
            ),
            side_by_side("Commands", "commands_per_second", "ops"),
            side_by_side("Bytes out", "output_bytes_per_second", "Bps"),
            side_by_side("Engine CPU", "cpu_ratio", "percentunit"),
            table(
                "Shards",
                [
                    ("skew", f"max {by} (hotshard_shard_skew_ratio{{{GROUP}}})", "short", SKEW),
                    ("commands", f"max {by} (hotshard_shard_commands_per_second{{{GROUP}}})", "ops", None),
                    ("commands from mean", f'max {by} (hotshard_shard_deviation_ratio{{{GROUP},signal="commands"}})', "percentunit", DEVIATION),
                    ("bytes out", f"max {by} (hotshard_shard_output_bytes_per_second{{{GROUP}}})", "Bps", None),
                    ("bytes out from mean", f'max {by} (hotshard_shard_deviation_ratio{{{GROUP},signal="bytes_out"}})', "percentunit", DEVIATION),
                    ("engine CPU", f"max {by} (hotshard_shard_cpu_ratio{{{GROUP}}})", "percentunit", CPU),
                    ("CPU from mean", f'max {by} (hotshard_shard_deviation_ratio{{{GROUP},signal="cpu"}})', "percentunit", DEVIATION),
                    ("memory", f"max {by} (hotshard_node_memory_used_bytes{{{GROUP}}} / (hotshard_node_memory_max_bytes{{{GROUP}}} > 0))", "percentunit", MEMORY),
                ],
                "One line for each shard: its load, and how far it is from the mean of the group's shards.",
                [TO_SHARD_OF_ROW],
            ),
            lines("Commands of the busiest shards", f"topk({LINES}, hotshard_shard_commands_per_second{{{GROUP}}})", "{{shard}}", "ops", links=[TO_SHARD], width=8),
            lines("Bytes out of the busiest shards", f"topk({LINES}, hotshard_shard_output_bytes_per_second{{{GROUP}}})", "{{shard}}", "Bps", links=[TO_SHARD], width=8),
            lines("Engine CPU of the busiest shards", f"topk({LINES}, hotshard_shard_cpu_ratio{{{GROUP}}})", "{{shard}}", "percentunit", links=[TO_SHARD], thresholds=CPU, width=8),
        ],
    )


def or_none(expression, label, zero="vector(0)"):
    """A line at zero where nothing of it ever happened, which is not the same as nothing being known."""
    return f'{expression} or on () label_replace({zero}, "{label}", "none", "", "")'


def seen(metric, seconds="observed_seconds_total"):
    """What windows saw by pattern, over the time they were open: they are too seldom open for a rate over a few minutes."""
    amount, time = (f"increase(hotshard_{name}{{{SHARD}}}[1h])" for name in (metric, seconds))
    return f"topk({LINES}, {amount} / on (region, replication_group, shard) group_left () ({time} > 0))"


def shard():
    rate = "[$__rate_interval]"
    return dashboard(
        "hotshard-shard",
        "hotshard / shard",
        "One shard: what it does, and what windows saw of why.",
        [REGION, ONE_GROUP, ONE_SHARD],
        [
            stat("Skew by signal", f"hotshard_shard_skew_ratio{{{SHARD}}}", "short", "{{signal}}", width=6, thresholds=SKEW),
            stat("Commands", f"hotshard_shard_commands_per_second{{{SHARD}}}", "ops", width=3),
            stat("Bytes out", f"hotshard_shard_output_bytes_per_second{{{SHARD}}}", "Bps", width=3),
            stat("Engine CPU", f"hotshard_shard_cpu_ratio{{{SHARD}}}", "percentunit", width=3, thresholds=CPU),
            stat("Coverage of the last window", f"hotshard_window_coverage_ratio{{{SHARD}}}", "percentunit", "{{kind}}", width=3, thresholds=steps((0.5, GREEN), base=ORANGE)),
            stat("Completeness of the last window", f"hotshard_window_completeness_ratio{{{SHARD}}}", "percentunit", width=3, thresholds=steps((0.9, GREEN), base=ORANGE)),
            stat("Age of the last window", f"time() - hotshard_window_last_end_timestamp_seconds{{{SHARD}}}", "s", width=3, about="How long ago the last window ended."),
            row("What makes it hot: from the last round"),
            bars(
                "Causes",
                or_none(f"sort_desc(hotshard_diagnosis_share_ratio{{{SHARD}}})", "cause"),
                "{{cause}} {{signal}}",
                "percentunit",
                about="What part of the shard's load each cause has that the last round found, by signal. None: the shard isn't hot, or it couldn't be seen why; the live page says which.",
                min=0,
                max=1,
                width=8,
            ),
            bars(
                "Patterns",
                f"sort_desc(hotshard_pattern_share_ratio{{{SHARD}}})",
                "{{pattern}}",
                "percentunit",
                about="What part of the last window's touches of keys a pattern has. A pattern is shown from its second window in a row on.",
                min=0,
                max=1,
                width=8,
            ),
            bars(
                "Slots",
                or_none(f"sort_desc(hotshard_slot_share_ratio{{{SHARD}}})", "slot"),
                "{{slot}}",
                "percentunit",
                about="What part of the last window's touches of keys a slot has. None: no slot has enough for a series.",
                thresholds=steps((0.15, YELLOW), (0.3, RED)),
                min=0,
                max=1,
                width=8,
            ),
            lines(
                "Commands that windows saw, by pattern",
                seen("observed_pattern_commands_total"),
                "{{pattern}}",
                "ops",
                about="Commands of each pattern over the time windows were open, within an hour.",
            ),
            lines(
                "Bytes out that windows saw, by pattern",
                seen("observed_pattern_output_bytes_total", "observed_output_seconds_total"),
                "{{pattern}}",
                "Bps",
                about="Estimated bytes that the node which was looked at sent for each pattern, over the time windows were open, within an hour.",
            ),
            lines("Different keys and clients in a window", f"hotshard_window_distinct_keys{{{SHARD}}}", "keys", "short", [(f"hotshard_window_distinct_clients{{{SHARD}}}", "clients")], width=24),
            row("What it does: from its own counters, primaries included"),
            lines("Commands by name", f"topk({LINES}, rate(hotshard_shard_commands_total{{{SHARD}}}{rate}))", "{{command}}", "ops", stacked=True),
            lines("Engine CPU by command", f"topk({LINES}, rate(hotshard_shard_command_cpu_seconds_total{{{SHARD}}}{rate}))", "{{command}}", "percentunit", stacked=True),
            row("Its nodes"),
            lines("Commands", f"rate(hotshard_node_commands_total{{{SHARD}}}{rate})", "{{node}}", "ops", width=8),
            lines("Bytes to clients", f"rate(hotshard_node_output_bytes_total{{{SHARD}}}{rate})", "{{node}} out", "Bps", [(f"-rate(hotshard_node_input_bytes_total{{{SHARD}}}{rate})", "{{node}} in")], width=8),
            lines("Engine CPU", f"rate(hotshard_node_cpu_seconds_total{{{SHARD}}}{rate})", "{{node}}", "percentunit", width=8, thresholds=CPU),
            lines("Memory", f"hotshard_node_memory_used_bytes{{{SHARD}}}", "{{node}}", "bytes", [(f"hotshard_node_memory_max_bytes{{{SHARD}}}", "{{node}} limit")], width=8),
            lines("Clients", f"hotshard_node_connected_clients{{{SHARD}}}", "{{node}}", "short", [(f"hotshard_node_blocked_clients{{{SHARD}}}", "{{node}} blocked")], width=8),
            lines("Connections received", f"rate(hotshard_node_connections_received_total{{{SHARD}}}{rate})", "{{node}}", "cps", width=8),
            lines("Replication lag", f"hotshard_node_replication_lag_seconds{{{SHARD}}}", "{{node}}", "s", width=8),
            lines(
                "Hit rate",
                f"rate(hotshard_node_keyspace_hits_total{{{SHARD}}}{rate}) / (rate(hotshard_node_keyspace_hits_total{{{SHARD}}}{rate}) + rate(hotshard_node_keyspace_misses_total{{{SHARD}}}{rate}))",
                "{{node}}",
                "percentunit",
                about="What part of the reads found their key.",
                width=8,
            ),
            lines("Keys evicted and expired", f"rate(hotshard_node_evicted_keys_total{{{SHARD}}}{rate})", "{{node}} evicted", "ops", [(f"rate(hotshard_node_expired_keys_total{{{SHARD}}}{rate})", "{{node}} expired")], width=8),
            lines("Error replies", or_none(f"topk({LINES}, rate(hotshard_node_errors_total{{{SHARD}}}{rate}))", "error"), "{{node}} {{error}}", "ops", width=8),
            lines("Connections refused", f"rate(hotshard_node_connections_rejected_total{{{SHARD}}}{rate})", "{{node}}", "cps", width=8),
            lines("Replicas' links to their primary", f"hotshard_node_link_up{{{SHARD}}}", "{{node}}", "bool", width=8),
            row("How far to trust the windows"),
            lines("Windows by end", f"sum by (end) (increase(hotshard_windows_total{{{SHARD}}}[1h])) > 0", "{{end}}", "short", width=8),
            lines("Error of the bytes-out estimate", f"hotshard_window_output_estimate_error_ratio{{{SHARD}}}", "error", "percentunit", thresholds=steps((-0.25, GREEN), (0.25, ORANGE), base=ORANGE), width=8),
            lines("Lines of MONITOR", f"rate(hotshard_monitor_lines_total{{{SHARD}}}{rate})", "understood", "ops", [(f"sum(rate(hotshard_monitor_rejected_lines_total{{{SHARD}}}{rate}))", "not understood")], width=8),
        ],
    )


def itself():
    rate = "[$__rate_interval]"
    process = f"{{{INSTANCE},job=~\".*hotshard.*\"}}"
    return dashboard(
        "hotshard-itself",
        "hotshard / itself",
        "Whether hotshard is well: its polls, windows, discovery, archive, what it gives out, and what it costs.",
        [INSTANCES],
        [
            stat("Version", f"hotshard_build_info{{{INSTANCE}}}", "short", "{{version}}", width=6),
            stat("Age of the heartbeat", f"time() - hotshard_engine_heartbeat_timestamp_seconds{{{INSTANCE}}}", "s", "{{instance}}", width=6, thresholds=steps((30, YELLOW), (60, RED)), about="How long ago the engine last published figures."),
            stat("Configuration taken", f"hotshard_config_last_reload_successful{{{INSTANCE}}}", "bool", "{{instance}}", width=6, thresholds=steps((1, GREEN), base=RED)),
            stat("Paused", f"hotshard_paused{{{INSTANCE}}}", "bool", "{{instance}}", width=6, thresholds=steps((1, ORANGE))),
            row("What it costs"),
            lines("CPU", f"rate(process_cpu_seconds_total{process}{rate})", "{{instance}}", "percentunit", about="hotshard's own CPU, in cores.", width=8),
            lines("Memory", f"process_resident_memory_bytes{process}", "{{instance}}", "bytes", about="hotshard's own resident memory.", width=8),
            lines("Open files", f"process_open_fds{process}", "{{instance}}", "short", [(f"process_max_fds{process}", "{{instance}} limit")], about="Files and sockets hotshard has open.", width=8),
            row("Discovery and polls"),
            lines("Age of discovery", f"time() - hotshard_discovery_last_success_timestamp_seconds{{{INSTANCE}}}", "{{replication_group}}", "s", about="How long ago each group was last discovered.", width=6),
            lines("Discoveries that failed", or_none(f"sum by (replication_group, reason) (increase(hotshard_discovery_failures_total{{{INSTANCE}}}[1h]))", "reason"), "{{replication_group}} {{reason}}", "short", about="Discoveries that failed within an hour, by reason.", width=6),
            lines("Polls that failed", or_none(f"sum by (replication_group, reason) (rate(hotshard_node_poll_failures_total{{{INSTANCE}}}{rate}))", "reason"), "{{replication_group}} {{reason}}", "ops", width=6),
            lines("Slowest poll", f"topk({LINES}, max by (replication_group) (hotshard_node_poll_duration_seconds{{{INSTANCE}}}))", "{{replication_group}}", "s", width=6),
            row("Windows"),
            lines("Windows open", f"sum(hotshard_window_active{{{INSTANCE}}})", "open", "short", width=6),
            lines("Windows by end", f"sum by (end) (increase(hotshard_windows_total{{{INSTANCE}}}[1h])) > 0", "{{end}}", "short", width=6),
            lines("Windows skipped", or_none(f"sum by (reason) (increase(hotshard_windows_skipped_total{{{INSTANCE}}}[1h])) > 0", "reason"), "{{reason}}", "short", width=6),
            lines("Nodes left alone", f"sum by (replication_group) (hotshard_circuit_open{{{INSTANCE}}})", "{{replication_group}}", "short", about="Nodes on which windows failed or did harm three times running; one good window ends it.", thresholds=steps((1, ORANGE)), width=6),
            lines("MONITOR streams", f"sum(rate(hotshard_monitor_read_bytes_total{{{INSTANCE}}}{rate}))", "read", "Bps"),
            lines("Lines not understood", f"sum by (reason) (rate(hotshard_monitor_rejected_lines_total{{{INSTANCE}}}{rate}))", "{{reason}}", "ops"),
            row("Archive, where archive.path names one"),
            lines("Size", f"hotshard_archive_size_bytes{{{INSTANCE}}}", "{{instance}}", "bytes", width=6),
            lines("How far back it goes", f"time() - hotshard_archive_oldest_timestamp_seconds{{{INSTANCE}}}", "{{instance}}", "s", about="How long ago the oldest window in the archive ended.", width=6),
            lines("Rows written", f"increase(hotshard_archive_rows_total{{{INSTANCE}}}[1h])", "{{instance}}", "short", about="Rows written to the archive within an hour; they come when windows end.", width=6),
            lines(
                "Rows lost",
                or_none(f"sum by (instance, reason) (increase(hotshard_archive_dropped_rows_total{{{INSTANCE}}}[1h]))", "reason", f"0 * max(hotshard_archive_rows_total{{{INSTANCE}}})"),
                "{{instance}} {{reason}}",
                "short",
                about="Rows that could not be written to the archive within an hour, by reason; the log says once what is wrong.",
                thresholds=steps((1, RED)),
                width=6,
            ),
            row("What it gives out"),
            lines("HTTP requests", f"sum by (route, status) (rate(hotshard_http_requests_total{{{INSTANCE}}}{rate}))", "{{route}} {{status}}", "reqps", width=6),
            lines("HTTP connections refused", f"rate(hotshard_http_connections_refused_total{{{INSTANCE}}}{rate})", "{{instance}}", "cps", width=6),
            lines(
                "Pushes by OTLP",
                f"sum by (instance, outcome) (increase(hotshard_otlp_exports_total{{{INSTANCE}}}[15m]))",
                "{{instance}} {{outcome}}",
                "short",
                about="Pushes to an OpenTelemetry collector within a quarter of an hour, by what became of them; none where otlp.endpoint isn't set.",
                width=6,
            ),
            lines("Log lines dropped", f"increase(hotshard_log_dropped_lines_total{{{INSTANCE}}}[1h])", "{{instance}}", "short", about="Lines dropped within an hour because nobody read standard error.", thresholds=steps((1, ORANGE)), width=6),
        ],
    )


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for name, made in [("fleet", fleet()), ("group", group()), ("shard", shard()), ("hotshard", itself())]:
        (folder / f"{name}.json").write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
