//! `hotshard endpoints`: the nodes there are.

use std::fmt::Write as _;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;
use tokio::task::JoinSet;

use super::found::{FoundGroup, REGION, find, named, side_by_side};
use super::{Outcome, SettingsArgs, failure, log, print};
use crate::config::{GroupSettings, LogFormat, Settings};
use crate::model::{Endpoint, Role};

/// List the nodes of clusters, with their shards and roles
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hotshard endpoints -c orders -r eu-central-1 --replica-only -f monitor-cmd",
    mut_arg("config", |arg| arg.short(None))
)]
pub(super) struct EndpointsArgs {
    /// The replication group's id, or a glob; without it the groups of the configuration are listed
    #[arg(short, long = "cluster-id", visible_alias = "cluster", value_name = "ID")]
    cluster: Option<String>,
    /// The AWS region
    #[arg(short, long, requires = "cluster")]
    region: Option<String>,
    /// The profile of the shared AWS configuration
    #[arg(long, requires = "cluster")]
    profile: Option<String>,
    /// A node to find the others from, or every node with its shard, instead of asking AWS; repeatable
    #[arg(
        short,
        long = "endpoint",
        visible_alias = "endpoints",
        value_name = "HOST:PORT[:NAME]"
    )]
    endpoints: Vec<String>,
    /// Replicas alone
    #[arg(long, conflicts_with = "primary_only")]
    replica_only: bool,
    /// Primaries alone
    #[arg(long)]
    primary_only: bool,
    /// How they are written
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// An array of objects
    Json,
    /// With a line of names
    Csv,
    /// HOST:PORT:SHARD, one a line, as --endpoint takes them
    Endpoints,
    /// A redis-cli command for each node; it takes the password from REDISCLI_AUTH
    MonitorCmd,
}

#[derive(Clone, Debug, Serialize)]
struct Row {
    region: String,
    replication_group: String,
    shard: String,
    node: String,
    role: Option<Role>,
    endpoint: Endpoint,
    zone: Option<String>,
    instance_type: Option<String>,
    tls: bool,
    #[serde(skip)]
    username: Option<String>,
}

pub(super) fn run(args: &EndpointsArgs) -> anyhow::Result<Outcome> {
    let loaded = args.settings.load()?;
    let is_written = loaded.written.iter().any(|setting| setting.path == "log.level");
    let mut settings = loaded.settings;
    if !is_written {
        settings.log.level = "warn".to_owned().try_into()?;
    }
    if settings.log.format == LogFormat::Auto {
        // Somebody waits for the answer, though perhaps in a script.
        settings.log.format = LogFormat::Text;
    }
    log::start(&settings.log);
    if let Some(group) = args.group()? {
        settings.groups = vec![group];
    }
    settings.require_groups()?;
    settings.refuse_bare_tokens()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start connecting")?;
    let (rows, failures) = runtime.block_on(rows(&settings))?;
    let wanted = |row: &Row| match row.role {
        Some(Role::Primary) => !args.replica_only,
        Some(Role::Replica) => !args.primary_only,
        None => !args.replica_only && !args.primary_only,
    };
    if !rows.is_empty() || failures.is_empty() {
        let rows: Vec<Row> = rows.into_iter().filter(wanted).collect();
        print(show(&rows, args.format)?)?;
    }
    // What was found is told; whoever takes the list for all there is must know that it isn't.
    let Some((last, others)) = failures.split_last() else {
        return Ok(Outcome::Done);
    };
    others.iter().for_each(|failure| failure::say(failure));
    bail!("{last}")
}

impl EndpointsArgs {
    /// The group that the command line names, if it names one.
    fn group(&self) -> anyhow::Result<Option<GroupSettings>> {
        if self.cluster.is_none() && self.endpoints.is_empty() {
            return Ok(None);
        }
        let (cluster, region, profile) = (&self.cluster, &self.region, &self.profile);
        let group = named(
            cluster.as_deref(),
            region.as_deref(),
            profile.as_deref(),
            &self.endpoints,
        )?;
        Ok(Some(group))
    }
}

/// The nodes of all groups that were found, and why others weren't.
async fn rows(settings: &Settings) -> anyhow::Result<(Vec<Row>, Vec<String>)> {
    let answers = side_by_side(find(settings).await?, async |found| match found {
        Ok(found) => Ok(rows_of(&found).await),
        Err(text) => Err(text),
    });
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for answer in answers.await {
        match answer {
            Ok(own) => rows.extend(own),
            Err(text) => failures.push(text.replace(REGION.0, REGION.1)),
        }
    }
    Ok((rows, failures))
}

