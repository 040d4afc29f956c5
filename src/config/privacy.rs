//! `[privacy]`: what of keys people may see, and where the secret is kept by which they are hashed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::analysis::veil::{KeyNames, Veil};
use crate::archive;

/// `[privacy]`; its defaults are lines of `config/hotshard.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PrivacySettings {
    /// How keys are named.
    pub keys: KeyNames,
    /// The file with the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
}

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum PrivacyError {
    /// The file can't be read or made.
    #[error(
        "cannot {action} the secret of privacy.secret_file, {path}: {source}; name a file that can be read, in a folder that can be written"
    )]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is too little in it to be a secret.
    #[error(
        "{0} of privacy.secret_file holds less than {SECRET_MIN} bytes, which is no secret; remove it, and a new one is made"
    )]
    Short(PathBuf),
    /// The system gives no random bytes.
    #[error("cannot read /dev/urandom: {0}")]
    Chance(io::Error),
}

/// Fewer bytes than this can be guessed.
const SECRET_MIN: usize = 16;

impl PrivacySettings {
    /// Whether there is a secret or could be one, where one is needed. Makes none.
    pub fn verify(&self) -> Result<(), PrivacyError> {
        match (self.keys, &self.secret_file) {
            (KeyNames::Hash, Some(path)) if path.exists() => kept(path).map(drop),
            (KeyNames::Hash, Some(path)) => archive::can_be_made(path).map_err(failed("make", path)),
            _ => Ok(()),
        }
    }

    /// What names of keys go through; makes the secret if there is none yet.
    pub fn veil(&self) -> Result<Veil, PrivacyError> {
        match (self.keys, &self.secret_file) {
            (KeyNames::Plain, _) => Ok(Veil::default()),
            (KeyNames::Hash, Some(path)) => Ok(Veil::new(KeyNames::Hash, &secret(path)?)),
            // Marks mean nothing once the process has ended; hashing without a file is refused where settings are read.
            (names, _) => Ok(Veil::new(names, &random().map_err(PrivacyError::Chance)?)),
        }
    }
}

/// The secret in the file.
fn kept(path: &Path) -> Result<Vec<u8>, PrivacyError> {
    let secret = fs::read(path).map_err(failed("read", path))?.trim_ascii().to_vec();
    if secret.len() < SECRET_MIN {
        return Err(PrivacyError::Short(path.to_owned()));
    }
    Ok(secret)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PrivacyError {
    let path = path.to_owned();
    move |source| PrivacyError::File { action, path, source }
}

/// The secret in the file, made first if there is none.
fn secret(path: &Path) -> Result<Vec<u8>, PrivacyError> {
    if !path.exists() {
        match make(path) {
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(failed("make", path))?,
        }
    }
    kept(path)
}

/// Whole or not at all: what two processes begin at once must end as one secret.
fn make(path: &Path) -> io::Result<()> {
    let text: String = random()?.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)
        .and_then(|mut file| {
            file.write_all(format!("{text}\n").as_bytes())
                .and_then(|()| file.sync_all())
        })
        .and_then(|()| fs::hard_link(&part, path));
    // The part has served, or is half a file.
    let _ = fs::remove_file(&part);
    made
}

fn random() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn hashed(path: &Path) -> Result<String, String> {
        let settings = PrivacySettings {
            keys: KeyNames::Hash,
            secret_file: Some(path.to_owned()),
        };
        let veil = settings.veil().map_err(|error| error.to_string())?;
        Ok(veil.key("user:alice", "user:{VAR}").to_string())
    }

    #[test]
    fn a_secret_is_made_once_for_its_owner_alone() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("secret");
        let first = hashed(&path).expect("it is made");
        assert_eq!(hashed(&path), Ok(first.clone()), "another process hashes alike");
        assert_ne!(hashed(&folder.path().join("other")), Ok(first));
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("secret");
        fs::write(&path, "1234\n").expect("it is written");
        let check = |path: &Path, said: &str| {
            assert!(hashed(path).is_err_and(|error| error.contains(said)));
            let settings = PrivacySettings {
                keys: KeyNames::Hash,
                secret_file: Some(path.to_owned()),
            };
            let verified = settings.verify().map_err(|error| error.to_string());
            assert!(verified.is_err_and(|error| error.contains(said)), "{said}");
        };
        check(&path, "is no secret");
        check(&path.join("below"), "cannot make");
        check(&folder.path().join("nowhere/secret"), "cannot make");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}
