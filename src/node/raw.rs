//! RESP2 on a bare stream, answer by answer: for the greeting, and for MONITOR, whose lines are answers without end.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use redis::{Cmd, ToRedisArgs, Value};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use super::account::{Account, Counted};
use super::{BoxStream, LinkError, Socket};
use crate::model::Endpoint;

/// The longest answer taken before the stream is given up. (INFO of a busy server is some 20 KB.)
pub(super) const ANSWER_MAX: usize = 8 << 20;

/// The first octet of TLS records: handshake, alert.
const TLS_RECORDS: [u8; 2] = [0x16, 0x15];

/// A command by its name (`CLIENT|LIST`), and as it is sent.
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) packed: Cmd,
}

impl Command {
    /// `CLIENT|LIST` is sent as CLIENT LIST.
    pub(super) fn new(name: &'static str) -> Self {
        let mut packed = Cmd::new();
        for word in name.split('|') {
            packed.arg(word);
        }
        Self { name, packed }
    }

    pub(super) fn arg(mut self, argument: impl ToRedisArgs) -> Self {
        self.packed.arg(argument);
        self
    }
}

/// A stream with the bytes that were read from it and not yet used.
pub(super) struct Raw {
    pub(super) endpoint: Endpoint,
    pub(super) account: Account,
    pub(super) answer_timeout: Duration,
    stream: Counted,
    buffer: Vec<u8>,
}

impl Raw {
    pub(super) fn new(endpoint: Endpoint, stream: BoxStream, account: Account, answer_timeout: Duration) -> Self {
        Self {
            endpoint,
            stream: Counted::new(stream, account.clone()),
            account,
            answer_timeout,
            buffer: Vec::new(),
        }
    }

    /// Sends all commands at once and takes their answers. An error answer is a value here.
    pub(super) async fn exchange(&mut self, commands: &[Command]) -> Result<Vec<Value>, LinkError> {
        let mut unanswered = Unanswered::of(&self.account, commands.iter().map(|command| command.name));
        let sent = self.send(commands).await;
        let mut answers = Vec::with_capacity(commands.len());
        for command in commands {
            let answer = match timeout(self.answer_timeout, self.answer()).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => {
                    let error = sent
                        .err()
                        .map_or(error, |error| LinkError::broken(&self.endpoint, error));
                    return Err(self.reason(commands, answers).unwrap_or(error));
                }
                Err(_elapsed) => return Err(self.silent(command.name)),
            };
            unanswered.answered(&answer);
            answers.push(answer);
        }
        Ok(answers)
    }

    /// Sends one command and takes its answer; an error answer is an error.
    pub(super) async fn ask(&mut self, command: Command) -> Result<Value, LinkError> {
        let name = command.name;
        let answers = self.exchange(std::slice::from_ref(&command)).await?;
        let answer = answers.into_iter().next().unwrap_or_default();
        accepted(&self.endpoint, name, answer)
    }

    pub(super) async fn send(&mut self, commands: &[Command]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for command in commands {
            bytes.extend_from_slice(&command.packed.get_packed_command());
        }
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await
    }

    /// The next answer, read to its last byte and not further.
    async fn answer(&mut self) -> Result<Value, LinkError> {
        loop {
            match frame(&self.buffer) {
                Ok(Some(length)) => {
                    let answer = redis::parse_redis_value(&self.buffer[..length]);
                    self.buffer.drain(..length);
                    return answer.map_err(|error| self.malformed(error.to_string()));
                }
                Ok(None) if self.buffer.len() > ANSWER_MAX => {
                    return Err(self.malformed("an answer is too long".into()));
                }
                Ok(None) => self.fill().await?,
                Err(first) if TLS_RECORDS.contains(&first) => {
                    return Err(LinkError::TlsNeeded(self.endpoint.clone()));
                }
                Err(first) => {
                    return Err(self.malformed(format!("an answer begins with byte 0x{first:02x}")));
                }
            }
        }
    }

    async fn fill(&mut self) -> Result<(), LinkError> {
        let mut space = [0_u8; 16 * 1024];
        let read = std::future::poll_fn(|cx| self.poll_into(cx, &mut space))
            .await
            .map_err(|error| LinkError::broken(&self.endpoint, error))?;
        if read == 0 {
            return Err(LinkError::Closed(self.endpoint.clone()));
        }
        self.buffer.extend_from_slice(&space[..read]);
        Ok(())
    }

    /// Reads what is there into `space`; 0 is the end of the stream.
    pub(super) fn poll_into(&mut self, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut space = ReadBuf::new(space);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut space))?;
        Poll::Ready(Ok(space.filled().len()))
    }

    /// See [`super::Stream::unwatch`].
    pub(super) fn unwatch(&mut self) -> io::Result<()> {
        self.stream.stream.unwatch()
    }

    /// See [`super::Stream::watch`].
    pub(super) fn watch(&mut self) -> io::Result<()> {
        self.stream.stream.watch()
    }

    /// What was read beyond the last answer.
    pub(super) fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// See [`super::Stream::resetting_handle`].
    pub(super) fn resetting_handle(&self) -> Option<Socket> {
        self.stream.stream.resetting_handle()
    }

    /// The stream, for whoever speaks on.
    pub(super) fn into_stream(self) -> Result<Counted, LinkError> {
        if !self.buffer.is_empty() {
            return Err(self.malformed("it talks without being asked".into()));
        }
        Ok(self.stream)
    }

    /// A server that refuses a client says why and closes: what it said counts, not that it said no more.
    fn reason(&self, commands: &[Command], answers: Vec<Value>) -> Option<LinkError> {
        let answered = commands.iter().zip(answers);
        answered
            .map(|(command, answer)| accepted(&self.endpoint, command.name, answer))
            .find_map(Result::err)
    }

    fn silent(&self, command: &'static str) -> LinkError {
        LinkError::TimedOut {
            endpoint: self.endpoint.clone(),
            what: format!("answer {}", spoken(command)),
            after: self.answer_timeout,
        }
    }

    pub(super) fn malformed(&self, what: String) -> LinkError {
        LinkError::Protocol {
            endpoint: self.endpoint.clone(),
            what,
        }
    }
}

