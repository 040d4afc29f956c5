//! When a round is due: a cron expression or an interval becomes ticks. The only user of tokio-cron-scheduler.
//!
//! A tick is only a hint: it is offered, never waited for, and the engine decides what to do with it
//! (a round still running makes it skip the tick and count that).
//!
//! ```
//! use hotshard::schedule::Schedule;
//!
//! assert!("every 5m".parse::<Schedule>().is_ok());
//! assert!("*/10 * * * *".parse::<Schedule>().is_ok());
//! assert!("0 0 30 2 *".parse::<Schedule>().is_err(), "30 February never comes");
//! ```

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::Utc;
use croner::parser::{CronParser, Seconds};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use uuid::Uuid;

use crate::model::written;

/// The shortest interval between two rounds: a window must be the exception in a node's life.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// When rounds are due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At this distance from each other.
    Every(Duration),
    /// At the moments of a cron expression of six fields, seconds first, in UTC.
    Cron(String),
}

/// Why a text is no schedule.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// What follows `every` is no duration.
    #[error("`{0}` is no schedule: after `every` comes a duration of at least 1s, such as `every 5m`")]
    Interval(String),
    /// The cron expression can't be read.
    #[error("`{0}` is no schedule: {1}; write `every 5m`, or a cron expression of five fields such as `*/10 * * * *`")]
    Cron(String, String),
    /// The cron expression names a moment that never comes.
    #[error("the schedule `{0}` never comes")]
    Never(String),
}

/// So many moments of a cron expression are looked at for the shortest time between two.
const MOMENTS_LOOKED_AT: usize = 500;

impl Schedule {
    /// The shortest time between two rounds.
    pub fn shortest(&self) -> Duration {
        let expression = match self {
            Self::Every(span) => return *span,
            Self::Cron(expression) => expression,
        };
        let parsed = CronParser::builder()
            .seconds(Seconds::Required)
            .build()
            .parse(expression);
        let moments = parsed
            .iter()
            .flat_map(|cron| cron.iter_after(chrono::DateTime::<Utc>::UNIX_EPOCH));
        let moments: Vec<_> = moments.take(MOMENTS_LOOKED_AT).collect();
        let gaps = moments.windows(2).filter_map(|pair| (pair[1] - pair[0]).to_std().ok());
        gaps.min().unwrap_or(Duration::MAX)
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let text = text.trim();
        match text.strip_prefix("every ") {
            Some(span) => written::parse_duration(span.trim())
                .ok()
                .filter(|span| *span >= INTERVAL_MIN)
                .map(Self::Every)
                .ok_or_else(|| ScheduleError::Interval(text.into())),
            None => cron(text),
        }
    }
}

