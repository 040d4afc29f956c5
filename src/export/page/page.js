"use strict";

// Draws what the event stream tells. Nothing is rebuilt that is still there: an update changes texts and lengths, so the page
// keeps still while it is read.

const SIGNALS = { commands: "Commands", bytes_out: "Bytes out", cpu: "CPU" };
const STATUSES = { very_hot: "very hot", hot: "hot", normal: "normal", cold: "cold", idle: "idle", unknown: "unknown" };
const HEAT = ["very_hot", "hot", "normal", "cold", "idle", "unknown"];
const ENDS = {
  duration: "its time was over", commands: "it had seen enough commands", bytes: "it had read enough bytes",
  server_buffer: "guard: the server's buffer", read_rate: "guard: the stream was too fast", memory: "guard: memory",
  evictions: "guard: evictions", cpu: "guard: CPU", replication_lag: "guard: replication lag",
  guard_lost: "the guard's connection failed", overloaded: "the stream fell behind", frozen: "hotshard itself stood still", role_changed: "the node's role changed",
  server_closed: "the server closed it", connection_failed: "the connection failed", paused: "windows were paused",
  shutdown: "hotshard was stopping",
};
const ROWS = 12;
const SILENCE = 25000;

const found = (id) => document.getElementById(id);
const state = { known: null, open: new Map(), signal: "commands", signalChosen: false, chosen: null, heard: 0, moved: 0, at: "" };
const groups = new Map();

// Numbers

// Between a number and its unit, where no line breaks.
const GAP = "\u00a0";
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = (number) => {
  const [divisor, unit] = number >= 1e9 ? [1e9, "G"] : number >= 1e6 ? [1e6, "M"] : number >= 1e4 ? [1e3, "k"] : [1, ""];
  const shown = number / divisor;
  return (unit && shown < 100 ? shown.toFixed(1) : whole.format(shown)) + unit;
};
const bytes = (number) => {
  const [divisor, unit] = number >= 1e9 ? [1e9, "GB"] : number >= 1e6 ? [1e6, "MB"] : number >= 1e3 ? [1e3, "kB"] : [1, "B"];
  const shown = number / divisor;
  return (divisor > 1 && shown < 100 ? shown.toFixed(1) : whole.format(shown)) + GAP + unit;
};
const percent = (ratio) => (ratio == null ? "–" : (ratio > 0 && ratio < 0.005 ? "<1" : whole.format(ratio * 100)) + GAP + "%");
/** Of a core: shards that do little differ in less than one percent. */
const cores = (ratio) => (ratio < 0.0995 ? (ratio * 100).toFixed(1) : whole.format(ratio * 100)) + GAP + "%";
const signed = (ratio) => (ratio == null ? "" : (ratio <= -0.005 ? "−" : ratio < 0.005 ? "±" : "+") + whole.format(Math.abs(ratio) * 100) + GAP + "%");
const times = (ratio) => (ratio == null ? "–" : ratio.toFixed(1) + GAP + "×");
const rate = (signal, number) => {
  if (number == null) return "–";
  if (signal === "commands") return compact(number) + "/s";
  return signal === "bytes_out" ? bytes(number) + "/s" : cores(number);
};
const span = (seconds) => (seconds < 0.95 ? seconds.toFixed(1) : seconds.toFixed(0)) + GAP + "s";
const ago = (seconds) => {
  if (seconds < 100) return Math.max(0, Math.round(seconds)) + " s ago";
  return seconds < 5400 ? Math.round(seconds / 60) + " min ago" : Math.round(seconds / 3600) + " h ago";
};

// Elements

function made(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
function write(element, text) { if (element.textContent !== text) element.textContent = text; }
function mark(element, name, value) {
  if (value == null || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}
function place(parent, children) {
  children.forEach((child, index) => { if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] || null); });
  while (parent.children.length > children.length) parent.lastElementChild.remove();
}

// What stands out

