//! The configuration of a daemon: read at its start, and again when somebody asks for it.
//!
//! A configuration that can't be read changes nothing. It refuses to know how the engine takes on another plan.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use tracing::warn;

use super::keeping::{self, Keeping};
use super::reach::searches;
use super::{log, watchdog};
use crate::analysis::tally::TallySettings;
use crate::analysis::veil::Veil;
use crate::archive::Archive;
use crate::config::Settings;
use crate::discovery::instance::Instance;
use crate::engine::clock::Clock;
use crate::engine::command::Change;
use crate::engine::discover::Watch;
use crate::engine::lessons::Lessons;
use crate::engine::live::Live;
use crate::engine::watchdog::Watchdog;
use crate::engine::{Plan, window};
use crate::model::GroupKey;
use crate::node::{CommandTables, Pace, TlsSettings};

/// Reads all settings from where they were read first.
type Read = Box<dyn FnMut() -> anyhow::Result<Settings> + Send>;
/// How each group of the settings is reached.
type Reach = Box<dyn FnMut(&Settings) -> anyhow::Result<Vec<Watch>> + Send>;

/// What was read at the start. Nothing was done about it yet: nothing is on the disk that wasn't there.
pub(super) struct Intent {
    settings: Settings,
    read: Read,
    reach: Reach,
    /// The pace at which groups that AWS knows are connected to, and whose they are; without one AWS isn't asked.
    searching: Option<(Pace, Instance)>,
}

/// What holds now, and how to find out what is to hold next.
pub(super) struct Configuration {
    settings: Settings,
    read: Read,
    reach: Reach,
    searching: Option<(Pace, Instance)>,
    seed: u64,
    veil: Veil,
    commands: CommandTables,
    archive: Option<Archive>,
    lessons: Lessons,
    watchdog: Watchdog,
    live: Live,
    /// What each group's connections were made from.
    origins: BTreeMap<GroupKey, u64>,
}

impl Intent {
    /// Reads the configuration for the first time.
    pub(super) fn read(
        mut read: impl FnMut() -> anyhow::Result<Settings> + Send + 'static,
        reach: impl FnMut(&Settings) -> anyhow::Result<Vec<Watch>> + Send + 'static,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            settings: read()?,
            read: Box::new(read),
            reach: Box::new(reach),
            searching: None,
        })
    }

    /// Looks in AWS too; `pace` is shared with all other connections, what is found is divided among instances.
    pub(super) fn searching(mut self, pace: Pace, instance: Instance) -> Self {
        self.searching = Some((pace, instance));
        self
    }

    /// The settings that were read.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Makes the secret and starts the archive, if there are to be any; the archive goes on through reloads. Comes with what the engine
    /// begins with. Certificates are read before, so that a wrong path is known at the start.
    pub(super) fn take_up(mut self, source: &'static str) -> anyhow::Result<(Configuration, Plan, Keeping)> {
        let settings = self.settings;
        let watches = (self.reach)(&settings)?;
        // A new one in every process: nobody outside can know which keys would collide.
        let seed = RandomState::new().hash_one("hotshard");
        let veil = settings.privacy.veil()?;
        let watchdog = watchdog::of(&settings.log)?;
        // Before the archive's own thread has the file.
        let lessons = keeping::lessons(&settings);
        let (archive, keeping) = keeping::start(&settings, source, seed, veil.clone())?;
        let configuration = Configuration {
            origins: origins(&settings, &watches),
            settings,
            read: self.read,
            reach: self.reach,
            searching: self.searching,
            seed,
            veil,
            commands: CommandTables::default(),
            archive,
            lessons,
            watchdog,
            live: Live::default(),
        };
        let plan = configuration.plan_of(watches);
        Ok((configuration, plan, keeping))
    }
}

impl Configuration {
    /// The settings that hold.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Reads everything again, and says what is different for the engine; an error leaves everything as it was.
    pub(super) fn read_again(&mut self) -> anyhow::Result<Change> {
        let mut settings = (self.read)()?;
        let watches = (self.reach)(&settings)?;
        for setting in keep_fixed(&self.settings, &mut settings) {
            warn!(setting, "this setting changes at the next start only");
        }
        let origins = origins(&settings, &watches);
        let unchanged = unchanged(&self.origins, &origins);
        self.origins = origins;
        self.settings = settings;
        Ok(Change {
            plan: self.plan_of(watches),
            ledger: self.settings.ledger(),
            unchanged,
        })
    }

    /// What the engine needs, from the settings.
    fn plan_of(&self, groups: Vec<Watch>) -> Plan {
        let settings = &self.settings;
        let searching = self.searching.as_ref();
        let searches = searching.map(|(pace, instance)| searches(settings, pace, *instance));
        Plan {
            groups,
            searches: searches.unwrap_or_default(),
            poll: settings.poll.clone(),
            monitor: settings.monitor.clone(),
            guards: settings.guards.clone(),
            discovery_interval: settings.discovery.interval,
            reading: window::Reading {
                commands: self.commands.clone(),
                patterns: settings.patterns.clone(),
                lessons: self.lessons.clone(),
                veil: self.veil.clone(),
                tally: TallySettings::default(),
                bandwidth: settings.bandwidth.clone(),
                seed: self.seed,
                clock: Clock::System,
                archive: self.archive.clone(),
                raw_logs: None,
                live: self.live.clone(),
                watchdog: self.watchdog.clone(),
            },
            log_dropped: log::dropped(),
        }
    }
}

