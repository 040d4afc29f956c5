//! Several nodes that can answer the same question: whoever answers first is heard, and one that hangs delays nobody.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::LinkError;
use crate::model::Endpoint;

/// How long a node is waited for alone before the next one is asked too; one that refuses is followed by the next at once.
const HEAD_START: Duration = Duration::from_millis(250);

/// How many are asked at the same time. Whoever hangs keeps its place until its time is out.
const RACING_MAX: usize = 8;

/// The first answer and whose it is; all refusals, in the order of the candidates, where there is none.
pub(super) async fn first_answer<Answer, Asking>(
    candidates: impl IntoIterator<Item = Endpoint>,
    ask: impl Fn(Endpoint) -> Asking,
) -> Result<(Endpoint, Answer), Vec<LinkError>>
where
    Answer: Send + 'static,
    Asking: Future<Output = Result<Answer, LinkError>> + Send + 'static,
{
    let mut waiting = candidates.into_iter().enumerate().peekable();
    let (mut racing, mut refusals) = (JoinSet::new(), Vec::new());
    loop {
        if racing.len() < RACING_MAX
            && let Some((place, endpoint)) = waiting.next()
        {
            let asked = ask(endpoint.clone());
            racing.spawn(async move { (place, endpoint, asked.await) });
        }
        let is_another_due = waiting.peek().is_some() && racing.len() < RACING_MAX;
        let ended = tokio::select! {
            ended = racing.join_next() => ended,
            () = sleep(HEAD_START), if is_another_due => continue,
        };
        let Some(ended) = ended else { break };
        match ended.expect("a question neither panics nor is cancelled") {
            (_, endpoint, Ok(answer)) => return Ok((endpoint, answer)),
            (place, _, Err(error)) => refusals.push((place, error)),
        }
    }
    refusals.sort_by_key(|(place, _)| *place);
    Err(refusals.into_iter().map(|(_, error)| error).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::time::Instant;

    use super::*;

    /// Each candidate is `answers`, `refuses` or `hangs` (for ten seconds, and refuses then), after so many milliseconds: who is heard,
    /// after how long, and how many were asked.
    async fn check(candidates: &str, expected: &str) {
        let asked = Arc::new(Mutex::new(0));
        let names: Vec<&str> = candidates.split(' ').collect();
        let endpoints: Vec<Endpoint> = (1..=names.len())
            .map(|port| Endpoint::new("node", u16::try_from(port).expect("few")))
            .collect();
        let begun = Instant::now();
        let outcome = first_answer(endpoints, |endpoint| {
            *asked.lock().expect("nobody panics") += 1;
            let name = names[usize::from(endpoint.port()) - 1].to_owned();
            async move {
                let (does, after) = name.split_once(':').unwrap_or((&name, "1"));
                let after = if does == "hangs" { "10000" } else { after };
                sleep(Duration::from_millis(after.parse().expect("milliseconds"))).await;
                match does {
                    "answers" => Ok(()),
                    _ => Err(LinkError::Closed(endpoint)),
                }
            }
        })
        .await;
        let who = match outcome {
            Ok((endpoint, ())) => endpoint.port().to_string(),
            Err(refusals) => {
                let ports = refusals.iter().map(|error| match error {
                    LinkError::Closed(endpoint) => endpoint.port().to_string(),
                    other => panic!("{other}"),
                });
                format!("nobody ({})", ports.collect::<Vec<_>>().join(" "))
            }
        };
        let asked = *asked.lock().expect("nobody panics");
        let after = begun.elapsed().as_millis();
        assert_eq!(format!("{who} after {after}, {asked} asked"), expected, "{candidates}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_delays_nobody_and_one_that_answers_is_asked_alone() {
        check("answers answers answers", "1 after 1, 1 asked").await;
        check("refuses answers answers", "2 after 2, 2 asked").await;
        check("hangs answers answers", "2 after 251, 2 asked").await;
        check("hangs hangs hangs answers", "4 after 751, 4 asked").await;
        check("answers:300 hangs", "1 after 300, 2 asked").await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_refused_is_told_in_the_order_of_the_candidates() {
        check("refuses:100 refuses:10", "nobody (1 2) after 110, 2 asked").await;
        check("hangs refuses", "nobody (1 2) after 10000, 2 asked").await;
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_a_bound_on_who_is_asked_at_once() {
        let all_hang = ["hangs"; RACING_MAX].join(" ");
        // The ninth is asked when the first has been given up.
        check(&format!("{all_hang} answers"), "9 after 10001, 9 asked").await;
    }
}
