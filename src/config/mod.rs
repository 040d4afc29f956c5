//! The settings: each module's own, assembled, and read in layers: flags over environment over file over defaults.
//!
//! The defaults are `config/hotshard.toml` itself, so what the file says is what happens. All problems are found, not only the
//! first. It refuses to know secrets: only where one is to be found.

mod groups;
mod layer;
mod log;
mod manual;
mod problem;

use std::path::PathBuf;

use figment::Figment;
use figment::providers::{Format, Toml};
use figment::value::{Dict, Value};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use groups::{GroupSettings, Members};
use layer::{Layer, find};
pub use log::{LogFormat, LogSettings};
pub use manual::{Manual, Section, Setting, TEXT};
pub use problem::{ConfigError, Place, Problem};

use crate::engine::settings::{MonitorSettings, PollSettings};

/// Every setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What to watch.
    #[serde(skip)]
    pub groups: Vec<GroupSettings>,
    /// How load figures are read.
    pub poll: PollSettings,
    /// When and where windows are opened.
    pub monitor: MonitorSettings,
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

    /// Refuses settings without any group: there would be nothing to watch.
    pub fn require_groups(&self) -> Result<(), ConfigError> {
        if !self.groups.is_empty() {
            return Ok(());
        }
        let text = "there is nothing to watch: name a file with [[groups]] by --config, or try `hotshard demo`";
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
        let settings = reading.settings(values);
        let mut problems = reading.problems;
        problems.sort_by(|one, other| one.place.cmp(&other.place));
        match settings {
            Some(settings) if problems.is_empty() => Ok(Loaded {
                settings: Settings { groups, ..settings },
                written: written(&merged, &place),
            }),
            _ => Err(ConfigError { problems }),
        }
    }

    /// The layers above the defaults, the lowest first.
    fn layers(&self, problems: &mut Vec<Problem>) -> Result<Vec<Layer>, Problem> {
        let mut layers = Vec::new();
        if let Some(path) = &self.file {
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

fn defaults() -> Figment {
    Figment::from(Toml::string(TEXT))
}

fn plain_values(figment: &Figment) -> Dict {
    figment.extract().expect("tables merge into a table")
}

/// Values becoming settings, with what was wrong on the way.
struct Reading<'a> {
    place: &'a dyn Fn(&[String]) -> Place,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn groups(&mut self, list: Option<Value>) -> Vec<GroupSettings> {
        let elements = match list {
            Some(Value::Array(_, elements)) => elements,
            Some(_) => {
                self.refuse(
                    &["groups".to_owned()],
                    "groups is no list of tables; write [[groups]]".into(),
                );
                Vec::new()
            }
            None => Vec::new(),
        };
        let mut groups: Vec<GroupSettings> = Vec::new();
        for (position, element) in elements.into_iter().enumerate() {
            let path = ["groups".to_owned(), position.to_string()];
            let Some(group) = self.read::<GroupSettings>(element, &path, &Dict::new()) else {
                continue;
            };
            self.check_group(&group, &path, &groups);
            groups.push(group);
        }
        groups
    }

    fn check_group(&mut self, group: &GroupSettings, path: &[String], others: &[GroupSettings]) {
        let id = &group.id;
        if id.as_str().is_empty() {
            self.refuse(
                &extended(path, "id"),
                "a group's id is empty; write the replication group's id".into(),
            );
        }
        if others.iter().any(|other| other.key() == group.key()) {
            self.refuse(
                &extended(path, "id"),
                format!("there are two groups {}; each needs its own id", group.key()),
            );
        }
        for (position, text) in group.members().err().unwrap_or_default() {
            let endpoints = extended(path, "endpoints");
            match position {
                Some(position) => {
                    let at = extended(&endpoints, &position.to_string());
                    self.refuse(&at, format!("endpoint {} of the group {id}: {text}", position + 1));
                }
                None => self.refuse(&endpoints, format!("the group {id} {text}")),
            }
        }
    }

    fn settings(&mut self, values: Dict) -> Option<Settings> {
        let below = plain_values(&defaults());
        self.read(Value::from(values), &[], &below)
    }

    /// Reads a value; what is refused is noted, put back to its default, and the rest read on, so that all problems show at once.
    fn read<Target: DeserializeOwned>(&mut self, mut value: Value, at: &[String], below: &Dict) -> Option<Target> {
        loop {
            let error = match value.deserialize::<Target>() {
                Ok(read) => return Some(read),
                Err(error) => error,
            };
            let path: Vec<String> = at.iter().chain(&error.path).cloned().collect();
            if !self.is_refused_already(&path, &error.kind) {
                self.refuse(&path, problem::refusal(&layer::section_of(&path), &error.kind));
            }
            // Within a list the whole list goes: positions must not shift.
            let inner: Vec<String> = error
                .path
                .iter()
                .take_while(|name| name.parse::<usize>().is_err())
                .cloned()
                .collect();
            if !put_back(&mut value, &inner, find(below, &inner)) {
                return None;
            }
        }
    }

    /// A key that was refused and taken out is missing afterwards; that isn't news.
    fn is_refused_already(&self, path: &[String], kind: &figment::error::Kind) -> bool {
        let figment::error::Kind::MissingField(field) = kind else {
            return false;
        };
        (self.place)(&extended(path, field)) != Place::Nowhere
    }

    fn refuse(&mut self, path: &[String], text: String) {
        // A missing key has no line; its table has.
        let place = (1..=path.len())
            .rev()
            .map(|length| (self.place)(&path[..length]))
            .find(|place| *place != Place::Nowhere);
        self.problems.push(Problem {
            place: place.unwrap_or(Place::Nowhere),
            text,
        });
    }
}

fn extended(path: &[String], name: &str) -> Vec<String> {
    let mut path = path.to_vec();
    path.push(name.to_owned());
    path
}

/// Sets the value at `path` to `default`, or removes it; `false` if nothing changed.
fn put_back(value: &mut Value, path: &[String], default: Option<&Value>) -> bool {
    let (Some((first, rest)), Value::Dict(_, table)) = (path.split_first(), value) else {
        return false;
    };
    if !rest.is_empty() {
        return table.get_mut(first).is_some_and(|inner| put_back(inner, rest, default));
    }
    match default {
        Some(default) if table.get(first) == Some(default) => false,
        Some(default) => table.insert(first.clone(), default.clone()).is_some(),
        None => table.remove(first).is_some(),
    }
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
