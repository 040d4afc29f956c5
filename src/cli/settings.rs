//! `--config` and one flag for every setting, made from the manual, so that a new setting needs no code here.

use std::env;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueHint};

use crate::config::{ConfigError, Loaded, Manual, Section, Setting, Sources};

/// Where the settings of a command come from.
#[derive(Clone, Debug, Default)]
pub struct SettingsArgs {
    /// The file.
    pub config: Option<PathBuf>,
    /// Flags by the path of their setting, with what was written.
    pub flags: Vec<(String, Vec<String>)>,
}

impl SettingsArgs {
    /// Reads flags over environment over file over defaults.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        // A variable that isn't UTF-8 is nobody's setting.
        let variables =
            env::vars_os().filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)));
        let sources = Sources {
            file: self.config.clone(),
            variables: variables.collect(),
            flags: self.flags.clone(),
        };
        sources.load()
    }
}

impl Args for SettingsArgs {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .short('c')
            .value_name("FILE")
            .value_hint(ValueHint::FilePath)
            .value_parser(clap::value_parser!(PathBuf))
            .env("HOTSHARD_CONFIG")
            .help("The configuration, in TOML; what it doesn't say keeps its default");
        let flags = Manual::get()
            .reachable()
            .map(|(section, setting)| flag(section, setting));
        command.arg(config).args(flags)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingsArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |setting: &Setting| {
            let texts = matches.get_many::<String>(&setting.path)?;
            Some((setting.path.clone(), texts.cloned().collect()))
        };
        Ok(Self {
            config: matches.get_one::<PathBuf>("config").cloned(),
            flags: Manual::get()
                .reachable()
                .filter_map(|(_, setting)| given(setting))
                .collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn flag(section: &Section, setting: &Setting) -> Arg {
    let default = if setting.is_default {
        format!(" [default: {}]", plain(setting))
    } else {
        String::new()
    };
    let arg = Arg::new(setting.path.clone())
        .long(setting.flag())
        .help_heading(format!("Settings: {}", section.name))
        .help(format!("{}{default} [env: {}]", setting.help, setting.variable()))
        .value_name(value_name(setting))
        // They fill pages; `--help` shows them, `-h` doesn't.
        .hide_short_help(true)
        .hide_possible_values(true);
    match setting.value {
        toml_edit::Value::Boolean(_) => arg
            .num_args(0..=1)
            .default_missing_value("true")
            .value_parser(PossibleValuesParser::new(["true", "false"]).map(|text| text)),
        toml_edit::Value::Array(_) => arg.action(ArgAction::Append),
        _ => arg,
    }
}

fn plain(setting: &Setting) -> String {
    setting
        .value
        .as_str()
        .map_or_else(|| setting.value.to_string().trim().to_owned(), str::to_owned)
}

fn value_name(setting: &Setting) -> &'static str {
    match setting.value {
        toml_edit::Value::Boolean(_) => "true|false",
        toml_edit::Value::Integer(_) | toml_edit::Value::Float(_) => "NUMBER",
        toml_edit::Value::Array(_) => "ITEM",
        _ => "VALUE",
    }
}
