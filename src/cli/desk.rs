//! Where orders arrive, from HTTP and from signals, on their way to the engine: a reload needs the configuration first.

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::configuration::Configuration;
use crate::engine::command::{Command, Instruction};
use crate::export::http::{Answer, Order, Request};

/// Hands on orders until `shutdown`.
pub(super) async fn run(
    mut configuration: Configuration,
    mut orders: mpsc::Receiver<Order>,
    engine: mpsc::Sender<Instruction>,
    shutdown: CancellationToken,
) {
    loop {
        let order = tokio::select! {
            () = shutdown.cancelled() => return,
            order = orders.recv() => match order { Some(order) => order, None => return },
        };
        let command = match order.request {
            Request::Round(group) => Command::Round(group),
            Request::Pause => Command::Pause,
            Request::Resume => Command::Resume,
            Request::Reload => match reload(configuration, &engine, order.answer).await {
                Some(kept) => {
                    configuration = kept;
                    continue;
                }
                None => return,
            },
        };
        let instruction = Instruction {
            command,
            answer: order.answer,
        };
        if engine.send(instruction).await.is_err() {
            return;
        }
    }
}

/// Reads the configuration and has the engine go by it; what is wrong with it is said once, and everything stays as it was.
async fn reload(
    mut configuration: Configuration,
    engine: &mpsc::Sender<Instruction>,
    asked: oneshot::Sender<Answer>,
) -> Option<Configuration> {
    let read = tokio::task::spawn_blocking(move || {
        let change = configuration.read_again();
        (configuration, change)
    });
    let (configuration, change) = read.await.ok()?;
    let (change, answer) = match change {
        Ok(change) => {
            info!(
                groups = change.plan.groups.len(),
                unchanged = change.unchanged.len(),
                "the configuration was read again"
            );
            (Some(Box::new(change)), Answer::Done)
        }
        Err(reason) => {
            let reason = format!("{reason:#}").replace('\n', "; ");
            error!("the configuration stays as it was: {reason}");
            (None, Answer::Refused(reason))
        }
    };
    let (told, done) = oneshot::channel();
    let instruction = Instruction {
        command: Command::Reload(change),
        answer: told,
    };
    engine.send(instruction).await.ok()?;
    done.await.ok()?;
    // Whoever asked may have left.
    let _ = asked.send(answer);
    Some(configuration)
}