const rank = (status) => HEAT.indexOf(status);
const signalsOf = (shard) => Object.keys(SIGNALS).map((name) => ({ name, ...shard.signals[name] }));
/** The signal in which a shard stands out most. */
function hottest(shard) {
  return signalsOf(shard).reduce((best, next) => {
    const order = rank(next.status) - rank(best.status);
    return order < 0 || (order === 0 && (next.deviation_ratio ?? -2) > (best.deviation_ratio ?? -2)) ? next : best;
  });
}
const isHot = (shard) => rank(hottest(shard).status) <= 1;
/** Hottest first; small changes don't reorder, or rows would dance. */
function byHeat(left, right) {
  const [a, b] = [hottest(left), hottest(right)];
  const step = (signal) => Math.round((signal.deviation_ratio ?? 0) * 4);
  return rank(a.status) - rank(b.status) || step(b) - step(a) || left.shard.localeCompare(right.shard);
}
const keyOf = (group) => group.region + "/" + group.group;
function meanOf(group, signal) {
  for (const shard of group.shards) {
    const { rate, deviation_ratio: deviation } = shard.signals[signal];
    if (rate > 0 && deviation != null && deviation > -1) return rate / (1 + deviation);
  }
  return null;
}
function scaleOf(group, signal, mean) {
  const top = Math.max(...group.shards.map((shard) => shard.signals[signal].rate ?? 0), (mean ?? 0) * 1.6, 1e-9);
  const power = 10 ** Math.floor(Math.log10(top));
  return [1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= top) ?? top;
}

// A group

