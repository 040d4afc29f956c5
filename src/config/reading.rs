//! Values becoming settings: read, checked against each other, and every problem noted with its place.

use std::collections::BTreeSet;
use std::time::Duration;

use figment::error::Kind;
use figment::value::{Dict, Value};
use serde::de::DeserializeOwned;

use super::groups::GroupSettings;
use super::layer::{find, section_of};
use super::problem::{Place, Problem, refusal};
use super::ranges;
use super::{Settings, defaults, plain_values};
use crate::analysis::veil::KeyNames;
use crate::archive::Record;
use crate::model::GroupKey;
use crate::node::{AuthSettings, Network, Pace, TlsSettings};

/// Values becoming settings, with what was wrong on the way.
pub(super) struct Reading<'a> {
    pub(super) place: &'a dyn Fn(&[String]) -> Place,
    pub(super) problems: Vec<Problem>,
}

impl Reading<'_> {
    /// All groups that can be read.
    pub(super) fn groups(&mut self, list: Option<Value>) -> Vec<GroupSettings> {
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
        let mut keys: BTreeSet<GroupKey> = BTreeSet::new();
        for (position, element) in elements.into_iter().enumerate() {
            let path = ["groups".to_owned(), position.to_string()];
            let Some(group) = self.read::<GroupSettings>(element, &path, &Dict::new()) else {
                continue;
            };
            if !keys.insert(group.key()) {
                self.refuse(
                    &extended(&path, "id"),
                    format!("there are two groups {}; each needs its own id", group.key()),
                );
            }
            self.check_group(&group, &path);
            groups.push(group);
        }
        groups
    }

    fn check_group(&mut self, group: &GroupSettings, path: &[String]) {
        let id = &group.id;
        if id.as_str().is_empty() {
            self.refuse(
                &extended(path, "id"),
                "a group's id is empty; write the replication group's id".into(),
            );
        }
        if let Some(auth) = &group.auth {
            self.check_auth(auth, path);
        }
        if let Some(tls) = &group.tls {
            self.check_tls(tls, path);
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

    /// Everything but the groups.
    pub(super) fn settings(&mut self, values: Dict) -> Option<Settings> {
        let below = plain_values(&defaults());
        let settings: Settings = self.read(Value::from(values), &[], &below)?;
        self.check_auth(&settings.auth, &[]);
        self.check_tls(&settings.tls, &[]);
        self.check_ranges(&settings);
        self.check_privacy(&settings);
        Some(settings)
    }

    /// Someone may have written the password itself. Variables are written in capitals, and hardly any password is; a path has a `/`.
    fn check_auth(&mut self, auth: &AuthSettings, at: &[String]) {
        let at = extended(at, "auth");
        if auth.password_env.as_deref().is_some_and(|name| !is_variable(name)) {
            let text = "auth.password_env is the name of an environment variable (capitals, digits, _), not the password itself";
            self.refuse(&extended(&at, "password_env"), text.into());
        }
        if auth
            .password_file
            .as_deref()
            .is_some_and(|path| path.components().count() < 2)
        {
            let text = "auth.password_file is the path of a file, with a `/` in it (./token), not the password itself";
            self.refuse(&extended(&at, "password_file"), text.into());
        }
    }

    /// A token of IAM is a password, and servers take it over TLS alone.
    pub(super) fn check_tokens(&mut self, settings: &Settings) {
        for (position, group) in settings.groups.iter().enumerate() {
            if !settings.bares_token(group) {
                continue;
            }
            let at = match group.auth {
                Some(_) => vec!["groups".to_owned(), position.to_string()],
                None => Vec::new(),
            };
            self.refuse(&extended(&extended(&at, "auth"), "iam_user"), bare_token(group));
        }
    }

    fn check_tls(&mut self, tls: &TlsSettings, at: &[String]) {
        // The platform's own authorities are no setting; everything else is read here, so that a wrong path shows at once.
        if [&tls.ca_file, &tls.cert_file, &tls.key_file]
            .into_iter()
            .all(Option::is_none)
        {
            return;
        }
        if let Err(error) = Network::encrypted(tls, Duration::ZERO, Pace::new()) {
            self.refuse(&extended(at, "tls"), error.to_string());
        }
    }

    fn check_privacy(&mut self, settings: &Settings) {
        let at = |section: &str, key: &str| [section.to_owned(), key.to_owned()];
        let privacy = &settings.privacy;
        if privacy.keys == KeyNames::Hash && privacy.secret_file.is_none() {
            let text = "privacy.keys is hash, but privacy.secret_file doesn't say where the secret is kept; name a file that stays, and it is made";
            self.refuse(&at("privacy", "keys"), text.into());
        }
        if privacy.keys != KeyNames::Plain && settings.archive.record == Record::Full {
            let text = "archive.record is full, which keeps keys and values as they are, against privacy.keys; write record = \"keys\"";
            self.refuse(&at("archive", "record"), text.into());
        }
    }

    fn check_ranges(&mut self, settings: &Settings) {
        for (path, text) in ranges::refused(settings) {
            self.refuse(&path.map(str::to_owned), text);
        }
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
                self.refuse(&path, refusal(&section_of(&path), &error.kind));
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
    fn is_refused_already(&self, path: &[String], kind: &Kind) -> bool {
        let Kind::MissingField(field) = kind else {
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

/// What to do about a token that would go in plain text.
pub(super) fn bare_token(group: &GroupSettings) -> String {
    format!(
        "auth.iam_user needs TLS, and the group {} is spoken to in plain text; set tls.enabled = true (--tls)",
        group.id
    )
}

fn is_variable(name: &str) -> bool {
    let capital = |letter: u8| letter.is_ascii_uppercase() || letter == b'_';
    let mut letters = name.bytes();
    letters.next().is_some_and(capital) && letters.all(|letter| capital(letter) || letter.is_ascii_digit())
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
