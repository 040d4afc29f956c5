//! What a guard asks a node, a few times a second while a window is open, and once before.

use super::LinkError;
use super::client::{ClientLine, client_line};
use super::limit::ServerLimit;
use super::link::{self, Link};
use super::raw::Command;
use super::version;
use crate::discovery::role::RoleAnswer;

/// The sections a guard asks for; without command statistics they cost the server some 40 µs.
const SECTIONS: [&str; 7] = [
    "server",
    "clients",
    "memory",
    "persistence",
    "stats",
    "replication",
    "cpu",
];

/// What one look found.
#[derive(Clone, Debug)]
pub struct Sight {
    /// INFO as the server wrote it.
    pub info: String,
    /// ROLE, asked in the same breath.
    pub role: RoleAnswer,
    /// The client that was asked for; `None` if it is gone or wasn't asked for.
    pub client: Option<ClientLine>,
}

/// Looks once: INFO, ROLE, and the client `id`.
pub async fn look(link: &Link, id: Option<u64>) -> Result<Sight, LinkError> {
    let mut commands = vec![version::info(link.version(), &SECTIONS), Command::new("ROLE")];
    commands.extend(id.map(|id| Command::new("CLIENT|LIST").arg("ID").arg(id)));
    let mut answers = link.pipeline(commands).await?.into_iter();
    let closed = || Err(LinkError::Closed(link.endpoint().clone()));
    let info = answers.next().unwrap_or_else(closed)?;
    let role = answers.next().unwrap_or_else(closed)?;
    let client = match answers.next().transpose()? {
        Some(lines) => link::text(&lines).ok_or_else(|| link.unexpected("CLIENT|LIST", &lines))?,
        None => String::new(),
    };
    Ok(Sight {
        info: link::text(&info).ok_or_else(|| link.unexpected("INFO", &info))?,
        role: RoleAnswer::parse(&role).ok_or_else(|| link.unexpected("ROLE", &role))?,
        client: client.lines().find_map(client_line),
    })
}

/// Whether the server itself bounds what it holds for us. Where CONFIG is kept from us it is unknown.
pub async fn server_limit(link: &Link) -> Result<ServerLimit, LinkError> {
    let asked = ["client-output-buffer-limit", "maxmemory-clients", "maxmemory"];
    // Before 7.0 CONFIG GET takes one name a call.
    let commands = asked.map(|name| Command::new("CONFIG|GET").arg(name));
    let mut values = Vec::with_capacity(asked.len());
    for answer in link.pipeline(commands.into()).await? {
        match answer {
            Ok(answer) => values.push(link::pair(&answer).unwrap_or_default()),
            Err(LinkError::Rejected { .. } | LinkError::NoPermission { .. }) => return Ok(ServerLimit::Unknown),
            Err(error) => return Err(error),
        }
    }
    let value = |place: usize| values.get(place).map_or("", String::as_str);
    Ok(ServerLimit::of(value(0), value(1), value(2)))
}
