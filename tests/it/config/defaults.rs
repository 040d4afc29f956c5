//! The file of defaults that is built in: a configuration that changes nothing, and all there is to set.

use hotshard::analysis::pattern::PatternSettings;
use hotshard::config::{Settings, Sources, TEXT};
use hotshard::export::http::WebSettings;
use hotshard::node::{AuthSettings, TlsSettings};

use super::{GROUP, checked};

#[test]
fn the_embedded_file_is_a_configuration_that_changes_nothing() {
    let told = checked(&format!("{GROUP}{}", TEXT), &[], &[]);
    assert!(told.ends_with("exit code 0\n"), "{told}");
    let defaults = Settings::defaults();
    let nothing = Sources::default().load().expect("the defaults are sound");
    assert_eq!(nothing.settings, defaults);
}

#[test]
fn every_line_of_the_embedded_file_is_a_setting_and_every_setting_a_line() {
    let written = toml::Table::try_from(Settings::defaults()).expect("settings can be written");
    let manual: toml::Table = TEXT.parse().expect("the defaults are TOML");
    let settings = |table: &toml::Table| -> Vec<(String, String)> {
        let sections = table
            .iter()
            .filter_map(|(name, section)| Some((name, section.as_table()?)));
        let lines = sections.flat_map(|(name, section)| {
            let filled = section
                .iter()
                .filter(|(_, value)| value.as_array().is_none_or(|list| !list.is_empty()));
            filled.map(move |(key, value)| (format!("{name}.{key}"), value.to_string()))
        });
        let mut lines: Vec<_> = lines.collect();
        lines.sort();
        lines
    };
    assert_eq!(settings(&written), settings(&manual));
}

#[test]
fn the_modules_own_defaults_are_the_files() {
    let settings = Settings::defaults();
    assert_eq!(settings.auth, AuthSettings::default());
    assert_eq!(settings.tls, TlsSettings::default());
    assert_eq!(settings.patterns, PatternSettings::default());
    assert_eq!(settings.web, WebSettings::default());
}