/// A row for each node; where AWS doesn't tell the role, the node itself is asked. A serverless cache has none to tell.
async fn rows_of(found: &FoundGroup) -> Vec<Row> {
    let key = &found.group.key;
    let (mut rows, mut asked) = (Vec::new(), JoinSet::new());
    for (place, (shard, node)) in found.group.nodes().enumerate() {
        if node.role.is_none() && !found.serverless {
            let (reach, endpoint) = (found.reach.clone(), node.endpoint.clone());
            asked.spawn(async move {
                let role = async { reach.link(&endpoint).await?.role().await };
                (place, role.await)
            });
        }
        rows.push(Row {
            region: key.region.to_string(),
            replication_group: key.id.to_string(),
            shard: shard.id.to_string(),
            node: node.id.to_string(),
            role: node.role,
            endpoint: node.endpoint.clone(),
            zone: node.zone.clone(),
            instance_type: node.instance_type.clone(),
            tls: found.reach.dialer.encrypts(),
            username: found.reach.credentials.username().map(str::to_owned),
        });
    }
    for (place, role) in asked.join_all().await {
        match role {
            Ok(role) => rows[place].role = Some(role.role()),
            Err(error) => tracing::warn!("{error}"),
        }
    }
    rows
}

fn show(rows: &[Row], format: Format) -> anyhow::Result<String> {
    let mut text = String::new();
    match format {
        Format::Table => {
            let lines: Vec<[String; 9]> = [NAMES.map(str::to_owned)]
                .into_iter()
                .chain(rows.iter().map(cells))
                .collect();
            let width = |place: usize| lines.iter().map(|line| line[place].chars().count()).max();
            let widths: Vec<usize> = (0..NAMES.len()).map(|place| width(place).unwrap_or(0)).collect();
            for line in &lines {
                let padded = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
                writeln!(text, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())?;
            }
        }
        Format::Json => writeln!(text, "{}", serde_json::to_string_pretty(rows)?)?,
        Format::Csv => {
            writeln!(text, "{}", NAMES.join(","))?;
            for row in rows {
                writeln!(text, "{}", cells(row).map(|cell| quoted(&cell)).join(","))?;
            }
        }
        Format::Endpoints => rows
            .iter()
            .try_for_each(|row| writeln!(text, "{}:{}", row.endpoint, row.shard))?,
        Format::MonitorCmd => rows.iter().try_for_each(|row| writeln!(text, "{}", command(row)))?,
    }
    Ok(text)
}

const NAMES: [&str; 9] = [
    "region",
    "replication_group",
    "shard",
    "node",
    "role",
    "endpoint",
    "zone",
    "instance_type",
    "tls",
];

fn cells(row: &Row) -> [String; 9] {
    [
        row.region.clone(),
        row.replication_group.clone(),
        row.shard.clone(),
        row.node.clone(),
        row.role.map_or("unknown", Role::as_str).to_owned(),
        row.endpoint.to_string(),
        row.zone.clone().unwrap_or_default(),
        row.instance_type.clone().unwrap_or_default(),
        row.tls.to_string(),
    ]
}

/// A cell of CSV. A spreadsheet takes what begins with an operator for a formula.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) || cell.starts_with(['=', '+', '-', '@']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell.to_owned()
}

/// redis-cli takes the password from the environment: on the command line everybody on the machine could read it.
fn command(row: &Row) -> String {
    let mut text = format!("redis-cli -h {} -p {}", word(row.endpoint.host()), row.endpoint.port());
    if row.tls {
        text.push_str(" --tls");
    }
    if let Some(user) = &row.username {
        let _ = write!(text, " --user {}", word(user));
    }
    text + " monitor"
}

/// A word of a shell command. Names come from others, so anything unusual is quoted.
fn word(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || ".:-_%".contains(letter);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: Format, expected: &str) {
        let row = |node: &str, role, host, tls| Row {
            region: "eu-west-1".into(),
            replication_group: "orders".into(),
            shard: "0001".into(),
            node: node.into(),
            role,
            endpoint: Endpoint::new(host, 6379),
            zone: Some("eu-west-1a".into()),
            instance_type: None,
            tls,
            username: tls.then(|| "it's".to_owned()),
        };
        let rows = [
            row("orders-0001-001", Some(Role::Primary), "orders.example", true),
            row("orders-0001-002", None, "fd00::7", false),
        ];
        assert_eq!(show(&rows, format).expect("it can be shown"), expected);
    }

    #[test]
    fn nodes_are_listed_in_every_format() {
        check(
            Format::MonitorCmd,
            "redis-cli -h orders.example -p 6379 --tls --user 'it'\\''s' monitor\nredis-cli -h fd00::7 -p 6379 monitor\n",
        );
        check(Format::Endpoints, "orders.example:6379:0001\n[fd00::7]:6379:0001\n");
        check(
            Format::Csv,
            "region,replication_group,shard,node,role,endpoint,zone,instance_type,tls\n\
             eu-west-1,orders,0001,orders-0001-001,primary,orders.example:6379,eu-west-1a,,true\n\
             eu-west-1,orders,0001,orders-0001-002,unknown,[fd00::7]:6379,eu-west-1a,,false\n",
        );
    }
}