/// Puts back what can't change while the daemon runs, and names it.
fn keep_fixed(old: &Settings, new: &mut Settings) -> Vec<String> {
    fn table(section: &impl serde::Serialize) -> toml::Table {
        toml::Table::try_from(section).unwrap_or_default()
    }
    fn differences(name: &str, old: &toml::Table, new: &toml::Table) -> Vec<String> {
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let differs = |key: &&String| old.get(*key) != new.get(*key);
        keys.into_iter()
            .filter(differs)
            .map(|key| format!("{name}.{key}"))
            .collect()
    }
    let mut kept = differences("web", &table(&old.web), &table(&new.web));
    kept.extend(differences("otlp", &table(&old.otlp), &table(&new.otlp)));
    kept.extend(differences("log", &table(&old.log), &table(&new.log)));
    kept.extend(differences("privacy", &table(&old.privacy), &table(&new.privacy)));
    kept.extend(differences("archive", &table(&old.archive), &table(&new.archive)));
    new.web = old.web.clone();
    new.otlp = old.otlp.clone();
    new.archive = old.archive.clone();
    new.log = old.log.clone();
    // What is in the archive already can't be hashed after the fact.
    new.privacy = old.privacy.clone();
    kept
}

/// Groups that are reached as before.
fn unchanged(old: &BTreeMap<GroupKey, u64>, new: &BTreeMap<GroupKey, u64>) -> BTreeSet<GroupKey> {
    let same = |(group, origin): &(&GroupKey, &u64)| old.get(*group) == Some(*origin);
    new.iter().filter(same).map(|(group, _)| group.clone()).collect()
}

/// What the connections of each group are made from: its settings, and what is in the files that they name. Passwords aren't
/// among it: they are read afresh for each connection.
fn origins(settings: &Settings, watches: &[Watch]) -> BTreeMap<GroupKey, u64> {
    let origin = |key: &GroupKey| {
        let mut hasher = DefaultHasher::new();
        settings.poll.timeout.hash(&mut hasher);
        if let Some(group) = settings.groups.iter().find(|group| group.key() == *key) {
            let (auth, tls) = (settings.auth_of(group), settings.tls_of(group));
            format!("{group:?} {auth:?} {tls:?}").hash(&mut hasher);
            contents(tls).hash(&mut hasher);
        }
        hasher.finish()
    };
    watches
        .iter()
        .map(|watch| (watch.key.clone(), origin(&watch.key)))
        .collect()
}

fn contents(tls: &TlsSettings) -> Vec<Option<Vec<u8>>> {
    [&tls.ca_file, &tls.cert_file, &tls.key_file]
        .into_iter()
        .flatten()
        .map(|path| std::fs::read(path).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(toml: &str) -> Settings {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("h.toml");
        std::fs::write(&path, toml).expect("a temporary folder takes a file");
        let sources = crate::config::Sources {
            file: Some(path),
            ..Default::default()
        };
        sources.load().expect("the configuration is sound").settings
    }

    fn watches(settings: &Settings) -> anyhow::Result<Vec<Watch>> {
        super::super::serve::watches(settings, &crate::node::Pace::new())
    }

    /// Which groups go on as before when one file follows another, and what is put off.
    fn check(before: &str, after: &str, expected: &str) {
        let mut files = vec![after.to_owned(), before.to_owned()];
        let read = move || Ok(settings(&files.pop().expect("it is read twice")));
        let intent = Intent::read(read, watches).expect("the first is sound");
        let (mut configuration, ..) = intent.take_up("serve").expect("it keeps nothing");
        let next = settings(after);
        let put_off = keep_fixed(configuration.settings(), &mut next.clone());
        let change = configuration.read_again().expect("the second is sound");
        let names = |groups: Vec<&GroupKey>| {
            let names: Vec<String> = groups.iter().map(ToString::to_string).collect();
            names.join(" ")
        };
        let watched = names(change.plan.groups.iter().map(|watch| &watch.key).collect());
        let unchanged = names(change.unchanged.iter().collect());
        let put_off = put_off.join(" ");
        assert_eq!(
            format!("{watched} | {unchanged} | {put_off}"),
            expected,
            "{before}\n{after}"
        );
    }

    const A: &str = "[[groups]]\nid = \"a\"\nendpoints = [\"h:1\"]\n";
    const B: &str = "[[groups]]\nid = \"b\"\nendpoints = [\"h:2\"]\n";

    #[test]
    fn a_group_goes_on_unless_its_own_settings_change() {
        check(A, A, "a | a | ");
        check(A, &format!("{A}{B}"), "a b | a | ");
        check(&format!("{A}{B}"), B, "b | b | ");
        check(A, &format!("{A}[monitor]\nwindow = 3\n"), "a | a | ");
        check(A, &A.replace("h:1", "h:3"), "a |  | ");
        check(
            &format!("{A}{B}"),
            &format!("{A}{B}[groups.auth]\nusername = \"x\"\n"),
            "a b | a | ",
        );
        check(
            &format!("{A}[auth]\nusername = \"x\"\n"),
            &format!("{A}[auth]\nusername = \"y\"\n"),
            "a |  | ",
        );
        check(A, &format!("{A}[poll]\ntimeout = 1\n"), "a |  | ");
    }

    #[test]
    fn what_cannot_change_at_run_time_is_named_and_stays() {
        check(
            A,
            &format!("{A}[web]\nlisten_address = \":80\"\nenable_lifecycle = true\n[log]\nlevel = \"debug\"\n"),
            "a | a | web.enable_lifecycle web.listen_address log.level",
        );
    }
}
