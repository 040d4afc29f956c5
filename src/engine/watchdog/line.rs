//! The line between hotshard and its watchdog: short messages, whole and in order, one of which carries a socket. It never waits for
//! the other side to listen, and it ends when the other side does.

use std::fs::{self, Permissions};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::io::retry_on_intr;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen, recvmsg, sendmsg,
    socket_with, socketpair,
};

/// How many lines may wait to be taken.
const WAITING_MAX: i32 = 16;

/// Every message: its kind, the number of a stream, and milliseconds.
const LENGTH: usize = 13;

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// We live.
    Alive,
    /// Here is a stream; end it after so long without a word.
    Hold(u64, Duration),
    /// It is over.
    Release(u64),
}

impl Word {
    fn written(self) -> [u8; LENGTH] {
        let (kind, stream, patience) = match self {
            Self::Alive => (b'a', 0, Duration::ZERO),
            Self::Hold(stream, patience) => (b'h', stream, patience),
            Self::Release(stream) => (b'r', stream, Duration::ZERO),
        };
        let milliseconds = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
        let mut bytes = [kind; LENGTH];
        bytes[1..9].copy_from_slice(&stream.to_le_bytes());
        bytes[9..].copy_from_slice(&milliseconds.to_le_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (stream, milliseconds) = rest.split_first_chunk()?;
        let stream = u64::from_le_bytes(*stream);
        let milliseconds = u32::from_le_bytes(milliseconds.try_into().ok()?);
        match kind {
            b'a' => Some(Self::Alive),
            b'h' => Some(Self::Hold(stream, Duration::from_millis(milliseconds.into()))),
            b'r' => Some(Self::Release(stream)),
            _ => None,
        }
    }
}

/// Both ends of a new line.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// A place where lines are taken, for this user alone. What a dead process left there is put away.
pub(super) fn place(path: &Path) -> io::Result<OwnedFd> {
    if dial(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let place = socket()?;
    bind(&place, &SocketAddrUnix::new(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    listen(&place, WAITING_MAX)?;
    Ok(place)
}

/// The next line that somebody opens there.
pub(super) fn take(place: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(retry_on_intr(|| accept_with(place, SocketFlags::CLOEXEC))?)
}

/// A line to whoever takes them there.
pub(super) fn dial(path: &Path) -> io::Result<OwnedFd> {
    let line = socket()?;
    connect(&line, &SocketAddrUnix::new(path)?)?;
    Ok(line)
}

fn socket() -> io::Result<OwnedFd> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    Ok(socket_with(family, kind, SocketFlags::CLOEXEC, None)?)
}

/// Says one thing; it fails where the other side is gone or has long not listened.
pub(super) fn send(line: BorrowedFd<'_>, word: Word, socket: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    let sockets = socket.map(|socket| [socket]);
    if let Some(sockets) = &sockets {
        beside.push(SendAncillaryMessage::ScmRights(sockets));
    }
    let bytes = word.written();
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    retry_on_intr(|| sendmsg(line, &[io::IoSlice::new(&bytes)], &mut beside, flags))?;
    Ok(())
}

/// The next thing that is said, with the socket that came with it; `None` when the other side is gone.
pub(super) fn receive(line: BorrowedFd<'_>) -> io::Result<Option<(Word, Option<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; LENGTH];
    let read = retry_on_intr(|| {
        recvmsg(
            line,
            &mut [io::IoSliceMut::new(&mut bytes)],
            &mut beside,
            RecvFlags::CMSG_CLOEXEC,
        )
    })?;
    let sockets = beside.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
        _ => None,
    });
    let socket = sockets.flatten().last();
    match read.bytes {
        0 => Ok(None),
        length => {
            let word = Word::read(&bytes[..length]).ok_or(io::ErrorKind::InvalidData)?;
            Ok(Some((word, socket)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn check(word: Word) {
        let (ours, theirs) = pair().expect("the kernel gives a pair");
        send(ours.as_fd(), word, None).expect("it is taken");
        let heard = receive(theirs.as_fd()).expect("it is readable");
        assert_eq!(
            heard.map(|(word, socket)| (word, socket.is_some())),
            Some((word, false))
        );
        drop(ours);
        assert!(receive(theirs.as_fd()).expect("it is readable").is_none(), "it ends");
    }

    #[test]
    fn what_is_said_is_heard() {
        check(Word::Alive);
        check(Word::Hold(u64::MAX - 1, Duration::from_millis(1500)));
        check(Word::Release(7));
    }

    #[test]
    fn a_socket_comes_over_and_is_the_same_socket() {
        let (ours, theirs) = pair().expect("the kernel gives a pair");
        let (socket, peer) = UnixStream::pair().expect("the kernel gives a pair");
        send(ours.as_fd(), Word::Hold(1, Duration::ZERO), Some(socket.as_fd())).expect("it is taken");
        drop(socket);
        let (_, socket) = receive(theirs.as_fd()).expect("it is readable").expect("it is heard");
        let socket = UnixStream::from(socket.expect("it came with a socket"));
        assert_eq!(io::Write::write(&mut &socket, b"x").expect("it is open"), 1);
        assert_eq!(io::Read::read(&mut &peer, &mut [0; 2]).expect("it is open"), 1);
    }

    #[test]
    fn nobody_waits_for_a_side_that_does_not_listen() {
        let (ours, theirs) = pair().expect("the kernel gives a pair");
        let refused = (0..1_000_000).find_map(|_| send(ours.as_fd(), Word::Alive, None).err());
        assert_eq!(refused.map(|error| error.kind()), Some(io::ErrorKind::WouldBlock));
        drop(theirs);
        assert!(send(ours.as_fd(), Word::Alive, None).is_err(), "nobody is there");
    }
}
