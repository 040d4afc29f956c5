//! Where the lines come from: files, compressed files, standard input.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use flate2::bufread::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::UsageError;

/// Bytes read at a time.
const BUFFER: usize = 256 * 1024;

/// Reading less than this takes no time worth showing.
const LARGE: u64 = 64 << 20;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// One log.
#[derive(Debug)]
pub(super) enum Input {
    Stdin,
    File(PathBuf),
}

impl Input {
    /// The logs as they were named; standard input can be read but once.
    pub(super) fn all(files: &[PathBuf]) -> Result<Vec<Self>, UsageError> {
        let inputs: Vec<Self> = files
            .iter()
            .map(|file| {
                if file.as_os_str() == "-" {
                    Self::Stdin
                } else {
                    Self::File(file.clone())
                }
            })
            .collect();
        let times = inputs.iter().filter(|input| matches!(input, Self::Stdin)).count();
        if times > 1 {
            return Err(UsageError(format!(
                "standard input is named {times} times but can be read once; name `-` once"
            )));
        }
        Ok(inputs)
    }

    /// Hands all bytes over, decompressed, a buffer at a time.
    pub(super) fn read(&self, progress: &Progress, mut take: impl FnMut(&[u8])) -> anyhow::Result<()> {
        let cure = || match self {
            Self::Stdin => "cannot read standard input".to_owned(),
            Self::File(file) => format!("cannot read {}", file.display()),
        };
        let mut source = BufReader::with_capacity(
            BUFFER,
            Counted {
                inner: self.open().with_context(|| format!("{}; check the path", cure()))?,
                progress,
            },
        );
        let compressed = source.fill_buf().with_context(cure)?.starts_with(&GZIP);
        if compressed {
            let mut plain = BufReader::with_capacity(BUFFER, MultiGzDecoder::new(source));
            return drain(&mut plain, &mut take).with_context(|| {
                format!(
                    "{}: the compressed data is damaged or cut short; `zcat FILE | hotshard analyze -` reads what is whole",
                    cure()
                )
            });
        }
        drain(&mut source, &mut take).with_context(cure)
    }

    fn open(&self) -> io::Result<Box<dyn Read>> {
        match self {
            Self::Stdin => Ok(Box::new(io::stdin().lock())),
            Self::File(file) if file.is_dir() => {
                Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder, not a log"))
            }
            Self::File(file) => Ok(Box::new(File::open(file)?)),
        }
    }

    fn size(&self) -> Option<u64> {
        match self {
            Self::Stdin => None,
            Self::File(file) => file
                .metadata()
                .ok()
                .filter(std::fs::Metadata::is_file)
                .map(|metadata| metadata.len()),
        }
    }

    /// `shard-1` of `logs/shard-1.log.gz`.
    pub(super) fn stem(&self) -> String {
        let Self::File(file) = self else {
            return "stdin".into();
        };
        let mut name = Path::new(file.file_name().unwrap_or(file.as_os_str()));
        while name
            .extension()
            .is_some_and(|extension| ["gz", "log", "txt", "monitor"].iter().any(|known| extension == *known))
        {
            name = Path::new(name.file_stem().unwrap_or(name.as_os_str()));
        }
        name.to_string_lossy().into_owned()
    }

    /// A name for each, taken from its file where that tells them apart, else the path, numbered where even that is the same.
    pub(super) fn shard_names(inputs: &[Self]) -> Vec<String> {
        let mut stems = HashMap::<String, usize>::new();
        for input in inputs {
            *stems.entry(input.stem()).or_default() += 1;
        }
        let mut taken = HashMap::<String, usize>::new();
        let mut name = |input: &Self| {
            let stem = input.stem();
            let name = if stems[&stem] == 1 { stem } else { input.to_string() };
            let times = taken.entry(name.clone()).or_default();
            *times += 1;
            if *times == 1 { name } else { format!("{name} ({times})") }
        };
        inputs.iter().map(&mut name).collect()
    }
}

impl fmt::Display for Input {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => formatter.write_str("standard input"),
            Self::File(file) => file.display().fmt(formatter),
        }
    }
}

fn drain(source: &mut impl BufRead, take: &mut impl FnMut(&[u8])) -> io::Result<()> {
    loop {
        let bytes = source.fill_buf()?;
        if bytes.is_empty() {
            return Ok(());
        }
        take(bytes);
        let length = bytes.len();
        source.consume(length);
    }
}

/// Counts what is read, before it is decompressed.
struct Counted<'a> {
    inner: Box<dyn Read>,
    progress: &'a Progress,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.progress.0.inc(length as u64);
        Ok(length)
    }
}

/// How far reading has come, on a terminal and for large logs only.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new(inputs: &[Input], quiet: bool) -> Self {
        let total: Option<u64> = inputs.iter().map(Input::size).sum();
        let worth = total.is_some_and(|total| total >= LARGE) && !quiet && io::stderr().is_terminal();
        if !worth {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
        let style = ProgressStyle::with_template(
            "reading {bar:32} {percent:>3}% of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left",
        );
        Self(bar.with_style(style.expect("the template is right: a test draws it")))
    }

    /// Takes the bar away, so that only the report stays.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[&str], expected: &[&str]) {
        let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
        let inputs = Input::all(&files).expect("standard input at most once");
        assert_eq!(Input::shard_names(&inputs), expected);
    }

    #[test]
    fn shards_are_called_by_what_tells_their_files_apart() {
        check(&["a/0001.log", "a/0002.log.gz", "-"], &["0001", "0002", "stdin"]);
        check(&["a/m.log", "b/m.log"], &["a/m.log", "b/m.log"]);
        check(&["m.log", "m.log"], &["m.log", "m.log (2)"]);
        check(&["node-1.example"], &["node-1.example"]);
    }

    #[test]
    fn the_bar_can_be_drawn() {
        let style =
            ProgressStyle::with_template("{bar:32} {percent:>3}% {binary_total_bytes} {binary_bytes_per_sec} {eta}");
        assert!(style.is_ok());
    }
}
