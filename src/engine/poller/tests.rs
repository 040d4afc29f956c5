use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::*;
use crate::model::{NodeId, PerSecond};
use crate::node::simulated::{Place, Scenario, Stage};
use crate::node::{Accounts, Credentials, Dialer, LinkSettings};

const INTERVAL: Duration = Duration::from_secs(10);

/// A poller of a simulated node, told when to look.
struct Told {
    due: mpsc::Sender<()>,
    events: mpsc::Receiver<Event>,
    accounts: Accounts,
    endpoint: Endpoint,
    settings: watch::Sender<PollSettings>,
    running: JoinHandle<()>,
}

impl Told {
    /// The accounts may know the node already.
    fn start(accounts: Accounts) -> Self {
        let epoch = Timestamp(1_795_219_200_000_000);
        let stage = Stage::new(Scenario::new(2).rate(PerSecond(100.0)), 3, epoch);
        let place = Place { shard: 0, member: 0 };
        let endpoint = stage.endpoint(place).expect("a place of the scenario").clone();
        let timeout = Duration::from_secs(1);
        let watched = Watched {
            group: stage.group().key,
            shard: ShardId::from("0001"),
            node: NodeId::from("one"),
            endpoint: endpoint.clone(),
            reach: Reach {
                dialer: Dialer::Stage(stage),
                credentials: Credentials::none(),
                accounts: accounts.clone(),
                settings: LinkSettings {
                    answer_timeout: timeout,
                },
                parameters: None,
            },
            serverless: false,
        };
        let settings = watch::Sender::new(PollSettings {
            interval: INTERVAL,
            timeout,
            slot_stats_interval: INTERVAL,
        });
        let (due, asked) = mpsc::channel(1);
        let (tell, events) = mpsc::channel(16);
        let clock = Clock::starting_at(epoch);
        let poller = Poller::new(watched, settings.subscribe(), clock, CommandTables::default());
        Self {
            settings,
            due,
            events,
            accounts,
            endpoint,
            running: tokio::spawn(poller.run(asked, tell)),
        }
    }

    async fn look(&mut self) {
        self.due.send(()).await.expect("it runs");
    }

    /// How many looks there were since this was last asked, and what the last one says hotshard did in between.
    fn told(&mut self) -> (usize, OwnCost) {
        let (mut looks, mut own) = (0, OwnCost::default());
        while let Ok(event) = self.events.try_recv() {
            let Event::Polled {
                outcome: Ok(answer), ..
            } = event
            else {
                panic!("the node answers: {event:?}");
            };
            (looks, own) = (looks + 1, answer.own);
        }
        (looks, own)
    }
}

#[tokio::test(start_paused = true)]
async fn two_looks_are_never_close_together() {
    let mut poller = Told::start(Accounts::default());
    // The second one falls due while the first is on its way.
    poller.look().await;
    poller.look().await;
    sleep(INTERVAL / 4).await;
    poller.look().await;
    sleep(INTERVAL / 8).await;
    assert_eq!(poller.told().0, 1);
    sleep(INTERVAL / 4).await;
    poller.look().await;
    sleep(INTERVAL / 8).await;
    assert_eq!(poller.told().0, 1);
    poller.running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_shorter_interval_holds_from_the_next_look_on() {
    let mut poller = Told::start(Accounts::default());
    poller.look().await;
    sleep(INTERVAL / 4).await;
    poller.settings.send_modify(|settings| settings.interval = INTERVAL / 4);
    poller.look().await;
    sleep(INTERVAL / 8).await;
    assert_eq!(poller.told().0, 2);
    poller.running.abort();
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_of_a_node_before_it_was_watched_is_no_part_of_what_follows() {
    let accounts = Accounts::default();
    let mut before = Told::start(accounts);
    before.look().await;
    sleep(INTERVAL).await;
    before.running.abort();
    let mut poller = Told::start(before.accounts.clone());
    let spent = poller.accounts.of(&poller.endpoint).total();
    poller.look().await;
    sleep(INTERVAL).await;
    let (looks, own) = poller.told();
    let all = poller.accounts.of(&poller.endpoint).total();
    assert_eq!(looks, 1);
    // The look itself is counted by the next one.
    assert_eq!(own.calls() + 2, all.since(&spent).calls());
    poller.running.abort();
}

/// Asks for a look at each of these seconds, and says at which the node answered.
async fn check(asked: &[u64], expected: &[u64]) {
    let Told {
        due,
        mut events,
        running,
        ..
    } = Told::start(Accounts::default());
    let begun = Instant::now();
    let asked = asked.to_vec();
    let ask = async move {
        for second in asked {
            sleep_until(begun + Duration::from_secs(second)).await;
            due.send(()).await.expect("the poller listens");
        }
    };
    let hear = async {
        let mut answered = Vec::new();
        while let Some(Event::Polled { outcome, .. }) = events.recv().await {
            assert!(outcome.is_ok(), "{outcome:?}");
            answered.push(begun.elapsed().as_secs());
        }
        answered
    };
    let ((), answered) = tokio::join!(ask, hear);
    assert_eq!(answered, expected);
    running.await.expect("it ends with its questions");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_asked_just_now_is_asked_again_when_there_is_something_to_tell() {
    check(&[0, 10, 20], &[0, 10, 20]).await;
    check(&[0, 0, 10, 20], &[0, 5, 10, 20]).await;
    check(&[9, 10, 20], &[9, 14, 20]).await;
}
