//! What `serve` finds around it on this machine, looked at without leaving anything behind: files that settings name, who would see the
//! page, the archive's folder, and, where more is tried than the configuration, whether its addresses are free.

use std::fmt::Write as _;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;

use crate::archive::{self, ArchiveError, ArchiveSettings};
use crate::config::Settings;
use crate::engine::watchdog;
use crate::export::http::{self, Access, ListenAddress};
use crate::export::otlp::{Identity, Push};
use crate::model::written::{show_duration, show_size};

/// What was found around the configuration.
pub(super) struct Around {
    /// Who would see page and API.
    access: Vec<(ListenAddress, Access)>,
    /// Where nobody could listen now, and why.
    taken: Vec<(ListenAddress, io::Error)>,
    /// Where no watchdog listens that was to be started apart, and why.
    watchdog: Option<(PathBuf, io::Error)>,
    /// What would keep the archive from being written.
    pub(super) archive: Result<(), ArchiveError>,
}

impl Around {
    /// An error is what `serve` would refuse only after it has begun. With `connect` addresses are listened on for a moment, and a watchdog
    /// that was started apart is called.
    pub(super) fn look(settings: &Settings, connect: bool) -> anyhow::Result<Self> {
        let access = http::verify(&settings.web)?;
        settings.privacy.verify()?;
        if let Some(push) = Push::resolve(&settings.otlp, &Identity::default(), |name| std::env::var(name).ok())? {
            push.verify()?;
        }
        let addresses = settings.web.listen_address.iter().filter(|_| connect);
        let taken = |address: &ListenAddress| Some((address.clone(), listen(address).err()?));
        let guards = &settings.guards;
        let watchdog = guards.watchdog_socket.clone().filter(|_| connect && guards.watchdog);
        Ok(Self {
            access,
            taken: addresses.filter_map(taken).collect(),
            watchdog: watchdog.and_then(|place| {
                let error = watchdog::answers(&place).err()?;
                Some((place, error))
            }),
            archive: archive::try_out(&settings.archive),
        })
    }

    pub(super) fn describe(&self, text: &mut String, archive: &ArchiveSettings) -> std::fmt::Result {
        for (address, error) in &self.taken {
            writeln!(text, "  {}", taken(address, error))?;
        }
        if let Some((place, error)) = &self.watchdog {
            writeln!(
                text,
                "Watchdog: none listens at {} (guards.watchdog_socket): {error}; start one there by `hotshard watchdog --listen`, or one \
                 of hotshard's own is started",
                place.display()
            )?;
        }
        for (address, access) in &self.access {
            writeln!(text, "Page and API: {}", pages(address, *access))?;
        }
        writeln!(text, "Archive: {}", kept(archive, &self.archive))
    }
}

/// Listens there for a moment.
fn listen(address: &ListenAddress) -> io::Result<()> {
    let port = address.port();
    let listener = match address.host() {
        // As the daemon does: an IPv6 socket takes IPv4 as well, if the machine has IPv6.
        "" => TcpListener::bind(("::", port)).or_else(|error| match error.kind() {
            io::ErrorKind::AddrInUse => Err(error),
            _ => TcpListener::bind(("0.0.0.0", port)),
        }),
        host => TcpListener::bind((host, port)),
    };
    listener.map(drop)
}

fn taken(address: &ListenAddress, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{address} is in use now: a hotshard runs already, or `serve` will not start; stop what listens there, or set \
             web.listen_address"
        ),
        _ => format!("{address} can't be listened on here: {error}; set web.listen_address"),
    }
}

fn pages(address: &ListenAddress, access: Access) -> String {
    match access {
        Access::Authenticated => {
            format!("open at {address} to whoever has a password or certificate of web.config.file")
        }
        Access::Machine => format!("open at {address} to whoever is on this machine"),
        Access::Everybody => format!("open at {address} to everybody who reaches it (web.allow_unauthenticated)"),
        Access::Nobody => format!(
            "closed at {address}, since others reach it and nothing asks who they are; listen on 127.0.0.1, ask for passwords \
             (web.config.file), or set web.allow_unauthenticated"
        ),
        Access::Unknown => format!("not to be told of {address}, which is not known here"),
    }
}

fn kept(settings: &ArchiveSettings, tried: &Result<(), ArchiveError>) -> String {
    match (&settings.path, tried) {
        (None, _) => "none (archive.path is not set)".to_owned(),
        (Some(_), Err(error)) => format!("nothing would be kept: {error}"),
        (Some(path), Ok(())) => format!(
            "{}, for at most {} and {}",
            path.display(),
            show_duration(settings.retention),
            show_size(settings.size_max)
        ),
    }
}