function groupCard(key) {
  const title = made("h2"), about = made("span", { class: "about" }), tally = made("span", { class: "tally" });
  const bars = made("div", { class: "bars", "aria-hidden": "true" }), names = made("div", { class: "names", "aria-hidden": "true" });
  const mean = made("div", { class: "mean" }, made("em"));
  const head = made("tr", {},
    made("th", { scope: "col", class: "name", text: "Shard" }), made("th", { scope: "col", class: "state", text: "Status" }),
    ...Object.entries(SIGNALS).map(([name, text]) => made("th", { scope: "col", class: name, text })),
    made("th", { scope: "col", class: "skew", text: "Skew", title: "Over the median of the other shards" }));
  const body = made("tbody"), table = made("table", { class: "figures" }, made("thead", {}, head), body);
  const more = made("button", { class: "more", type: "button" });
  const element = made("details", { class: "card group" },
    made("summary", {}, title, about, tally), bars, names,
    table, more);
  const card = { key, element, table, title, about, tally, bars, names, mean, body, more, all: false, opened: false, rows: new Map(), columns: new Map() };
  more.addEventListener("click", () => { card.all = !card.all; draw(); });
  body.addEventListener("keydown", walk);
  return card;
}
/** Why nothing is known of a group, in the words of its metrics. */
function failure(group) {
  const reasons = Object.keys(group.discovery_failures);
  return reasons.length ? "discovery fails (" + reasons.join(", ") + ")" : "";
}
function walk(event) {
  const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
  const row = step && event.target.closest("tr")?.[step];
  if (row) { row.querySelector("button").focus(); event.preventDefault(); }
}
function drawGroup(card, group, quietFrom, index) {
  const hot = group.shards.filter(isHot);
  if (!card.opened) { card.element.open = hot.length > 0 || index < quietFrom; card.opened = true; }
  write(card.title, group.group);
  const count = group.shards.length;
  const open = group.shards.filter((shard) => openOf(card.key, shard.shard)).length;
  write(card.about, [group.region, count === 1 ? "1 shard" : whole.format(count) + " shards", count ? "" : failure(group),
    open ? (open === 1 ? "1 window open" : whole.format(open) + " windows open") : ""].filter(Boolean).join(" · "));
  const worst = hot.some((shard) => hottest(shard).status === "very_hot") ? "very_hot" : hot.length ? "hot" : "quiet";
  mark(card.tally, "data-status", worst);
  const compared = group.shards.some((shard) => hottest(shard).status !== "unknown");
  write(card.tally, hot.length ? "▲ " + whole.format(hot.length) + " hot" : compared ? "none hot" : "unknown");
  card.table.hidden = count === 0;
  const sorted = [...group.shards].sort(byHeat);
  drawBars(card, group);
  const shown = card.all || count <= ROWS ? sorted : sorted.slice(0, ROWS);
  place(card.body, shown.map((shard) => drawRow(card, group, shard)));
  forget(card.rows, shown);
  card.more.hidden = count <= ROWS;
  write(card.more, card.all ? "Show the hottest only" : "Show all " + whole.format(count) + " shards");
}
function forget(elements, shards) {
  const kept = new Set(shards.map((shard) => shard.shard));
  for (const name of elements.keys()) if (!kept.has(name)) elements.delete(name);
}
function drawBars(card, group) {
  const signal = state.signal, mean = meanOf(group, signal), scale = scaleOf(group, signal, mean);
  const dense = group.shards.length > 14, alone = group.shards.length < 2;
  for (const part of [card.bars, card.names]) {
    mark(part, "data-dense", dense ? "" : null);
    mark(part, "data-many", group.shards.length > 8 ? "" : null);
    part.hidden = alone;
    part.style.setProperty("--count", group.shards.length);
  }
  const columns = group.shards.map((shard) => {
    let column = card.columns.get(shard.shard);
    if (!column) {
      column = { bar: made("div", { class: "bar" }, made("i"), made("span")), name: made("span", { text: shard.shard, title: shard.shard }) };
      column.bar.addEventListener("click", () => choose(card.key, shard.shard));
      card.columns.set(shard.shard, column);
    }
    const { rate: value, status, deviation_ratio: deviation } = shard.signals[signal];
    const height = ((value ?? 0) / scale) * 100;
    mark(column.bar, "data-status", status);
    mark(column.bar, "aria-current", isChosen(card.key, shard.shard) ? "true" : null);
    mark(column.bar, "title", shard.shard + ": " + rate(signal, value) + " " + signed(deviation));
    column.bar.firstChild.style.height = height + "%";
    column.bar.lastChild.style.bottom = height + "%";
    write(column.bar.lastChild, rate(signal, value));
    return column;
  });
  forget(card.columns, group.shards);
  place(card.bars, [...columns.map((column) => column.bar), card.mean]);
  place(card.names, columns.map((column) => column.name));
  card.mean.hidden = mean == null;
  if (mean != null) {
    card.mean.style.bottom = "calc((100% - 1.5rem) * " + mean / scale + ")";
    write(card.mean.firstChild, "mean " + rate(signal, mean));
  }
}
function drawRow(card, group, shard) {
  let row = card.rows.get(shard.shard);
  if (!row) {
    const button = made("button", { type: "button", text: shard.shard, title: shard.shard }), status = made("span", { class: "status" });
    const cells = Object.fromEntries(Object.keys(SIGNALS).map((name) => [name,
      made("div", { class: "signal" }, made("span", { class: "rate" }), made("span", { class: "deviation" }),
        made("div", { class: "meter", "aria-hidden": "true" }, made("i"), made("b")))]));
    const skew = made("td", { class: "skew" });
    const element = made("tr", {}, made("td", { class: "name" }, button), made("td", { class: "state" }, status),
      ...Object.entries(cells).map(([name, cell]) => made("td", { class: name }, cell)), skew);
    element.addEventListener("click", () => choose(card.key, shard.shard));
    row = { element, button, status, cells, skew };
    card.rows.set(shard.shard, row);
  }
  const top = hottest(shard);
  mark(row.element, "data-window", openOf(card.key, shard.shard) ? "" : null);
  mark(row.element, "aria-selected", isChosen(card.key, shard.shard) ? "true" : null);
  mark(row.button, "aria-pressed", isChosen(card.key, shard.shard));
  mark(row.status, "data-status", top.status);
  write(row.status, STATUSES[top.status]);
  for (const [name, cell] of Object.entries(row.cells)) {
    const { rate: value, deviation_ratio: deviation, status } = shard.signals[name];
    const mean = meanOf(group, name), scale = scaleOf(group, name, mean);
    mark(cell, "data-status", status);
    write(cell.children[0], rate(name, value));
    write(cell.children[1], signed(deviation));
    const [length, tick] = cell.lastChild.children;
    length.style.width = ((value ?? 0) / scale) * 100 + "%";
    tick.hidden = mean == null;
    if (mean != null) tick.style.left = (mean / scale) * 100 + "%";
  }
  write(row.skew, times(top.skew_ratio));
  return row.element;
}

