//! The settings: each module's own, assembled, and read in layers: flags over environment over file over defaults.
//!
//! The defaults are `config/hotshard.toml` itself, so what the file says is what happens. All problems are found, not only the
//! first. It refuses to know secrets: only where one is to be found.

mod groups;
mod layer;
mod log;
mod manual;
mod privacy;
mod problem;
mod ranges;
mod reading;
mod seed;

use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format, Toml};
use figment::value::Dict;
use serde::{Deserialize, Serialize};

pub use groups::{GroupSettings, Members};
use layer::Layer;
pub use log::{LogFormat, LogLevel, LogLevelError, LogSettings, WhenFull};
pub use manual::{Manual, Section, Setting, TEXT};
pub use privacy::{PrivacyError, PrivacySettings};
pub use problem::{ConfigError, Place, Problem};
use reading::Reading;

use crate::analysis::pattern::PatternSettings;
use crate::analysis::status::StatusSettings;
use crate::archive::ArchiveSettings;
use crate::engine::settings::{BandwidthSettings, DiscoverySettings, GuardSettings, MonitorSettings, PollSettings};
use crate::export::http::WebSettings;
use crate::export::otlp::OtlpSettings;
use crate::metrics::ledger::{LedgerSettings, LimitSettings};
use crate::node::{AuthSettings, TlsSettings};

/// Every setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What to watch.
    #[serde(skip)]
    pub groups: Vec<GroupSettings>,
    /// Where the password is found.
    pub auth: AuthSettings,
    /// How connections are encrypted.
    pub tls: TlsSettings,
    /// How load figures are read.
    pub poll: PollSettings,
    /// When and where windows are opened.
    pub monitor: MonitorSettings,
    /// What keeps windows harmless.
    pub guards: GuardSettings,
    /// How the topology is kept up to date.
    pub discovery: DiscoverySettings,
    /// How keys become patterns.
    pub patterns: PatternSettings,
    /// How bytes out are estimated.
    pub bandwidth: BandwidthSettings,
    /// When a shard is called hot or cold.
    pub status: StatusSettings,
    /// How many series there may be.
    pub limits: LimitSettings,
    /// What is kept.
    pub archive: ArchiveSettings,
    /// What of keys people may see.
    pub privacy: PrivacySettings,
    /// Where figures leave.
    pub web: WebSettings,
    /// Where figures are pushed.
    pub otlp: OtlpSettings,
    /// What is said on standard error.
    pub log: LogSettings,
}

/// Where settings are to be read from, besides the defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// The environment.
    pub variables: Vec<(String, String)>,
    /// Flags: a setting's path and what was written.
    pub flags: Vec<(String, Vec<String>)>,
}

/// Settings with where they came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// All of them.
    pub settings: Settings,
    /// Those that were written somewhere, in the order of the manual.
    pub written: Vec<WrittenSetting>,
}

/// A setting that was written somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenSetting {
    /// Section and key.
    pub path: String,
    /// Its value as TOML; `None` if it may be a secret in the wrong place.
    pub value: Option<String>,
    /// Where.
    pub place: Place,
}

impl Settings {
    /// The defaults: nothing to watch, and everything else as `config/hotshard.toml` has it.
    pub fn defaults() -> Self {
        defaults().extract().expect("a test reads the embedded file")
    }

    /// Where the password of a group's nodes is found.
    pub fn auth_of<'a>(&'a self, group: &'a GroupSettings) -> &'a AuthSettings {
        group.auth.as_ref().unwrap_or(&self.auth)
    }

    /// How connections to a group's nodes are encrypted.
    pub fn tls_of<'a>(&'a self, group: &'a GroupSettings) -> &'a TlsSettings {
        group.tls.as_ref().unwrap_or(&self.tls)
    }

    /// Whether a group is spoken to in TLS: all of it if any of its endpoints is, since one group is one cluster. Of caches in AWS
    /// only what is written: else AWS tells.
    pub fn is_encrypted(&self, group: &GroupSettings) -> bool {
        let tls = self.tls_of(group);
        match group.members() {
            Ok(Members::Seeds(seeds)) => seeds.iter().any(|endpoint| tls.wanted(endpoint, None)),
            Ok(Members::Given(nodes)) => nodes.iter().any(|(endpoint, _)| tls.wanted(endpoint, None)),
            Ok(Members::ElastiCache(_)) => tls.enabled == Some(true),
            // It was refused when it was read.
            Err(_) => false,
        }
    }

    /// Whether a token of IAM would be sent in plain text, where no server takes it and everybody can read it.
    pub fn bares_token(&self, group: &GroupSettings) -> bool {
        let aws_tells = matches!(group.members(), Ok(Members::ElastiCache(_))) && self.tls_of(group).enabled.is_none();
        self.auth_of(group).iam_user.is_some() && !aws_tells && !self.is_encrypted(group)
    }

