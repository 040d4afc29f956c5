//! What the command line says about the cluster and the way in, laid over the settings.

use std::ffi::OsStr;
use std::fs::File;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args};
use secrecy::SecretString;

use crate::cli::found::named;
use crate::cli::{SettingsArgs, UsageError};
use crate::config::{GroupSettings, Settings};
use crate::engine::settings::NodeChoice;
use crate::model::written::parse_duration;
use crate::node::{AuthSettings, Credentials, TlsSettings};
use crate::schedule::Schedule;

/// Where a password is found when nothing else is said.
const PASSWORD_VARIABLE: &str = "REDIS_PASSWORD";

/// How long windows last when nothing is said: one round may look longer than those of a daemon.
const WINDOW: Duration = Duration::from_secs(60);

/// Two looks at the counters come before the windows; a daemon takes more time for them.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// The engine opens no round by itself before we are long gone.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Which cluster, how it is reached, and how its nodes are looked at.
#[derive(Clone, Debug, Args)]
pub(super) struct Target {
    /// The cluster: its replication group's id, or a glob; of a group in the configuration, what stands there holds too. (A configuration is
    /// given by --config, which has no short form here)
    #[arg(short, long = "cluster-id", visible_alias = "cluster", value_name = "ID")]
    cluster: Option<String>,
    /// The AWS region
    #[arg(short, long)]
    region: Option<String>,
    /// The profile of the shared AWS configuration
    #[arg(long)]
    profile: Option<String>,
    /// How long each window lasts at most: seconds, or as in 2m [default: 60]
    #[arg(short, long, value_name = "SPAN", value_parser = duration)]
    duration: Option<Duration>,
    /// A node to find the others from, or every node with its shard, instead of asking AWS; repeatable
    #[arg(short, long = "endpoint", visible_alias = "endpoints", value_name = "HOST:PORT[:NAME]", num_args = 1.., value_delimiter = ',')]
    endpoints: Vec<String>,
    /// Look at primaries, which MONITOR slows down
    #[arg(long)]
    pub(super) use_primary: bool,
    /// The password; everybody on this machine can read it in the list of processes: better --password-file or $REDIS_PASSWORD
    #[arg(short, long, value_name = "PASSWORD", conflicts_with_all = ["password_file", "iam_user"])]
    password: Option<SecretString>,
    /// The file that holds the password
    #[arg(long, value_name = "FILE", conflicts_with = "iam_user")]
    password_file: Option<PathBuf>,
    /// The user to log in as
    #[arg(long, value_name = "NAME", conflicts_with = "iam_user")]
    username: Option<String>,
    /// The IAM user to log in as, whose password is made from the AWS credentials
    #[arg(long, value_name = "ID")]
    iam_user: Option<String>,
    /// Encrypt connections; unsaid, what AWS says, else for *.cache.amazonaws.com
    #[arg(long, overrides_with = "no_tls")]
    tls: bool,
    /// Don't encrypt connections
    #[arg(long, action = ArgAction::SetTrue)]
    no_tls: bool,
    /// The certificate authority to trust, as PEM; connections are encrypted then
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Encrypt, and take any certificate: whoever is between can read the password
    #[arg(long)]
    tls_insecure: bool,
    /// After so many commands a window ends early
    #[arg(long, value_name = "N", value_parser = commands)]
    commands_max: Option<NonZeroU64>,
    /// Estimate bytes out by pattern and key, whatever bandwidth.enabled says
    #[arg(long)]
    estimate_bandwidth: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

impl Target {
    /// The settings of one round: file and environment below, the command line above.
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        let loaded = self.settings.load()?;
        let is_written = |path: &str| loaded.written.iter().any(|setting| setting.path == path);
        let unwritten = ["monitor.window", "poll.interval", "log.level"].map(|path| !is_written(path));
        let mut settings = loaded.settings.clone();
        self.choose_groups(&mut settings)?;
        if settings.groups.is_empty() {
            let text = "there is nothing to watch: name a cluster by --cluster-id, nodes by --endpoint, or a file with [[groups]] by --config";
            return Err(UsageError(text.to_owned()).into());
        }
        self.refuse_unreadable()?;
        self.way_in(&mut settings);
        settings.refuse_bare_tokens()?;
        let [window, poll, log] = unwritten;
        settings.monitor.window = match self.duration {
            Some(span) => span,
            None if window => WINDOW,
            None => settings.monitor.window,
        };
        if poll {
            settings.poll.interval = POLL_INTERVAL;
        }
        if log {
            // Why a window wasn't opened is told at the end.
            settings.log.level = "warn,hotshard::engine::opening=error".to_owned().try_into()?;
        }
        if let Some(commands) = self.commands_max {
            settings.monitor.commands_max = commands;
        }
        settings.bandwidth.enabled |= self.estimate_bandwidth;
        if self.use_primary {
            settings.monitor.nodes = NodeChoice::Primary;
        }
        settings.monitor.enabled = true;
        settings.monitor.on_hot = false;
        settings.monitor.schedule = Schedule::Every(NEVER);
        Ok(settings)
    }

