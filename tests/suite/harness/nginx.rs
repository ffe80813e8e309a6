//! nginx serves what its configuration says.

use lockstep_tests::harness::{HarnessError, http::Agent, nginx::Nginx};

#[tokio::test]
async fn nginx_serves_and_ends() {
    let mut nginx = Nginx::start(|port| {
        format!("server {{ listen 127.0.0.1:{port}; location / {{ return 200 \"hello from $host\\n\"; }} }}")
    })
    .await
    .unwrap();
    let url = format!("http://127.0.0.1:{}/", nginx.port());
    let mut agent = Agent::new().unwrap();

    assert_eq!(agent.get(&url).await.unwrap().text(), "hello from 127.0.0.1\n");
    nginx.stop().await.unwrap();

    assert!(agent.get(&url).await.is_err());
}

#[tokio::test]
async fn a_wrong_configuration_is_reported_in_its_own_words() {
    let error = Nginx::start(|_| "nonsense;".to_owned()).await.unwrap_err();

    assert!(matches!(&error, HarnessError::Ended { log, .. } if log.contains("unknown directive \"nonsense\"")), "{error}");
}
