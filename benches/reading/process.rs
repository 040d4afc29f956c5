//! Whole processes, measured by `/usr/bin/time`: CPU seconds and the largest memory.

use std::process::{Child, Command, Stdio};

use tempfile::NamedTempFile;

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// User and system time.
    pub(crate) cpu_seconds: f64,
    /// The most that was resident at a time.
    pub(crate) resident_kib: u64,
}

/// A program that runs while something else is done.
pub(crate) struct Running {
    child: Child,
    report: NamedTempFile,
}

/// Runs a program with its output thrown away.
pub(crate) fn cost(program: &str, arguments: &[&str]) -> anyhow::Result<Cost> {
    begin(program, arguments)?.end()
}

/// Starts a program with its output thrown away.
pub(crate) fn begin(program: &str, arguments: &[&str]) -> anyhow::Result<Running> {
    let report = NamedTempFile::new()?;
    let path = report.path().to_string_lossy().into_owned();
    let child = Command::new("/usr/bin/time")
        .args(["-f", "%U %S %M", "-o", &path, "--", program])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(Running { child, report })
}

impl Running {
    /// Waits until it ends by itself.
    pub(crate) fn end(mut self) -> anyhow::Result<Cost> {
        // How the program ends doesn't matter here: redis-cli fails when its server has said all.
        self.child.wait()?;
        reported(&std::fs::read_to_string(self.report.path())?)
    }
}

fn reported(text: &str) -> anyhow::Result<Cost> {
    let last = text.lines().last().unwrap_or_default();
    let fields: Vec<f64> = last.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [user, system, resident] = fields[..] else {
        anyhow::bail!("/usr/bin/time says {text:?}; install the package `time`");
    };
    Ok(Cost {
        cpu_seconds: user + system,
        resident_kib: resident as u64,
    })
}

/// Runs two programs in turn and gives the median cost of each.
pub(crate) fn paired(
    runs: usize,
    mut one: impl FnMut() -> anyhow::Result<Cost>,
    mut other: impl FnMut() -> anyhow::Result<Cost>,
) -> anyhow::Result<(f64, f64)> {
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        ones.push(one()?.cpu_seconds);
        others.push(other()?.cpu_seconds);
    }
    Ok((median(ones), median(others)))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
