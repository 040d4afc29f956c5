//! Who we are to a server: passwords that are demanded, refused or changed, and rights that are missing.

use hotshard::node::{AuthSettings, Credentials, probe};

use super::{check, open};
use crate::harness::link::{endpoint, login, plain};
use crate::harness::server::Server;

#[tokio::test]
async fn passwords_are_asked_for_and_checked() {
    let server = Server::redis()
        .password("orange")
        .user("watcher", "lemon", "+@all")
        .start()
        .await;
    let here = endpoint(&server);
    check(
        &plain(),
        &here,
        &Credentials::none(),
        "auth_required",
        "HERE demands a password; set auth.password_env or auth.password_file (and auth.username for RBAC)",
    )
    .await;
    for (user, password) in [(None, "orange"), (Some("watcher"), "lemon")] {
        open(&plain(), &here, &login(user, password))
            .await
            .expect("it is right");
    }
    check(
        &plain(),
        &here,
        &login(None, "lemon"),
        "wrong_password",
        "HERE refused the password given; check it and auth.username",
    )
    .await;
    check(
        &plain(),
        &here,
        &login(Some("watcher"), "orange"),
        "wrong_password",
        "HERE refused the password given for user watcher; check it and auth.username",
    )
    .await;
}

#[tokio::test]
async fn a_password_nobody_asked_for_does_no_harm() {
    for plan in [Server::redis(), Server::redis6(), Server::valkey9()] {
        let server = plan.start().await;
        open(&plain(), &endpoint(&server), &login(None, "orange"))
            .await
            .expect("it needs none");
    }
}

#[tokio::test]
async fn a_rotated_password_file_needs_no_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("token");
    let credentials = Credentials::new(&AuthSettings {
        username: Some("watcher".into()),
        password_file: Some(path.clone()),
        ..AuthSettings::default()
    });
    let server = Server::redis().user("watcher", "first", "+@all").start().await;
    let write = |password: &str| std::fs::write(&path, password).expect("the folder is writable");
    write("first\n");
    open(&plain(), &endpoint(&server), &credentials)
        .await
        .expect("the first");
    server
        .call(&["ACL", "SETUSER", "watcher", "resetpass", ">second"])
        .await;
    let refusal = format!(
        "HERE refused the password in {} for user watcher; check it and auth.username",
        path.display()
    );
    check(&plain(), &endpoint(&server), &credentials, "wrong_password", &refusal).await;
    write("second\n");
    open(&plain(), &endpoint(&server), &credentials)
        .await
        .expect("the second");
    std::fs::remove_file(&path).expect("it was there");
    let missing = format!(
        "cannot log in to HERE: cannot read {} (auth.password_file): No such file or directory (os error 2)",
        path.display()
    );
    check(&plain(), &endpoint(&server), &credentials, "credentials", &missing).await;
}

#[tokio::test]
async fn a_missing_right_is_named_as_acl_writes_it() {
    let server = Server::redis()
        .user("nobody", "lemon", "-@all +auth")
        .user("reader", "lemon", "-@all +auth +client|setname +client|id +info")
        .start()
        .await;
    check(
        &plain(),
        &endpoint(&server),
        &login(Some("nobody"), "lemon"),
        "no_permission",
        "HERE does not permit the user `+client|setname`; grant it (`hotshard check` prints the whole ACL rule)",
    )
    .await;
    let link = open(&plain(), &endpoint(&server), &login(Some("reader"), "lemon"))
        .await
        .expect("its rights suffice");
    let error = probe::poll(&link).await.expect_err("it may not ask for the role");
    assert!(error.to_string().contains("`+role`"), "{error}");
}

#[tokio::test]
async fn what_is_planted_as_a_secret_shows_in_no_message() {
    let server = Server::redis().password("orange").start().await;
    let credentials = login(Some("watcher"), "planted-secret");
    let error = open(&plain(), &endpoint(&server), &credentials)
        .await
        .expect_err("it is wrong");
    assert!(!format!("{error} {error:?} {credentials:?}").contains("planted-secret"));
}
