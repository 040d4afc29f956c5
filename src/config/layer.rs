//! One layer of settings (file, environment, flags) with the place of each value.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};
use toml_edit::{ImDocument, Item, Table};

use super::manual::{Manual, Setting};
use super::problem::{Place, Problem, nearest};

/// Settings from one source; what it doesn't name is left to the layer below.
#[derive(Debug)]
pub(super) struct Layer {
    source: Source,
    /// The values, as tables within tables.
    pub(super) values: Dict,
}

#[derive(Debug)]
enum Source {
    File {
        path: PathBuf,
        text: String,
        document: Box<ImDocument<String>>,
    },
    Variables,
    Flags,
}

impl Layer {
    /// Reads a file; names that no setting has are problems and left out.
    pub(super) fn file(path: &Path, problems: &mut Vec<Problem>) -> Result<Self, Problem> {
        let problem = |line, text| Problem {
            place: Place::line(path, line),
            text,
        };
        let text = fs::read_to_string(path).map_err(|error| match error.kind() {
            ErrorKind::InvalidData => problem(
                None,
                "this is no text; write the configuration in TOML, as UTF-8".into(),
            ),
            _ => problem(None, format!("cannot read the configuration: {}", reason(&error))),
        })?;
        let document = ImDocument::parse(text.clone()).map_err(|error| {
            // Only the message: the rest of the error repeats the line, which may hold a secret.
            let line = error.span().map(|span| line_at(&text, span.start));
            problem(
                line,
                format!("this is not TOML: {}", error.message().trim().replace('\n', ", ")),
            )
        })?;
        let mut values: Dict = toml_edit::de::from_str(&text)
            .map_err(|error| problem(None, format!("this is not TOML: {}", error.message().trim())))?;
        let layer = Self {
            source: Source::File {
                path: path.to_owned(),
                text,
                document: Box::new(document),
            },
            values: Dict::new(),
        };
        layer.refuse_unknown(&mut values, &mut Vec::new(), problems);
        Ok(Self { values, ..layer })
    }