// Windows that are open

const openOf = (key, shard) => state.open.get(key + "/" + shard);
function drawLive(window) {
  detail.live.hidden = !window;
  if (!window) return;
  const { open_seconds: open, duration_seconds: lasts, guard } = window;
  const speed = window.commands_per_second == null ? "" : compact(window.commands_per_second) + "/s now";
  write(detail.liveText, ["A window is open: " + Math.min(open, lasts).toFixed(0) + " of " + lasts.toFixed(0) + " s",
    compact(window.commands) + " commands", speed, bytes(window.bytes_read) + " read"].filter(Boolean).join(" · ")
    + ". Guards are fine: the server holds " + bytes(guard.server_buffer_bytes) + " for it"
    + (guard.behind_seconds >= 0.05 ? ", the stream is " + guard.behind_seconds.toFixed(1) + " s behind" : "") + ".");
  mark(detail.live, "title", window.node);
  detail.liveBar.style.width = Math.min(1, lasts > 0 ? open / lasts : 1) * 100 + "%";
}
function takeOpen(text) {
  state.heard = Date.now();
  state.open = new Map(JSON.parse(text).windows.map((window) => [keyOf(window) + "/" + window.shard, window]));
  draw();
}

// The chosen shard

const isChosen = (key, shard) => { const chosen = chosenShard(); return chosen && chosen.key === key && chosen.shard.shard === shard; };
function choose(key, shard) { state.chosen = { key, shard }; chosenNow = undefined; draw(); }
let chosenNow;
function chosenShard() { return chosenNow === undefined ? (chosenNow = lookUp()) : chosenNow; }
function lookUp() {
  if (!state.known) return null;
  const find = (key, name) => {
    const group = state.known.groups.find((group) => keyOf(group) === key);
    const shard = group?.shards.find((shard) => shard.shard === name);
    return shard ? { key, group, shard } : null;
  };
  return (state.chosen && find(state.chosen.key, state.chosen.shard)) || first();
}
/** The hottest shard of all. */
function first() {
  let best = null;
  for (const group of state.known.groups) {
    for (const shard of group.shards) if (!best || byHeat(shard, best.shard) < 0) best = { key: keyOf(group), group, shard };
  }
  return best;
}
const LISTS = [
  ["patterns", "pattern", "Patterns of keys"], ["commands_by_name", "command", "Commands"], ["clients", "client", "Clients"],
  ["keys", "key", "Keys"], ["slots", "slot", "Slots"], ["bytes_out", "pattern", "Bytes out by pattern, estimated"],
];
const detail = {};
function buildDetail() {
  const fact = (text) => { const value = made("dd"); return { value, nodes: [made("dt", { text }), value] }; };
  const list = (title) => {
    const items = Array.from({ length: 5 }, () => made("li", {}, made("i"), made("code"), made("span", { class: "share" })));
    items[0].className = "top";
    return { items, element: made("section", {}, made("h3", { text: title }), made("ol", { class: "list" }, ...items)) };
  };
  detail.name = made("span"); detail.status = made("span", { class: "status" });
  detail.where = made("span"); detail.follow = made("button", { class: "follow", type: "button", text: "Follow the hottest" });
  detail.follow.addEventListener("click", () => { state.chosen = null; chosenNow = undefined; draw(); });
  detail.facts = { reads: fact("Reads seen"), writes: fact("Writes seen"), complete: fact("Complete"), keys: fact("Distinct keys") };
  detail.liveText = made("p"); detail.liveBar = made("i");
  detail.live = made("div", { class: "live", hidden: "" }, detail.liveText, made("div", { class: "meter", "aria-hidden": "true" }, detail.liveBar));
  detail.seen = made("p", { class: "seen" }); detail.caution = made("p", { class: "caution" });
  detail.lists = Object.fromEntries(LISTS.map(([name, , title]) => [name, list(title)]));
  detail.nodes = made("tbody");
  const { patterns, commands_by_name: commands, clients, keys, slots, bytes_out: sent } = detail.lists;
  detail.window = made("div", {}, patterns.element, sent.element, keys.element,
    made("div", { class: "pair" }, commands.element, clients.element, slots.element));
  found("detail").append(
    made("h2", {}, detail.name, detail.status), made("p", { class: "where" }, detail.where, detail.follow), detail.live, detail.seen,
    made("dl", { class: "facts" }, ...Object.values(detail.facts).flatMap((fact) => fact.nodes)), detail.caution, detail.window,
    made("h3", { text: "Nodes" }), made("table", { class: "nodes" }, detail.nodes));
}
function drawDetail() {
  const chosen = chosenShard();
  found("detail").hidden = !chosen;
  if (!chosen) return;
  const { group, shard } = chosen, top = hottest(shard), window = shard.window;
  write(detail.name, "Shard " + shard.shard);
  mark(detail.status, "data-status", top.status);
  write(detail.status, STATUSES[top.status]);
  write(detail.where, group.group + (shard.slots == null ? "" : " · " + whole.format(shard.slots) + " slots"));
  detail.follow.hidden = !state.chosen;
  mark(found("detail"), "data-hot", isHot(shard) ? "" : null);
  drawLive(openOf(chosen.key, shard.shard));
  write(detail.seen, window ? seen(window) : shard.windows_open ? "The first window is open now."
    : "No window yet: signals say how hot it is, a window says why.");
  const low = (ratio) => ratio != null && ratio < 0.5;
  drawFact(detail.facts.reads, percent(window?.coverage.reads), low(window?.coverage.reads));
  drawFact(detail.facts.writes, percent(window?.coverage.writes), low(window?.coverage.writes));
  drawFact(detail.facts.complete, percent(window?.completeness_ratio), low(window?.completeness_ratio));
  drawFact(detail.facts.keys, window ? compact(window.distinct_keys) : "–", false);
  write(detail.caution, [shard.incomplete ? "A node doesn't answer, so the rates miss its part." : "", caution(window)].filter(Boolean).join(" "));
  const entries = (name) => (name === "bytes_out" ? window?.bytes_out?.patterns : window?.[name]) ?? [];
  for (const [name, key] of LISTS) drawList(detail.lists[name].items, entries(name), key);
  detail.lists.bytes_out.element.hidden = !entries("bytes_out").length;
  place(detail.nodes, shard.nodes.map((node, index) => drawNode(detail.nodes.children[index], node)));
}
function seen(window) {
  const age = (Date.parse(state.known.at) - Date.parse(window.ended_at)) / 1000;
  const end = window.end === "duration" ? "" : " It ended early: " + (ENDS[window.end] ?? window.end) + ".";
  return "Last window: " + compact(window.commands) + " commands in " + span(window.duration_seconds) + " on "
    + window.role + " " + window.node + ", " + ago(age) + "." + end;
}
function caution(window) {
  if (!window) return "";
  const { reads, writes } = window.coverage;
  const low = [reads, writes].some((seen) => seen != null && seen < 0.5);
  // What would show more is the server's to say: it knows where the rest went.
  return low ? "It " + (window.coverage_hint ?? "saw little of the traffic") + ". Of what it doesn't see it names no cause." : "";
}
function drawFact(fact, text, low) { write(fact.value, text); mark(fact.value, "data-low", low ? "" : null); }
function drawList(items, entries, key) {
  items.forEach((item, index) => {
    const entry = entries[index], [length, name, share] = item.children;
    write(name, entry ? String(entry[key]) : "");
    mark(name, "title", entry ? entry[key] + (entry.example_key ? ", such as " + entry.example_key : "") : null);
    write(share, entry ? (entry.bytes_per_second == null ? "" : bytes(entry.bytes_per_second) + "/s · ") + percent(entry.share) : "");
    // The whole row but the place of its figure.
    length.style.width = "calc((100% - 3.2rem) * " + Math.min(1, entry?.share ?? 0) + ")";
  });
}
function drawNode(row, node) {
  row ??= made("tr", {}, made("td"), made("td"), made("td"), made("td"));
  const [name, role, memory, clients] = row.children;
  write(name, node.node);
  mark(name, "title", [node.endpoint, node.instance_type, node.zone, node.engine].filter(Boolean).join(" · "));
  write(role, node.up ? node.role ?? "–" : "no answer");
  mark(role, "class", node.up ? null : "down");
  write(memory, node.memory_used_bytes == null ? "" : bytes(node.memory_used_bytes));
  write(clients, node.connected_clients == null ? "" : compact(node.connected_clients) + " clients");
  return row;
}

