//! A mail server that is away, slow, or says no: nothing is lost, nobody waits, and an operator sees it.

use std::time::Instant;

use super::*;

/// Waits until the first notice has been tried and is kept for later.
async fn kept_for_later(office: &Office) -> String {
    let tried = async || {
        let notices = office.notices().await;
        let kept =
            notices.into_iter().find(|(_, state, attempts, answer)| state == "waiting" && *attempts > 0 && !answer.is_empty());
        kept.map(|(.., answer)| answer)
    };
    eventually("a notice kept for later", Duration::from_secs(20), tried).await.unwrap()
}

on_each_database! {
    async fn a_mail_server_that_is_away_gets_it_when_it_is_back(office: &mut Office) {
        office.told(&["ops@acme.example"]).await;
        office.smtp.stop().await.unwrap();

        office.hold().await;

        let answer = kept_for_later(office).await;
        assert!(answer.contains("refused"), "{answer}");
        let guard = office.command(&["scim", "guard", "acme"]).await;
        assert!(guard["warnings"][0].as_str().unwrap().contains("mail list acme"), "{guard}");
        assert!(office.metrics().await.contains("lockstep_mails_waiting 1"));
        office.smtp.restart().await.unwrap();
        assert_eq!(office.command(&["mail", "retry", "acme"]).await["notices"], 1);
        office.smtp.taken(1).await.unwrap();
        let notices = office.settled().await;
        assert_eq!((notices[0].1.as_str(), notices[0].2), ("sent", 2));
    }

    async fn what_the_server_refuses_for_good_is_given_up_and_shown(office: &mut Office) {
        office.told(&["later@acme.example", "ops@acme.example", "refused@acme.example"]).await;

        office.hold().await;

        office.smtp.taken(1).await.unwrap();
        assert!(kept_for_later(office).await.contains("451"));
        let ended = async || {
            let notices = office.notices().await;
            (notices.iter().filter(|(_, state, ..)| state != "waiting").count() == 2).then_some(notices)
        };
        let notices = eventually("two of them at their end", Duration::from_secs(20), ended).await.unwrap();
        let of = |address: &str| notices.iter().find(|(to, ..)| to.starts_with(address)).unwrap();
        assert_eq!((of("later").1.as_str(), of("ops").1.as_str(), of("refused").1.as_str()), ("waiting", "sent", "refused"));
        assert!(of("refused").3.contains("550") && of("refused").3.contains("nobody here"), "{notices:?}");
        let guard = office.command(&["scim", "guard", "acme"]).await;
        assert_eq!(guard["mail"]["newest"]["notices"], json!({ "waiting": 1, "sent": 1, "refused": 1 }));
        assert!(guard["warnings"][0].as_str().unwrap().contains("mail list acme"), "{guard}");
        assert!(office.metrics().await.contains("lockstep_mails_total{outcome=\"refused\"} 1"));
        assert_eq!(office.command(&["mail", "retry", "acme"]).await["notices"], 2, "what was refused, and what waits");
        let again = async || office.notices().await.into_iter().find(|(to, state, attempts, _)| to.starts_with("refused") && state == "refused" && *attempts == 2);
        eventually("a second refusal", Duration::from_secs(20), again).await.unwrap();
        let log = office.provisioner.log();
        assert!(!log.contains("refused@acme.example") && log.contains("code=550") | log.contains("\"code\":550"), "{log}");
    }

    async fn a_mail_server_that_hangs_holds_up_neither_scim_nor_the_end(office: &mut Office) {
        office.told(&["ops@acme.example"]).await;
        office.smtp.pause().await.unwrap();
        office.hold().await;
        let claimed = async || office.notices().await.first().filter(|(_, _, attempts, _)| *attempts == 1).map(drop);
        eventually("an attempt under way", Duration::from_secs(10), claimed).await.unwrap();

        let began = Instant::now();
        assert_eq!(office.deactivate(2).await, StatusCode::TOO_MANY_REQUESTS);
        body(office.scim.post("/Users", &user("joiner@acme.example")).await, 201);
        let served_in = began.elapsed();
        let ended = office.provisioner.stop().await.unwrap();

        assert!(served_in < Duration::from_secs(2), "{served_in:?}");
        assert!(ended.success() && began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        office.smtp.resume().unwrap();
        let notices = office.notices().await;
        assert_eq!((notices.len(), notices[0].1.as_str()), (1, "waiting"), "it is left to another process");
    }
}