    /// Takes what concerns settings from environment variables.
    pub(super) fn variables<'a>(
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut layer = Self {
            source: Source::Variables,
            values: Dict::new(),
        };
        for (name, text) in variables {
            let Some(rest) = name.strip_prefix("HOTSHARD_") else {
                continue;
            };
            match Manual::get()
                .reachable()
                .find(|(_, setting)| setting.variable() == name)
            {
                Some((_, setting)) => layer.set(&setting.path, written(setting, &[text])),
                None => problems.extend(stray_variable(name, rest)),
            }
        }
        layer
    }

    /// Takes flags: the path of each setting with the texts it was given.
    pub(super) fn flags<'a>(flags: impl IntoIterator<Item = (&'a Setting, &'a [String])>) -> Self {
        let mut layer = Self {
            source: Source::Flags,
            values: Dict::new(),
        };
        for (setting, texts) in flags {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            layer.set(&setting.path, written(setting, &texts));
        }
        layer
    }

    /// Where this layer writes the value at `path` (list positions are numbers), if it does.
    pub(super) fn place(&self, path: &[String]) -> Option<Place> {
        find(&self.values, path)?;
        Some(match &self.source {
            Source::File { path: file, .. } => Place::line(file, self.line(path)),
            Source::Variables => Place::Variable(setting_at(path)?.variable()),
            Source::Flags => Place::Flag(setting_at(path)?.flag()),
        })
    }

    fn set(&mut self, path: &str, value: Value) {
        set_in(&mut self.values, path, value);
    }

    fn refuse_unknown(&self, table: &mut Dict, path: &mut Vec<String>, problems: &mut Vec<Problem>) {
        let section = section_of(path);
        let known = Manual::get().names_in(&section);
        table.retain(|key, value| {
            path.push(key.clone());
            let keep = if known.contains(&key.as_str()) {
                self.refuse_unknown_within(value, path, problems)
            } else {
                problems.push(self.problem(path, unknown(&section, key)));
                false
            };
            path.pop();
            keep
        });
    }

    /// Looks into a known name's value; `false` if it can't be kept.
    fn refuse_unknown_within(&self, value: &mut Value, path: &mut Vec<String>, problems: &mut Vec<Problem>) -> bool {
        let section = section_of(path);
        let list = Manual::get().section(&section).is_some_and(|section| section.list);
        match value {
            Value::Dict(..) if list => {
                problems.push(self.problem(
                    path,
                    format!("{section} is a list; write [[{section}]] with two brackets"),
                ));
                return false;
            }
            // Its names are the user's own, such as the tags of a group.
            Value::Dict(..) if Manual::get().is_open(&section) => {}
            Value::Dict(_, table) => self.refuse_unknown(table, path, problems),
            Value::Array(_, elements) if list => {
                for (position, element) in elements.iter_mut().enumerate() {
                    path.push(position.to_string());
                    if let Value::Dict(_, table) = element {
                        self.refuse_unknown(table, path, problems);
                    }
                    path.pop();
                }
            }
            _ => {}
        }
        true
    }

    fn problem(&self, path: &[String], text: String) -> Problem {
        let place = match &self.source {
            Source::File { path: file, .. } => Place::line(file, self.line(path)),
            Source::Variables | Source::Flags => Place::Nowhere,
        };
        Problem { place, text }
    }

    /// The line of the file where `path` begins.
    fn line(&self, path: &[String]) -> Option<usize> {
        let Source::File { text, document, .. } = &self.source else {
            return None;
        };
        let (mut item, mut offset): (&Item, Option<usize>) = (document.as_item(), None);
        for name in path {
            let (key, next) = match name.parse::<usize>() {
                Ok(position) => (None, item.get(position)?),
                Err(_) => {
                    let table: &dyn toml_edit::TableLike = item.as_table_like()?;
                    let (key, next) = table.get_key_value(name)?;
                    (key.span(), next)
                }
            };
            let begins = match next {
                Item::Table(table) => header(table).or(key),
                _ => key.or_else(|| next.span()),
            };
            offset = begins.map(|span| span.start).or(offset);
            item = next;
        }
        offset.map(|offset| line_at(text, offset))
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(match self.source {
            Source::File { .. } => "file",
            Source::Variables => "environment",
            Source::Flags => "command line",
        })
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// The value at `path` within tables and lists.
pub(super) fn find<'a>(values: &'a Dict, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(values.get(first)?, |value, name| match value {
        Value::Dict(_, table) => table.get(name),
        Value::Array(_, elements) => elements.get(name.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Sets the value at `path`, whose sections may be nested (`web.config.file`).
fn set_in(table: &mut Dict, path: &str, value: Value) {
    let Some((section, rest)) = path.split_once('.') else {
        table.insert(path.to_owned(), value);
        return;
    };
    let inner = table
        .entry(section.to_owned())
        .or_insert_with(|| Value::from(Dict::new()));
    if let Value::Dict(_, inner) = inner {
        set_in(inner, rest, value);
    }
}

/// The text of a flag or variable as the kind of value that the setting has. Texts stay what they are: `007` is no 7.
fn written(setting: &Setting, texts: &[&str]) -> Value {
    let last = texts.last().copied().unwrap_or_default();
    match &setting.value {
        toml_edit::Value::String(_) => Value::from(last),
        toml_edit::Value::Array(_) => {
            let elements = texts
                .iter()
                .flat_map(|text| text.split(','))
                .map(str::trim)
                .filter(|text| !text.is_empty());
            Value::from(elements.map(Value::from).collect::<Vec<_>>())
        }
        // Whatever isn't of that kind stays a text, and is refused as one.
        toml_edit::Value::Boolean(_) => last.parse::<bool>().map_or_else(|_| Value::from(last), Value::from),
        toml_edit::Value::Float(_) => last.parse::<f64>().map_or_else(|_| Value::from(last), Value::from),
        _ => i64::from_str(last).map_or_else(|_| Value::from(last), Value::from),
    }
}

/// A `HOTSHARD_…` variable that is no setting. Those without `__` name none and may be anybody's: Kubernetes sets
/// `HOTSHARD_PORT` and others for a service of that name.
fn stray_variable(name: &str, rest: &str) -> Option<Problem> {
    let place = Place::Variable(name.into());
    let settings = || Manual::get().reachable().map(|(_, setting)| setting);
    if !rest.contains("__") {
        let meant = settings().find(|setting| setting.variable().replace("__", "_") == name)?;
        let text = format!(
            "a section and its key are joined by two underscores; write {}",
            meant.variable()
        );
        return Some(Problem { place, text });
    }
    let path = rest.replace("__", ".").to_lowercase();
    let (section, key) = path.split_once('.').unwrap_or(("", &path));
    let text = match section {
        "groups" => "groups are written in the file alone; put them there and name it with --config".to_owned(),
        _ => unknown(section, key),
    };
    Some(Problem { place, text })
}

/// The sentence for a name that no setting has.
fn unknown(section: &str, key: &str) -> String {
    let path = if section.is_empty() {
        key.to_owned()
    } else {
        format!("{section}.{key}")
    };
    let manual = Manual::get();
    if key.contains("password") || key.contains("secret") || key.contains("token") {
        return format!(
            "{path} is not a setting, and a configuration holds no secret; put it into an environment variable or a file, and \
             name that in auth.password_env or auth.password_file"
        );
    }
    let here = manual.names_in(section);
    let near = nearest(key, here.iter().copied()).map(|near| {
        if section.is_empty() {
            near.to_owned()
        } else {
            format!("{section}.{near}")
        }
    });
    let elsewhere = || {
        let mut settings = manual.sections.iter().flat_map(|section| &section.settings);
        settings
            .find(|setting| setting.key() == key)
            .map(|setting| setting.path.clone())
    };
    match near.or_else(elsewhere) {
        Some(near) => format!("{path} is not a setting; did you mean {near}?"),
        None if here.is_empty() => format!("{path} is not a setting; there is {}", manual.names_in("").join(", ")),
        None => format!("{path} is not a setting; there is {}", here.join(", ")),
    }
}

/// The name of what a path leads to: without positions in lists.
pub(super) fn section_of(path: &[String]) -> String {
    let names: Vec<&str> = path
        .iter()
        .map(String::as_str)
        .filter(|name| name.parse::<usize>().is_err())
        .collect();
    names.join(".")
}

fn setting_at(path: &[String]) -> Option<&'static Setting> {
    let path = section_of(path);
    Manual::get()
        .reachable()
        .map(|(_, setting)| setting)
        .find(|setting| path.starts_with(&setting.path))
}

fn header(table: &Table) -> Option<std::ops::Range<usize>> {
    table.span()
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// The operating system's words without its number.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string().to_lowercase();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