// The answer

function drawVerdict() {
  const top = first(), head = found("verdict-head"), why = found("verdict-why");
  if (!top) {
    mark(found("verdict"), "data-status", "unknown");
    const failing = state.known.groups.filter(failure);
    write(head, "No shard is known yet");
    write(why, failing.length ? failing.slice(0, 3).map((group) => group.group + ": " + failure(group)).join("; ") + ". The log says why."
      : state.known.groups.length ? "Discovery has found nothing so far." : "There is no group to watch.");
    document.title = "hotshard";
    return;
  }
  const { group, shard } = top, signal = hottest(shard), hot = rank(signal.status) <= 1;
  const others = state.known.groups.reduce((sum, group) => sum + group.shards.filter(isHot).length, 0) - 1;
  mark(found("verdict"), "data-status", signal.status);
  if (!hot) {
    const unknown = signal.status === "unknown";
    const alone = state.known.groups.every((group) => group.shards.length < 2);
    write(head, unknown ? (alone ? "Nothing to compare: one shard has no siblings" : "Nothing to compare yet") : signal.status === "idle" ? "Too little load to compare" : "No shard is hot");
    write(why, unknown ? (alone ? "Its load and what windows see are below." : "A comparison needs two polls of at least two shards.") : furthest());
    document.title = "hotshard";
    return;
  }
  write(head, "Shard " + shard.shard + " of " + group.group + " is " + STATUSES[signal.status] + ": " + spoken(signal) + ", " + signed(signal.deviation_ratio)
    + " over the mean" + (others > 0 ? " (" + whole.format(others) + " more " + (others === 1 ? "is" : "are") + " hot)" : ""));
  document.title = "▲ " + shard.shard + " " + STATUSES[signal.status] + " · hotshard";
  const findings = group.diagnosis.filter((one) => one.shard === shard.shard);
  const finding = findings.find((one) => one.signal === signal.name) ?? findings[0];
  if (finding) return write(why, [finding.sentence, ...finding.evidence.slice(1, 3), ...finding.advice.slice(0, 1)].map(asSentence).join(" "));
  drawWhy(why, shard.window);
}
const asSentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + ".";
/** Which shard is furthest above its siblings though none is hot. */
function furthest() {
  const all = state.known.groups.flatMap((group) => group.shards.flatMap((shard) => signalsOf(shard).map((signal) => ({ group, shard, signal }))));
  const { group, shard, signal } = all.reduce((best, next) =>
    (next.signal.deviation_ratio ?? -2) > (best.signal.deviation_ratio ?? -2) ? next : best);
  if (signal.deviation_ratio == null) return "";
  return "Furthest above its siblings: shard " + shard.shard + " of " + group.group + ", " + signed(signal.deviation_ratio)
    + " in " + SIGNALS[signal.name].toLowerCase() + ".";
}
function spoken({ name, rate: value }) {
  if (name === "commands") return compact(value) + " commands/s";
  return rate(name, value) + (name === "cpu" ? " CPU" : " out");
}
function drawWhy(why, window) {
  const doubt = caution(window), pattern = window?.patterns[0];
  if (!window || doubt || !pattern) return write(why, doubt || (window ? "The last window saw no keys." : "Why is not known before its first window."));
  const parts = [["Seen in the last window: "], [percent(pattern.share) + " of key touches are ", pattern.pattern]];
  const command = window.commands_by_name[0], slot = window.slots[0], key = window.keys[0], client = window.clients[0];
  if (command) parts.push([", " + percent(command.share) + " of commands are ", command.command]);
  if (key && key.share > 0.25) parts.push([", " + percent(key.share) + " hit the key ", key.key]);
  else if (slot && slot.share > 0.25) parts.push([", " + percent(slot.share) + " fall into slot ", String(slot.slot)]);
  if (client && client.share > 0.5) parts.push([", " + percent(client.share) + " come from ", client.client]);
  const text = parts.flat().join("") + ".";
  if (why.textContent === text) return;
  why.replaceChildren(...parts.flatMap(([plain, code]) => (code ? [plain, made("b", {}, made("code", { text: code }))] : [plain])), ".");
}

