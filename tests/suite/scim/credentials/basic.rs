//! HTTP Basic: a generated name and a generated password, each for its one workspace.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lockstep_tests::harness::eventually;

use super::{Company, body, on_each_database, raw_with, text, user};

struct Pair {
    id: String,
    user_name: String,
    password: String,
}

impl Pair {
    async fn issue(company: &Company, options: &[&str]) -> Self {
        let arguments = [&["scim", "basic", &company.id], options].concat();
        let issued = company.command(&arguments).await;
        Self { id: text(&issued, "id"), user_name: text(&issued, "user_name"), password: text(&issued, "password") }
    }

    fn line(&self) -> String {
        basic(format!("{}:{}", self.user_name, self.password))
    }
}

fn basic(plain: impl AsRef<[u8]>) -> String {
    format!("Basic {}", STANDARD.encode(plain))
}

on_each_database! {
    async fn a_name_and_a_password_open_their_workspace(company: &Company) {
        let pair = Pair::issue(company, &[]).await;
        let (name, password) = (&pair.user_name, &pair.password);
        let theirs = Pair::issue(&company.another().await, &[]).await;
        let second = Pair::issue(company, &[]).await;

        assert_eq!(company.with_authorization(&pair.line()).await.status, 200);
        assert_eq!(company.with_authorization(&second.line()).await.status, 200, "both work while one is replaced");
        assert_eq!(company.with_authorization(&pair.line().replacen("Basic ", "bAsIc   ", 1)).await.status, 200);
        let token = company.token();
        for bad in [
            "Basic".to_owned(),
            "Basic ".to_owned(),
            "Basic !".to_owned(),
            pair.line().replace("Basic ", "Basic =="),
            pair.line().replacen("Basic", "Digest", 1),
            basic(format!("{name}{password}")),
            basic(format!("{name}:")),
            basic(format!(":{password}")),
            basic(format!("{password}:{name}")),
            basic(format!("{name}:{password}:")),
            basic(format!("{name}x:{password}")),
            basic(format!("{}:{password}", name.to_uppercase())),
            basic(format!("{}:{password}", second.user_name)),
            basic(format!("{name}:{}", second.password)),
            basic([name.as_bytes(), b":\xff"].concat()),
            theirs.line(),
            basic(format!("{name}:{token}")),
            format!("Bearer {password}"),
            format!("Bearer {}", STANDARD.encode(format!("{name}:{password}"))),
        ] {
            let answer = company.with_authorization(&bad).await;
            assert_eq!(answer.status, 401, "{bad}: {}", answer.text());
        }
        let error = company.refused_command(&["scim", "basic", &company.id]).await;
        assert_eq!(error["code"], "too_many_live");
    }

    async fn two_authorizations_are_nobodys(company: &Company) {
        let pair = Pair::issue(company, &[]).await;
        let bearer = format!("Bearer {}", company.token());

        for lines in [[pair.line(), pair.line()], [pair.line(), bearer.clone()], [bearer, pair.line()], [pair.line(), String::new()]] {
            let answer = raw_with(company, &lines).await;
            assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        }
        assert!(raw_with(company, &[pair.line()]).await.starts_with("HTTP/1.1 200 "));
    }

    async fn a_password_ends_when_it_is_revoked_and_by_itself(company: &Company) {
        let (pair, brief) = (Pair::issue(company, &[]).await, Pair::issue(company, &["--expires", "1s"]).await);
        assert_eq!(company.with_authorization(&pair.line()).await.status, 200);

        let listed = company.command(&["token", "list", &company.id]).await;
        company.command(&["token", "revoke", &company.id, &pair.id]).await;

        assert_eq!(company.with_authorization(&pair.line()).await.status, 401);
        let shown = listed["tokens"].as_array().unwrap().iter().find(|token| token["id"] == pair.id.as_str()).unwrap();
        assert_eq!((text(shown, "kind"), text(shown, "user_name")), ("basic".to_owned(), pair.user_name.clone()));
        assert!(!listed.to_string().contains(&pair.password));
        eventually("the password's end", Duration::from_secs(10), async || {
            (company.with_authorization(&brief.line()).await.status == 401).then_some(())
        })
        .await
        .unwrap();
    }

    async fn what_it_does_is_done_in_its_name(company: &Company) {
        let pair = Pair::issue(company, &[]).await;
        let headers = http::HeaderMap::from_iter([(http::header::AUTHORIZATION, pair.line().parse().unwrap())]);

        let sent = user("ada@acme.example");
        body(company.scim.send(http::Method::POST, "/Users", headers, Some(&sent)).await, 201);

        assert_eq!(company.actor_of("user.created").await, [pair.id]);
    }
}