    /// Refuses groups that a command line added or changed, as the file's own are when they are read.
    pub fn refuse_bare_tokens(&self) -> Result<(), ConfigError> {
        let bare = self.groups.iter().filter(|group| self.bares_token(group));
        let problems: Vec<Problem> = bare
            .map(|group| Problem {
                place: Place::Nowhere,
                text: reading::bare_token(group),
            })
            .collect();
        match problems.is_empty() {
            true => Ok(()),
            false => Err(ConfigError {
                problems,
                instead: None,
            }),
        }
    }

    /// What the ledger is to go by.
    pub fn ledger(&self) -> LedgerSettings {
        let defaults = LedgerSettings::default();
        // One long window takes no figure away.
        let one_window = self.monitor.window + self.poll.interval * 4;
        LedgerSettings {
            status: self.status,
            limits: self.limits.clone(),
            stands_max: defaults.stands_max.max(one_window),
            ..defaults
        }
    }

    /// Refuses settings without any group: there would be nothing to watch.
    pub fn require_groups(&self) -> Result<(), ConfigError> {
        if !self.groups.is_empty() {
            return Ok(());
        }
        let text = "there is nothing to watch: no [[groups]] is configured; name a file that has one by --config, or try `hotshard demo`";
        Err(Problem {
            place: Place::Nowhere,
            text: text.into(),
        }
        .into())
    }
}

impl Sources {
    /// Reads and checks all layers; every problem is in the error.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let mut problems = Vec::new();
        let layers = self.layers(&mut problems)?;
        let merged = layers.iter().fold(defaults(), |figment, layer| figment.merge(layer));
        let mut values = plain_values(&merged);
        let place = |path: &[String]| {
            layers
                .iter()
                .rev()
                .find_map(|layer| layer.place(path))
                .unwrap_or(Place::Nowhere)
        };

        let mut reading = Reading {
            place: &place,
            problems,
        };
        let groups = reading.groups(values.remove("groups"));
        let settings = reading.settings(values).map(|settings| Settings { groups, ..settings });
        if let Some(settings) = &settings {
            reading.check_tokens(settings);
        }
        let mut problems = reading.problems;
        problems.sort_by(|one, other| one.place.cmp(&other.place));
        match settings {
            Some(settings) if problems.is_empty() => Ok(Loaded {
                settings,
                written: written(&merged, &place),
            }),
            _ => Err(ConfigError {
                problems,
                instead: None,
            }),
        }
    }

    /// The layers above the defaults, the lowest first.
    fn layers(&self, problems: &mut Vec<Problem>) -> Result<Vec<Layer>, ConfigError> {
        let mut layers = Vec::new();
        if let Some(path) = &self.file {
            refuse_yaml(path)?;
            layers.push(Layer::file(path, problems)?);
        }
        let variables = self.variables.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        layers.push(Layer::variables(variables, problems));
        let flags = self.flags.iter().filter_map(|(path, texts)| {
            let (_, setting) = Manual::get().reachable().find(|(_, setting)| setting.path == *path)?;
            Some((setting, texts.as_slice()))
        });
        layers.push(Layer::flags(flags));
        Ok(layers)
    }
}

/// YAML is answered with TOML, where it is clear what was meant.
fn refuse_yaml(path: &Path) -> Result<(), ConfigError> {
    if !seed::is_yaml(path) {
        return Ok(());
    }
    // What can't be read is told by whoever reads it next.
    let Ok(text) = std::fs::read_to_string(path) else {
        return Ok(());
    };
    let instead = seed::equivalent(&text);
    let cure = match instead {
        Some(_) => "the same in TOML is on standard output",
        None => "`hotshard check --help` lists the settings",
    };
    let text = format!("this is YAML, and a configuration is TOML; {cure}");
    Err(ConfigError {
        problems: vec![Problem {
            place: Place::line(path, None),
            text,
        }],
        instead,
    })
}

fn defaults() -> Figment {
    Figment::from(Toml::string(TEXT))
}

fn plain_values(figment: &Figment) -> Dict {
    figment.extract().expect("tables merge into a table")
}

fn written(merged: &Figment, place: &dyn Fn(&[String]) -> Place) -> Vec<WrittenSetting> {
    let found = Manual::get().reachable().filter_map(|(_, setting)| {
        let path: Vec<String> = setting.path.split('.').map(str::to_owned).collect();
        let place = Some(place(&path)).filter(|place| *place != Place::Nowhere)?;
        let value: toml_edit::Value = match merged.extract_inner::<toml::Value>(&setting.path).ok()? {
            toml::Value::String(text) => text.into(),
            other => other.to_string().parse().ok()?,
        };
        let value = (!problem::is_private(&setting.path)).then(|| value.to_string());
        Some(WrittenSetting {
            path: setting.path.clone(),
            value,
            place,
        })
    });
    found.collect()
}