/// Reads five fields (minutes first) or six (seconds first); the scheduler itself knows only six.
fn cron(text: &str) -> Result<Schedule, ScheduleError> {
    let fields = text.split_whitespace().count();
    let six = if fields == 5 {
        format!("0 {text}")
    } else {
        text.to_owned()
    };
    let parsed = CronParser::builder()
        .seconds(Seconds::Required)
        .build()
        .parse(&six)
        .map_err(|error| ScheduleError::Cron(text.into(), error.to_string().to_lowercase()))?;
    // The scheduler accepts a 30th of February and then never ticks; better said now.
    match parsed.find_next_occurrence(&chrono::DateTime::<Utc>::UNIX_EPOCH, false) {
        Ok(_) => Ok(Schedule::Cron(six)),
        Err(_) => Err(ScheduleError::Never(text.into())),
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(span) => write!(formatter, "every {}", written::show_duration(*span)),
            Self::Cron(six) => formatter.write_str(six.strip_prefix("0 ").unwrap_or(six)),
        }
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Runs schedules until it is dropped; each tick is offered to one channel.
pub struct Scheduler<Tick> {
    ticks: mpsc::Sender<Tick>,
    entries: Vec<(Tick, Entry)>,
    intervals: JoinSet<()>,
    cron: Option<JobScheduler>,
}

/// What offers one tick again and again.
enum Entry {
    Interval(AbortHandle),
    Cron(Uuid),
}

impl<Tick: Clone + PartialEq + Send + Sync + 'static> Scheduler<Tick> {
    /// A scheduler that offers its ticks to `ticks`.
    pub fn new(ticks: mpsc::Sender<Tick>) -> Self {
        Self {
            ticks,
            entries: Vec::new(),
            intervals: JoinSet::new(),
            cron: None,
        }
    }

    /// Offers `tick` whenever `schedule` says, `jitter` later, so that groups don't all begin at once.
    pub async fn add(&mut self, schedule: &Schedule, jitter: Duration, tick: Tick) -> Result<(), JobSchedulerError> {
        let entry = match schedule {
            Schedule::Every(span) => self.add_interval(*span, jitter, tick.clone()),
            Schedule::Cron(expression) => self.add_cron(expression, jitter, tick.clone()).await?,
        };
        self.entries.push((tick, entry));
        Ok(())
    }

    /// Offers `tick` no more.
    pub async fn remove(&mut self, tick: &Tick) {
        let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.entries)
            .into_iter()
            .partition(|(known, _)| known == tick);
        self.entries = kept;
        for (_, entry) in gone {
            match (entry, &self.cron) {
                (Entry::Interval(task), _) => task.abort(),
                (Entry::Cron(job), Some(cron)) => {
                    // It fails only if there is no such job.
                    let _ = cron.remove(&job).await;
                }
                (Entry::Cron(_), None) => {}
            }
        }
        // Ticks of an interval that was aborted are taken off the books.
        while self.intervals.try_join_next().is_some() {}
    }

    /// Ends all schedules; none ticks afterwards.
    pub async fn stop(&mut self) -> Result<(), JobSchedulerError> {
        self.intervals.shutdown().await;
        match self.cron.take() {
            Some(mut cron) => cron.shutdown().await,
            None => Ok(()),
        }
    }

    fn add_interval(&mut self, span: Duration, jitter: Duration, tick: Tick) -> Entry {
        let ticks = self.ticks.clone();
        let task = self.intervals.spawn(async move {
            let mut due = interval_at(Instant::now() + jitter, span);
            due.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                due.tick().await;
                if matches!(ticks.try_send(tick.clone()), Err(mpsc::error::TrySendError::Closed(_))) {
                    return;
                }
            }
        });
        Entry::Interval(task)
    }

    async fn add_cron(&mut self, expression: &str, jitter: Duration, tick: Tick) -> Result<Entry, JobSchedulerError> {
        let ticks = self.ticks.clone();
        let job = Job::new_async(expression, move |_, _| {
            let (ticks, tick) = (ticks.clone(), tick.clone());
            Box::pin(async move {
                tokio::time::sleep(jitter).await;
                // A full channel means the engine is busy; it would have skipped this tick anyway.
                ticks.try_send(tick).unwrap_or_default();
            })
        })?;
        if self.cron.is_none() {
            let cron = JobScheduler::new().await?;
            cron.start().await?;
            self.cron = Some(cron);
        }
        let cron = self.cron.as_ref().expect("it was just put there");
        Ok(Entry::Cron(cron.add(job).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let outcome = match text.parse::<Schedule>() {
            Ok(schedule) => schedule.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn intervals_and_five_or_six_cron_fields_are_understood() {
        check("every 5m", "every 5m");
        check("every 90", "every 1m30s");
        check("*/10 * * * *", "*/10 * * * *");
        check("30 0 3 * * 1-5", "30 0 3 * * 1-5");
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_an_example() {
        check(
            "every now",
            "`every now` is no schedule: after `every` comes a duration of at least 1s, such as `every 5m`",
        );
        check(
            "every 0",
            "`every 0` is no schedule: after `every` comes a duration of at least 1s, such as `every 5m`",
        );
        check("0 0 30 2 *", "the schedule `0 0 30 2 *` never comes");
        assert!("often".parse::<Schedule>().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn an_interval_ticks_after_its_jitter_and_then_at_its_distance() {
        let (sender, mut ticks) = mpsc::channel(4);
        let mut scheduler = Scheduler::new(sender);
        let began = Instant::now();
        let schedule = Schedule::Every(Duration::from_secs(300));
        scheduler
            .add(&schedule, Duration::from_secs(7), "orders")
            .await
            .expect("an interval needs nothing");
        let mut seen = Vec::new();
        for _ in 0..3 {
            ticks.recv().await.expect("the scheduler lives");
            seen.push(began.elapsed().as_secs());
        }
        assert_eq!(seen, [7, 307, 607]);
        scheduler.stop().await.expect("nothing to fail");
        assert!(ticks.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_cron_expression_ticks_and_stops() {
        let (sender, mut ticks) = mpsc::channel(4);
        let mut scheduler = Scheduler::new(sender);
        let schedule: Schedule = "* * * * * *".parse().expect("every second");
        scheduler
            .add(&schedule, Duration::ZERO, ())
            .await
            .expect("a valid expression");
        tokio::time::timeout(Duration::from_secs(5), ticks.recv())
            .await
            .expect("within a few seconds")
            .expect("a tick");
        scheduler.stop().await.expect("it stops");
    }
}
