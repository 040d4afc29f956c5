//! What CLIENT LIST tells of one client. Which clients are asked for, and why, is others' to know.

use super::greeting;
use crate::model::Bytes;

/// One line of CLIENT LIST, as far as it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientLine {
    /// The server's number for the connection.
    pub id: u64,
    /// Where it comes from, `host:port`.
    pub address: String,
    /// The name it gave itself.
    pub name: String,
    /// The server's letters for its state; `O` is MONITOR.
    pub flags: String,
    /// What the server holds in its output buffer for this client.
    pub output_memory: Bytes,
    /// What it has sent to this client (Valkey 8.0).
    pub output: Option<Bytes>,
    /// How many commands of this client it has executed (Valkey 8.0).
    pub commands: Option<u64>,
}

impl ClientLine {
    /// Whether this client reads a MONITOR stream.
    pub fn monitors(&self) -> bool {
        self.flags.contains('O')
    }

    /// Whether it is one of our own connections.
    pub fn is_ours(&self) -> bool {
        self.name == greeting::CLIENT_NAME
    }

    /// Whether it is a client proper: no replica, no primary, and not the copy of everything that MONITOR sends.
    pub fn is_client(&self) -> bool {
        !self.flags.contains(['O', 'S', 'M'])
    }
}

pub(super) fn client_line(line: &str) -> Option<ClientLine> {
    let mut client = ClientLine::default();
    for (name, value) in line.split(' ').filter_map(|part| part.split_once('=')) {
        match name {
            "id" => client.id = value.parse().ok()?,
            "addr" => client.address = value.to_owned(),
            "name" => client.name = value.to_owned(),
            "flags" => client.flags = value.to_owned(),
            "omem" => client.output_memory = Bytes(value.parse().ok()?),
            "tot-net-out" => client.output = value.parse().ok().map(Bytes),
            "tot-cmds" => client.commands = value.parse().ok(),
            _ => {}
        }
    }
    (client.id != 0).then_some(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        let shown = client_line(line).map_or("nothing".into(), |client| {
            let ClientLine {
                id,
                address,
                name,
                flags,
                output_memory,
                output,
                commands,
            } = client;
            let output = output.map(|bytes| bytes.0);
            format!("{id} {address} {name} {flags} {output_memory} {output:?} {commands:?}")
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_client_is_read_from_its_line() {
        check(
            "id=7 addr=[::1]:52304 laddr=[::1]:6379 fd=9 name=hotshard age=1 idle=0 flags=O db=0 sub=0 qbuf=0 omem=2097152 tot-mem=1 cmd=monitor user=default redir=-1 resp=2",
            "7 [::1]:52304 hotshard O 2 MiB None None",
        );
        check(
            "id=8 addr=10.0.0.1:6 name= flags=N omem=0 resp=2 lib-name= lib-ver= tot-net-in=26 tot-net-out=4096 tot-cmds=3",
            "8 10.0.0.1:6  N 0 B Some(4096) Some(3)",
        );
        check("rubbish", "nothing");
    }
}