// The whole

function draw() {
  if (!state.known) return;
  chosenNow = undefined;
  const sorted = state.known.groups.map((group) => ({ group, top: [...group.shards].sort(byHeat)[0] })).sort((left, right) =>
    (left.top && right.top ? byHeat(left.top, right.top) : left.top ? -1 : 1) || keyOf(left.group).localeCompare(keyOf(right.group)));
  place(found("groups"), sorted.map(({ group }, index) => {
    const key = keyOf(group);
    if (!groups.has(key)) groups.set(key, groupCard(key));
    drawGroup(groups.get(key), group, 3, index);
    return groups.get(key).element;
  }));
  const kept = new Set(state.known.groups.map(keyOf));
  for (const key of groups.keys()) if (!kept.has(key)) groups.delete(key);
  found("paused").hidden = !state.known.paused;
  mark(document.body, "data-signal", state.signal);
  drawVerdict();
  drawDetail();
}
function take(text) {
  state.known = JSON.parse(text);
  state.heard = Date.now();
  if (state.known.at !== state.at) { state.at = state.known.at; state.moved = Date.now(); }
  const top = first();
  if (!state.signalChosen && top && isHot(top.shard)) showSignal(hottest(top.shard).name);
  draw();
  drawConnection();
}
function showSignal(name) {
  state.signal = name;
  document.querySelector(`input[name="signal"][value="${name}"]`).checked = true;
}
function drawConnection(closed) {
  const now = Date.now(), lost = closed || (state.heard && now - state.heard > SILENCE);
  const stalled = !lost && state.moved && now - state.moved > 2 * SILENCE;
  const line = found("connection"), alarm = found("lost");
  const since = state.at ? "the figures below are from " + new Date(state.at).toLocaleTimeString() : "nothing was heard yet";
  document.body.toggleAttribute("data-lost", Boolean((lost || stalled) && state.known));
  mark(line, "data-state", lost || stalled ? "lost" : state.heard ? "live" : "waiting");
  write(found("connection-text"), lost ? "connection lost" : stalled ? "no new figures"
    : state.heard ? "live, updated " + ago((now - state.moved) / 1000) : "connecting…");
  alarm.hidden = !(lost || stalled);
  if (lost) write(alarm, "No connection to hotshard: " + since + ". Trying again.");
  else if (stalled) write(alarm, "hotshard answers but has measured nothing new: " + since + ".");
}
let closed = false;
function listen() {
  const events = new EventSource("api/v1/events");
  events.addEventListener("groups", (event) => { closed = false; take(event.data); });
  events.addEventListener("windows", (event) => { closed = false; takeOpen(event.data); });
  events.addEventListener("alive", () => { closed = false; state.heard = Date.now(); drawConnection(); });
  events.addEventListener("error", () => {
    closed = true;
    drawConnection(true);
    // A refused request isn't tried again by the browser itself.
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  });
}

for (const input of document.querySelectorAll('input[name="signal"]')) {
  input.addEventListener("change", () => { state.signalChosen = true; state.signal = input.value; draw(); });
}
buildDetail();
listen();
setInterval(() => drawConnection(closed), 1000);
