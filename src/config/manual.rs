//! `config/hotshard.toml`, read as what it is: the list of all settings, with their defaults and their explanations.
//!
//! Flags, their help, the names that are known and the layer of defaults all come from that one file.
//! It refuses to know what a setting does.

use std::str::FromStr;
use std::sync::LazyLock;

use toml_edit::Value;

/// The file, as it was when this program was built.
pub const TEXT: &str = include_str!("../../config/hotshard.toml");

static MANUAL: LazyLock<Manual> = LazyLock::new(|| Manual::read(TEXT));

/// All settings in the order of the file.
#[derive(Debug)]
pub struct Manual {
    /// Its tables.
    pub sections: Vec<Section>,
}

/// One table of the file.
#[derive(Debug)]
pub struct Section {
    /// Its name, such as `web`.
    pub name: String,
    /// Whether it may be written many times (`[[groups]]`).
    pub list: bool,
    /// What the file says about it.
    pub help: String,
    /// Its keys.
    pub settings: Vec<Setting>,
}

/// One key of the file.
#[derive(Debug)]
pub struct Setting {
    /// Section and key, such as `web.listen_address`.
    pub path: String,
    /// The value in the file: the default, or an example where there is none.
    pub value: Value,
    /// Whether the value is the default.
    pub is_default: bool,
    /// What the file says about it.
    pub help: String,
}

impl Setting {
    /// The key without its section.
    pub fn key(&self) -> &str {
        self.path.rsplit_once('.').map_or(&self.path, |(_, key)| key)
    }

    /// Its flag, without the leading dashes.
    pub fn flag(&self) -> String {
        self.path.replace('_', "-")
    }

    /// Its environment variable.
    pub fn variable(&self) -> String {
        format!("HOTSHARD_{}", self.path.replace('.', "__").to_uppercase())
    }
}

impl Manual {
    /// The one that is built in.
    pub fn get() -> &'static Self {
        &MANUAL
    }

    /// The section of that name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// Every setting that a flag or a variable can reach: those outside lists.
    pub fn reachable(&self) -> impl Iterator<Item = (&Section, &Setting)> {
        self.sections
            .iter()
            .filter(|section| !self.in_list(&section.name))
            .flat_map(|section| section.settings.iter().map(move |setting| (section, setting)))
    }

    /// The names that may stand in the table `name`; a table with no keys of its own takes those of the section it is named after.
    pub fn names_in(&self, name: &str) -> Vec<&str> {
        let mut names: Vec<&str> = self.keys(name).collect();
        if names.is_empty()
            && let Some((_, namesake)) = name.rsplit_once('.')
        {
            names.extend(self.keys(namesake));
        }
        names.extend(
            self.sections
                .iter()
                .filter_map(|section| match section.name.rsplit_once('.') {
                    Some((parent, child)) if parent == name => Some(child),
                    None if name.is_empty() => Some(section.name.as_str()),
                    _ => None,
                }),
        );
        names
    }

    /// Whether the setting at `path` is a table of names that the user chooses.
    pub fn is_open(&self, path: &str) -> bool {
        let mut settings = self.sections.iter().flat_map(|section| &section.settings);
        settings.any(|setting| setting.path == path && matches!(setting.value, Value::InlineTable(_)))
    }

    fn keys(&self, name: &str) -> impl Iterator<Item = &str> {
        self.section(name)
            .into_iter()
            .flat_map(|section| section.settings.iter().map(Setting::key))
    }

    fn in_list(&self, name: &str) -> bool {
        self.sections.iter().any(|list| {
            list.list
                && name
                    .strip_prefix(list.name.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// Reads the file's own conventions: a comment belongs to the line below it, and `#key = …` (without a space) is a setting
    /// that has no default. A test holds the file to them.
    fn read(text: &str) -> Self {
        let mut sections: Vec<Section> = Vec::new();
        let mut help: Vec<&str> = Vec::new();
        for line in text.lines().map(str::trim) {
            let (line, is_default) = match line.strip_prefix('#') {
                Some(comment) if comment.is_empty() || comment.starts_with(' ') => {
                    help.push(comment.trim());
                    continue;
                }
                Some(optional) => (optional, false),
                None => (line, true),
            };
            let help = std::mem::take(&mut help).join(" ");
            if let Some(header) = line.strip_prefix('[') {
                sections.push(Section::read(header, help));
            } else if let (Some((key, value)), Some(section)) = (line.split_once('='), sections.last_mut()) {
                let value = Value::from_str(value.trim()).expect("a test reads the embedded file");
                section.settings.push(Setting {
                    path: format!("{}.{}", section.name, key.trim()),
                    value,
                    is_default,
                    help,
                });
            }
        }
        Self { sections }
    }
}

impl Section {
    fn read(header: &str, help: String) -> Self {
        Self {
            name: header.trim_matches(['[', ']']).to_owned(),
            list: header.starts_with('['),
            help,
            settings: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_reads_as_what_is_written() {
        let manual = Manual::read(
            "# A list.\n#[[groups]]\n# The id.\n#id = \"orders\"\n\n# The same keys as [auth].\n#[groups.auth]\n\n\
             # Who.\n# And how.\n[auth]\n#username = \"hotshard\"\n# How many.\nretries_max = 3\n",
        );
        assert_eq!(manual.names_in(""), ["groups", "auth"]);
        assert_eq!(manual.names_in("groups"), ["id", "auth"]);
        assert_eq!(manual.names_in("groups.auth"), ["username", "retries_max"]);
        let reachable: Vec<_> = manual
            .reachable()
            .map(|(section, setting)| {
                format!(
                    "{}: {} {} {}",
                    section.help,
                    setting.variable(),
                    setting.flag(),
                    setting.is_default
                )
            })
            .collect();
        assert_eq!(
            reachable,
            [
                "Who. And how.: HOTSHARD_AUTH__USERNAME auth.username false",
                "Who. And how.: HOTSHARD_AUTH__RETRIES_MAX auth.retries-max true",
            ]
        );
    }

    #[test]
    fn every_setting_is_explained_and_every_line_of_the_file_is_understood() {
        TEXT.parse::<toml_edit::DocumentMut>().expect("the defaults are TOML");
        for section in &Manual::get().sections {
            assert!(!section.help.is_empty(), "[{}] has no explanation", section.name);
            for setting in &section.settings {
                assert!(
                    setting.help.ends_with(['.', '?']),
                    "{} has no explanation",
                    setting.path
                );
            }
        }
        let understood = Manual::get()
            .sections
            .iter()
            .map(|section| section.settings.len())
            .sum::<usize>();
        let written = TEXT
            .lines()
            .filter(|line| !line.starts_with("# ") && line.contains(" = "))
            .count();
        assert_eq!(understood, written);
    }
}
