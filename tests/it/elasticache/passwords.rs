//! Passwords that AWS makes and keeps: tokens of IAM, and secrets while they are rotated.

use std::time::Duration;

use aws_credential_types::Credentials as AwsCredentials;
use hotshard::discovery::elasticache::SharedAccount;
use hotshard::model::{GroupId, Timestamp};
use hotshard::node::iam::{self, IamLogin};
use hotshard::node::survey::Reach;
use hotshard::node::{Accounts, AuthSettings, AwsIdentity, Credentials, Dialer, Network, Pace};
use secrecy::ExposeSecret;

use super::{alone, config, group_label, metrics};
use crate::harness::aws::{Aws, REGION, VARIABLES};
use crate::harness::hotshard::Hotshard;
use crate::harness::link::SETTINGS;
use crate::harness::server::Server;

#[tokio::test]
async fn a_server_takes_the_token_that_iam_makes() {
    let now = || Timestamp(1_767_323_045_000_000);
    let keys = AwsCredentials::new("AKIDEXAMPLE", "planted-secret-key", None, None, "test");
    let login = IamLogin {
        user: "watcher".into(),
        cache: "orders".into(),
        region: REGION.into(),
        serverless: false,
    };
    let token = iam::token(&login, &keys, now()).expect("nothing to refuse");
    let server = Server::redis().start().await;
    let rule = format!(">{}", token.expose_secret());
    server
        .call(&["ACL", "SETUSER", "watcher", "on", &rule, "~*", "+@all"])
        .await;
    let settings = AuthSettings {
        iam_user: Some("watcher".into()),
        ..AuthSettings::default()
    };
    let identity = |cache: &str| AwsIdentity {
        account: SharedAccount::given(REGION, keys.clone()),
        cache: GroupId::new(cache),
        serverless: false,
        now,
    };
    let reach = |cache: &str| Reach {
        dialer: Dialer::Network(Network::plain(SETTINGS.answer_timeout, Pace::new())),
        credentials: Credentials::new(&settings).with_aws(&settings, &identity(cache)),
        accounts: Accounts::default(),
        settings: SETTINGS,
        parameters: None,
    };
    let endpoint = server.address.to_string().parse().expect("an address is an endpoint");
    let orders = reach("orders");
    let mut link = orders.link(&endpoint).await.expect("the token is the password");
    let logins = async || server.calls().await["auth"];
    let first = logins().await;
    // Eleven hours, of which none is waited for.
    let later = async |hours: u64| {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(hours * 3600)).await;
        tokio::time::resume();
    };
    later(10).await;
    link.stay_logged_in(&orders.credentials).await.expect("nothing is due");
    assert_eq!(logins().await, first, "it isn't time yet");
    later(1).await;
    link.stay_logged_in(&orders.credentials)
        .await
        .expect("the token still is the password");
    assert_eq!(logins().await, first + 1, "it logs in again before the twelfth hour");
    later(10).await;
    link.stay_logged_in(&orders.credentials).await.expect("nothing is due");
    assert_eq!(logins().await, first + 1, "the hours are counted anew");
    later(1).await;
    server
        .call(&["ACL", "SETUSER", "watcher", "resetpass", ">another"])
        .await;
    let lapsed = link
        .stay_logged_in(&orders.credentials)
        .await
        .expect_err("the user has another password");
    assert!(
        lapsed
            .to_string()
            .contains("refused the password made by IAM for user watcher"),
        "{lapsed}"
    );
    let refused = reach("carts")
        .link(&endpoint)
        .await
        .expect_err("a token is for one cache")
        .to_string();
    assert!(
        refused.contains("refused the password made by IAM for user watcher"),
        "{refused}"
    );
    assert!(!refused.contains("X-Amz"), "{refused}");
}

#[tokio::test]
async fn both_versions_of_a_secret_are_tried_while_it_is_rotated() {
    let server = Server::redis().password("planted-next").start().await;
    let aws = Aws::start().await;
    aws.hold(&[alone("orders", &server)]);
    aws.secret("AWSCURRENT", Some(r#"{"token":"planted-current"}"#));
    aws.secret("AWSPENDING", Some(r#"{"token":"planted-next"}"#));
    aws.secret("AWSPREVIOUS", None);
    let url = format!("http://{}", aws.address);
    let variables: Vec<(&str, &str)> = VARIABLES
        .into_iter()
        .chain([("AWS_ENDPOINT_URL_SECRETS_MANAGER", url.as_str())])
        .collect();
    let config = config(
        &aws,
        "[[groups]]\nid = \"orders\"\n[groups.auth]\nsecret = \"orders/redis\"\nsecret_field = \"token\"\n",
    );
    let hotshard = Hotshard::serve_with(&config, &variables).await;
    let up = format!(
        "hotshard_node_up{{{},shard=\"0001\",node=\"orders-001\"}} 1\n",
        group_label("orders")
    );
    let metrics = metrics(&hotshard, &[up], &[]).await;
    assert_eq!(aws.calls("AWSCURRENT"), 1, "an answer is kept for a while");
    for output in [metrics, hotshard.stop().await] {
        assert!(!output.contains("planted"), "{output}");
    }
}
