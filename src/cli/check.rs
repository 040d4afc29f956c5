//! `hotshard check`: is the configuration sound, and what would be watched?

mod around;
mod connect;
mod rights;

use std::fmt::Write as _;
use std::fs::File;
use std::time::Duration;

use anyhow::bail;
use clap::Args;

use self::around::Around;
use self::connect::Met;
use super::{Outcome, SettingsArgs};
use crate::config::{GroupSettings, Loaded, Members, Settings};
use crate::discovery::elasticache::{self, Selection};
use crate::engine::precheck::Granted;
use crate::engine::settings::NodeChoice;
use crate::model::written::show_duration;
use crate::node::AuthSettings;
use crate::node::rights::{GENERATIONS, Generation};

/// Check a configuration and tell what would be watched
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hotshard check --config hotshard.toml --connect")]
pub(super) struct CheckArgs {
    /// Try every node too: its role and version, what it serves, which rights are missing, how it bounds its buffers
    #[arg(long)]
    connect: bool,
    /// Print the ACL rule of every version of a server, not only of those that were met
    #[arg(long)]
    every_version: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(super) fn run(args: &CheckArgs) -> anyhow::Result<Outcome> {
    let loaded = args.settings.load()?;
    loaded.settings.require_groups()?;
    let around = Around::look(&loaded.settings, args.connect)?;
    super::print(describe(&loaded, &around))?;
    let met = match args.connect {
        true => connect::run(&loaded.settings)?,
        false => Met::default(),
    };
    let generations = match (args.every_version, met.generations.is_empty()) {
        (true, _) => GENERATIONS.to_vec(),
        (false, true) => vec![Generation::COMMON],
        (false, false) => met.generations.iter().copied().collect(),
    };
    super::print(rights::describe(&loaded.settings, &generations))?;
    met.verdict()?;
    // The daemon would go on without an archive, and so does whoever asks about the configuration alone.
    if args.connect && around.archive.is_err() {
        bail!("nothing would be archived; the lines above say why");
    }
    Ok(Outcome::Done)
}

/// What would be watched, how, and which settings made it so.
fn describe(loaded: &Loaded, around: &Around) -> String {
    let mut text = String::from("The configuration is sound.\n\n");
    // Writing to a String can't fail.
    let _ = groups(&mut text, &loaded.settings);
    let _ = routine(&mut text, &loaded.settings, around);
    let _ = origins(&mut text, loaded);
    text
}

fn groups(text: &mut String, settings: &Settings) -> std::fmt::Result {
    writeln!(text, "Groups:")?;
    for group in &settings.groups {
        match group.members() {
            Ok(Members::Seeds(seeds)) => {
                let shown: Vec<String> = seeds.iter().map(ToString::to_string).collect();
                writeln!(text, "  {}: the cluster found from {}", group.key(), shown.join(" or "))?;
            }
            Ok(Members::Given(nodes)) => {
                writeln!(text, "  {}: these nodes", group.key())?;
                for (endpoint, shard) in nodes {
                    writeln!(text, "    {endpoint} in shard {shard}")?;
                }
            }
            Ok(Members::ElastiCache(selection)) => {
                let access = group.access(&settings.discovery);
                writeln!(text, "  {}: {}", group.key(), in_aws(&selection, &access))?;
            }
            // It was refused when it was read.
            Err(_) => continue,
        }
        writeln!(text, "    {}", encryption(settings, group))?;
        writeln!(text, "    {}", login(settings.auth_of(group)))?;
    }
    Ok(())
}

fn in_aws(selection: &Selection, access: &elasticache::Access) -> String {
    let mut text = match selection.is_glob() {
        true => format!("every cache that ElastiCache calls {}", selection.id),
        false => "the cache that ElastiCache calls so".to_owned(),
    };
    for (name, value) in &selection.tags {
        let _ = write!(text, ", with the tag {name} = {value}");
    }
    let region = access.region.as_deref().unwrap_or("of the environment or the profile");
    let _ = write!(text, ", in the region {region}");
    if let Some(profile) = &access.profile {
        let _ = write!(text, ", asked with the profile {profile}");
    }
    if let Some(role) = &access.role_arn {
        let _ = write!(text, ", asked as {role}");
    }
    text
}

fn encryption(settings: &Settings, group: &GroupSettings) -> String {
    let tls = settings.tls_of(group);
    if matches!(group.members(), Ok(Members::ElastiCache(_))) && tls.enabled.is_none() {
        return "over TLS where AWS says so".to_owned();
    }
    match (&tls.ca_file, tls.insecure) {
        _ if !settings.is_encrypted(group) => "in plain text".to_owned(),
        (_, true) => "over TLS, with whatever certificate they show (tls.insecure)".to_owned(),
        (Some(file), false) => format!("over TLS, with certificates of {}", file.display()),
        (None, false) => "over TLS, with certificates the operating system trusts".to_owned(),
    }
}

fn login(auth: &AuthSettings) -> String {
    let mut sources = Vec::new();
    if let Some(name) = &auth.password_env {
        let set = if std::env::var_os(name).is_some() {
            ""
        } else {
            " (not set here)"
        };
        sources.push(format!("the variable {name}{set}"));
    }
    if let Some(path) = &auth.password_file {
        // A name under which there is nothing may be the password itself, written in the wrong place.
        sources.push(match File::open(path) {
            Ok(_) => format!("the file {}", path.display()),
            Err(_) => "the file of auth.password_file (can't be read here)".to_owned(),
        });
    }
    if let Some(secret) = &auth.secret {
        sources.push(format!("the secret {secret} of AWS Secrets Manager"));
    }
    if let Some(user) = &auth.iam_user {
        sources.push(format!("a token of IAM for {user}"));
    }
    let user = auth
        .username
        .as_ref()
        .map_or_else(String::new, |user| format!(" as {user}"));
    match sources.is_empty() {
        true => format!("without a password{user}"),
        false => format!("with the password in {}{user}", sources.join(" or ")),
    }
}

fn routine(text: &mut String, settings: &Settings, around: &Around) -> std::fmt::Result {
    let (poll, web) = (&settings.poll, &settings.web);
    writeln!(text, "\nLoad: INFO of every node each {}", show_duration(poll.interval))?;
    writeln!(text, "Windows: {}", windows(settings))?;
    let addresses: Vec<String> = web.listen_address.iter().map(ToString::to_string).collect();
    writeln!(text, "Figures: {} at {}", web.telemetry_path, addresses.join(" and "))?;
    around.describe(text, &settings.archive)
}

fn windows(settings: &Settings) -> String {
    let (monitor, guards) = (&settings.monitor, &settings.guards);
    if !monitor.enabled {
        return "none (monitor.enabled is false)".into();
    }
    let mut text = format!(
        "{}, {} each on {} of each shard, at most {} at the same time",
        monitor.schedule,
        show_duration(monitor.window),
        match monitor.nodes {
            NodeChoice::Replica => "a replica",
            NodeChoice::Primary => "the primary",
            NodeChoice::ReplicaOrPrimary => "a replica, or else the primary,",
        },
        monitor.concurrency,
    );
    match without_limit(settings) {
        _ if guards.require_server_limit => {
            text.push_str("; none where the server does not bound its buffers (guards.require_server_limit)")
        }
        Some(span) => text.push_str(&format!(
            "; {} where the server does not bound its buffers (guards.window_max_without_server_limit)",
            show_duration(span)
        )),
        None => {}
    }
    text
}

/// How long windows last on a server that doesn't bound its buffers, if they are shorter there.
fn without_limit(settings: &Settings) -> Option<Duration> {
    let wanted = settings.monitor.window;
    let granted = Granted::without_limit(wanted, wanted, &settings.guards);
    granted.shortened.map(|_| granted.duration)
}

fn origins(text: &mut String, loaded: &Loaded) -> std::fmt::Result {
    if loaded.written.is_empty() {
        return writeln!(text, "\nEvery setting has its default.");
    }
    writeln!(text, "\nSettings that were written:")?;
    for setting in &loaded.written {
        let value = setting.value.as_deref().unwrap_or("(not shown)");
        writeln!(text, "  {} = {value}  ({})", setting.path, setting.place)?;
    }
    Ok(())
}