/// An error answer becomes an error.
pub(super) fn accepted(endpoint: &Endpoint, command: &'static str, answer: Value) -> Result<Value, LinkError> {
    match answer {
        Value::ServerError(error) => Err(LinkError::refusal(endpoint, command, &error)),
        answer => Ok(answer),
    }
}

/// Commands on their way. Those that nobody answers are entered as executed in the end: a server that was too late for us does them
/// all the same, and our part had better be too large than be taken for load.
pub(super) struct Unanswered {
    account: Account,
    commands: VecDeque<&'static str>,
}

impl Unanswered {
    pub(super) fn of(account: &Account, commands: impl IntoIterator<Item = &'static str>) -> Self {
        Self {
            account: account.clone(),
            commands: commands.into_iter().collect(),
        }
    }

    /// The first of them was answered: enters an error, and a command unless the server refused it before executing it, which
    /// `commandstats` doesn't count as a call.
    pub(super) fn answered(&mut self, answer: &Value) {
        let executed = match answer {
            Value::ServerError(error) => {
                self.account.count_error(error.code());
                !matches!(error.code(), "NOPERM" | "NOAUTH" | "LOADING" | "DENIED")
                    && !error
                        .details()
                        .is_some_and(|details| details.starts_with("unknown") || details.starts_with("wrong number"))
            }
            _ => true,
        };
        if let Some(command) = self.commands.pop_front().filter(|_| executed) {
            self.account.count(command);
        }
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.commands.iter().for_each(|command| self.account.count(command));
    }
}

/// `CLIENT|LIST` as a person writes it.
pub(super) fn spoken(command: &str) -> String {
    command.replace('|', " ")
}

/// The length of the first whole answer in `bytes`, `None` if it isn't whole yet, or the octet that begins no answer.
pub(super) fn frame(bytes: &[u8]) -> Result<Option<usize>, u8> {
    let mut at = 0;
    let mut wanted: u64 = 1;
    while wanted > 0 {
        let Some(&first) = bytes.get(at) else {
            return Ok(None);
        };
        if !b"+-:$*".contains(&first) {
            return Err(first);
        }
        let Some(end) = memchr::memchr(b'\n', &bytes[at..]) else {
            return Ok(None);
        };
        let number = || length(&bytes[at + 1..at + end]).ok_or(first);
        wanted -= 1;
        let mut next = at + end + 1;
        match first {
            b'$' => next += number()?.map_or(0, |length| length + 2),
            b'*' => wanted += number()?.map_or(0, |items| items as u64),
            _ => {}
        }
        at = next;
    }
    Ok((at <= bytes.len()).then_some(at))
}

/// A length as RESP2 writes it; `Some(None)` is -1, which stands for nothing.
fn length(digits: &[u8]) -> Option<Option<usize>> {
    let digits = std::str::from_utf8(digits).ok()?.trim_end_matches('\r');
    if digits == "-1" {
        return Some(None);
    }
    digits.parse::<u32>().ok().map(|length| Some(length as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `|` marks where the first answer ends.
    fn check(stream: &str) {
        let expected = stream.find('|');
        let bytes = stream.replace('|', "");
        assert_eq!(frame(bytes.as_bytes()), Ok(expected), "{stream:?}");
        for cut in 0..expected.unwrap_or(0) {
            assert_eq!(frame(&bytes.as_bytes()[..cut]), Ok(None), "{stream:?} cut at {cut}");
        }
    }

    #[test]
    fn an_answer_ends_where_resp_says_so() {
        check("+OK\r\n|+1.5 [0 lua] \"get\"\r\n");
        check("-NOAUTH Authentication required.\r\n|");
        check("$5\r\na\r\nb\n\r\n|$1");
        check("$-1\r\n|");
        check("*3\r\n$5\r\nslave\r\n*2\r\n:1\r\n*-1\r\n+x\r\n|+y");
        check("*0\r\n|");
    }

    #[test]
    fn what_is_no_answer_is_told_by_its_first_octet() {
        assert_eq!(frame(b"HTTP/1.1 400"), Err(b'H'));
        assert_eq!(frame(&[0x15, 3, 1]), Err(0x15));
        assert_eq!(frame(b"$5x\r\n"), Err(b'$'));
    }

    #[test]
    fn a_command_that_nobody_answered_counts_as_ours() {
        let account = Account::new();
        let mut unanswered = Unanswered::of(&account, ["INFO", "ROLE", "CLIENT|ID"]);
        unanswered.answered(&Value::Okay);
        let refused = redis::parse_redis_value(b"-NOPERM no permissions\r\n").expect("an error is an answer");
        unanswered.answered(&refused);
        assert_eq!(account.total().calls(), 1, "the last one is on its way");
        drop(unanswered);
        let counted: Vec<&str> = account.total().commands.into_keys().collect();
        assert_eq!(counted, ["CLIENT|ID", "INFO"], "what was refused was not executed");
    }

    #[test]
    fn a_container_is_sent_as_two_words() {
        let command = Command::new("CLIENT|SETNAME").arg("hotshard");
        let sent = command.packed.get_packed_command();
        assert_eq!(sent, b"*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$8\r\nhotshard\r\n");
    }
}
