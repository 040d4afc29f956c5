//! Groups from ElastiCache: who asks AWS, what it answers, and which of its caches are meant.

pub mod api;
pub mod listing;
pub mod secret;
pub mod selection;

use std::collections::BTreeMap;

use tokio::task::JoinSet;

pub use api::{Access, Account, AwsError, SharedAccount};
pub use listing::{Found, Kind, Listing};
pub use selection::Selection;

/// How many tag look-ups are under way at once: AWS throttles by account, and others live there too.
const TAG_LOOKUPS: usize = 8;

/// The caches of the account that `selection` means, in the order of their names.
pub async fn find(account: &Account, listing: &Listing, selection: &Selection) -> Result<Vec<Found>, AwsError> {
    let mut found = listing.assemble(account.region());
    found.retain(|cache| selection.takes_id(cache.group.key.id.as_str()));
    if selection.tags.is_empty() {
        return Ok(found);
    }
    let tags = tags_of(account, &found).await?;
    found.retain(|cache| {
        cache
            .arn
            .as_ref()
            .and_then(|arn| tags.get(arn))
            .is_some_and(|tags| selection.takes_tags(tags))
    });
    Ok(found)
}

async fn tags_of(account: &Account, found: &[Found]) -> Result<BTreeMap<String, BTreeMap<String, String>>, AwsError> {
    let mut waiting: Vec<String> = found.iter().filter_map(|cache| cache.arn.clone()).collect();
    let (mut asked, mut tags) = (JoinSet::new(), BTreeMap::new());
    loop {
        while asked.len() < TAG_LOOKUPS
            && let Some(arn) = waiting.pop()
        {
            let account = account.clone();
            asked.spawn(async move { account.tags(&arn).await.map(|tags| (arn, tags)) });
        }
        let Some(answer) = asked.join_next().await else {
            return Ok(tags);
        };
        let (arn, found) = answer.expect("a look-up neither panics nor is cancelled")?;
        tags.insert(arn, found);
    }
}