    /// A file of the command line's that can't be read is a mistake on it, not a fault of any node. Its name is not repeated: it may be
    /// the password itself, written in the wrong place.
    fn refuse_unreadable(&self) -> Result<(), UsageError> {
        let opened = self.password_file.as_ref().map(File::open).transpose();
        opened
            .map(drop)
            .map_err(|error| UsageError(format!("cannot read the file of --password-file: {error}")))
    }

    /// Whether a setting is written somewhere, so that it isn't ours to choose.
    pub(super) fn is_written(&self, path: &str) -> anyhow::Result<bool> {
        let loaded = self.settings.load()?;
        Ok(loaded.written.iter().any(|setting| setting.path == path))
    }

    /// The password that the command line itself holds.
    pub(super) fn given(&self) -> Option<Credentials> {
        let password = self.password.clone()?;
        Some(Credentials::given(self.username.as_deref(), password))
    }

    /// The groups that are meant: those of the configuration, one of them, or one that the command line alone names.
    fn choose_groups(&self, settings: &mut Settings) -> anyhow::Result<()> {
        if self.endpoints.is_empty() {
            let Some(cluster) = &self.cluster else {
                return Ok(());
            };
            let is_meant = |group: &GroupSettings| {
                let region = self.region.as_deref();
                group.id.as_str() == cluster && region.is_none_or(|region| group.region.as_str() == region)
            };
            if settings.groups.iter().any(is_meant) {
                settings.groups.retain(is_meant);
                return Ok(());
            }
        }
        if let Some(file) = self.cluster.as_deref().filter(|name| is_file(name)) {
            let text =
                format!("{file} is a file, and -c names a cluster here; a configuration is given by --config {file}");
            return Err(UsageError(text).into());
        }
        let (cluster, region, profile) = (&self.cluster, &self.region, &self.profile);
        let group = named(
            cluster.as_deref(),
            region.as_deref(),
            profile.as_deref(),
            &self.endpoints,
        )?;
        settings.groups = vec![group];
        Ok(())
    }

    /// Who we are, and how connections are encrypted.
    fn way_in(&self, settings: &mut Settings) {
        let (auth, tls) = (settings.auth.clone(), settings.tls.clone());
        for group in &mut settings.groups {
            let own = group.auth.take().unwrap_or_else(|| auth.clone());
            group.auth = Some(self.auth(own));
            let own = group.tls.take().unwrap_or_else(|| tls.clone());
            group.tls = Some(self.encryption(own));
            if let Some(profile) = &self.profile {
                group.profile = Some(profile.clone());
            }
        }
    }

    fn auth(&self, mut auth: AuthSettings) -> AuthSettings {
        if let Some(username) = &self.username {
            auth.username = Some(username.clone());
        }
        let named = AuthSettings {
            username: auth.username.clone(),
            ..AuthSettings::default()
        };
        if let Some(file) = &self.password_file {
            return AuthSettings {
                password_file: Some(file.clone()),
                ..named
            };
        }
        if let Some(user) = &self.iam_user {
            return AuthSettings {
                iam_user: Some(user.clone()),
                ..AuthSettings::default()
            };
        }
        let is_silent = auth == named;
        let variable = std::env::var_os(PASSWORD_VARIABLE).is_some_and(|password| !password.is_empty());
        if is_silent && variable && self.password.is_none() {
            auth.password_env = Some(PASSWORD_VARIABLE.to_owned());
        }
        auth
    }

    fn encryption(&self, mut tls: TlsSettings) -> TlsSettings {
        let meant = self.tls || self.tls_ca.is_some() || self.tls_insecure;
        if meant || self.no_tls {
            tls.enabled = Some(meant && !self.no_tls);
        }
        if let Some(authority) = &self.tls_ca {
            tls.ca_file = Some(authority.clone());
        }
        tls.insecure |= self.tls_insecure;
        tls
    }
}

/// Names of clusters have no ending, and files that are there are nobody's cluster.
fn is_file(name: &str) -> bool {
    let path = Path::new(name);
    let ending = path.extension().and_then(OsStr::to_str);
    path.is_file() || matches!(ending, Some("toml" | "yaml" | "yml"))
}

fn commands(text: &str) -> Result<NonZeroU64, String> {
    text.parse().map_err(|_| "it takes a number of at least 1".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    let span = parse_duration(text).map_err(|error| error.to_string())?;
    match span.is_zero() {
        true => Err("a window of no length sees nothing".to_owned()),
        false => Ok(span),
    }
}
