//! Basic authentication against bcrypt hashes, which are slow on purpose: what was right once is remembered.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderValue;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::sync::Semaphore;

/// How many right passwords are remembered.
const REMEMBERED_MAX: usize = 64;
/// How many passwords are tried at the same time; more wait, so that guessing takes no more than one core.
const TRIED_MAX: usize = 1;
/// The hash that a user who doesn't exist is held against, so that the time taken tells nothing. No password has it.
const NOBODY: &str = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

/// The users and their hashes.
#[derive(Debug)]
pub(super) struct Passwords {
    users: HashMap<String, String>,
    keys: (RandomState, RandomState),
    remembered: Mutex<Vec<u128>>,
    tries: Arc<Semaphore>,
}

impl Passwords {
    pub(super) fn new(users: HashMap<String, String>) -> Self {
        Self {
            users,
            keys: Default::default(),
            remembered: Mutex::default(),
            tries: Arc::new(Semaphore::new(TRIED_MAX)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Whether an `Authorization` header names a user and their password.
    pub(super) async fn check(&self, header: Option<&HeaderValue>) -> bool {
        let Some((user, password)) = header.and_then(credentials) else {
            return false;
        };
        // Remembered as two keyed hashes, never as the password itself.
        let mark = self.mark(&user, &password);
        if self.remembered().contains(&mark) {
            return true;
        }
        let known = self.users.get(&user).cloned();
        let exists = known.is_some();
        let hash = known.unwrap_or_else(|| NOBODY.to_owned());
        let Ok(_permit) = self.tries.acquire().await else {
            return false;
        };
        let tried = tokio::task::spawn_blocking(move || bcrypt::verify(&password, &hash).unwrap_or(false)).await;
        let right = exists && tried.unwrap_or(false);
        if right {
            let mut remembered = self.remembered();
            if remembered.len() >= REMEMBERED_MAX {
                remembered.clear();
            }
            remembered.push(mark);
        }
        right
    }

    fn mark(&self, user: &str, password: &str) -> u128 {
        let half = |key: &RandomState| u128::from(key.hash_one((user, password)));
        half(&self.keys.0) << 64 | half(&self.keys.1)
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Vec<u128>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new(HashMap::new())
    }
}

fn credentials(header: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(passwords: &Passwords, credentials: &str, expected: bool) {
        let header = format!("Basic {}", BASE64_STANDARD.encode(credentials));
        let header = HeaderValue::from_str(&header).expect("a test's header");
        assert_eq!(passwords.check(Some(&header)).await, expected, "{credentials}");
    }

    #[tokio::test]
    async fn the_right_password_of_the_right_user_passes() {
        let hash = bcrypt::hash("open:sesame", 4).expect("a hash");
        let passwords = Passwords::new([("ali".to_owned(), hash)].into());
        check(&passwords, "ali:open:sesame", true).await;
        assert_eq!(passwords.remembered().len(), 1);
        check(&passwords, "ali:open:sesame", true).await;
        check(&passwords, "ali:open", false).await;
        check(&passwords, "baba:open:sesame", false).await;
        check(&passwords, "ali", false).await;
        assert_eq!(passwords.remembered().len(), 1);
        assert!(!passwords.check(None).await);
        let bearer = HeaderValue::from_static("Bearer YWxpOm9wZW46c2VzYW1l");
        assert!(!passwords.check(Some(&bearer)).await);
    }
}
