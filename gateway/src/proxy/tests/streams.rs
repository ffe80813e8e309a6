//! What is under way when the session ends.

use lockstep_shared::{clock::TestClock, model::revocation::Scope};
use tokio::io::{AsyncRead, AsyncWrite};

use super::*;
use crate::apps::App;

/// How soon a cut has to be seen.
const SOON: Duration = Duration::from_secs(1);

impl House {
    fn app_of(&self, host: &str) -> &Arc<App> {
        self.test.gateway.apps.of(&host.parse().unwrap()).unwrap()
    }

    fn this_user(&self) -> Vec<Scope> {
        vec![Scope::User { id: self.user.clone() }]
    }

    /// Opens the event stream and reads its first event.
    async fn open_events(&self) -> Incoming {
        self.open_events_of(APP).await
    }

    async fn open_events_of(&self, host: &str) -> Incoming {
        self.events.send("data: first\n\n").await.unwrap();
        let mut body = self.get(self.signed_in(host, "/events")).await.into_body();
        assert_eq!(within(body.frame()).await.unwrap().unwrap().into_data().unwrap(), "data: first\n\n");
        body
    }

    async fn open_websocket(&self, changes: &str) -> (TcpStream, String) {
        self.open_websocket_at("/ws", changes).await
    }

    async fn open_websocket_at(&self, path: &str, changes: &str) -> (TcpStream, String) {
        self.open_websocket_of(APP, path, changes).await
    }

    async fn open_websocket_of(&self, host: &str, path: &str, changes: &str) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(self.proxy.address).await.unwrap();
        let head = self.raw_head(&format!("GET {path}")).replace(APP, host);
        let key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        stream.write_all(format!("{head}{key}{changes}\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(within(stream.read_u8()).await.unwrap());
        }
        (stream, String::from_utf8(answer).unwrap())
    }
}

/// Reads what is left: an end without its last chunk is an error, and nothing may come before it.
async fn expect_cut(body: &mut Incoming) {
    let end = tokio::time::timeout(SOON, body.frame()).await.expect("not cut in time");
    assert!(end.unwrap().is_err(), "a stream that is cut must not look complete");
}

/// An app that answers `/slow` when it is told to, and says when it was reached.
fn slow_app() -> (Router, mpsc::Receiver<()>, tokio::sync::oneshot::Sender<()>) {
    let (reached, has_reached) = mpsc::channel::<()>(1);
    let (go_on, may_go_on) = tokio::sync::oneshot::channel::<()>();
    let may_go_on = Arc::new(Mutex::new(Some(may_go_on)));
    let slow = any(move || {
        let (reached, may_go_on) = (reached.clone(), may_go_on.clone());
        async move {
            reached.send(()).await.unwrap();
            let may_go_on = may_go_on.lock().await.take().unwrap();
            let _ = may_go_on.await;
            "secret"
        }
    });
    (Router::new().route("/slow", slow), has_reached, go_on)
}

/// A tunnel that carries nothing more, and ends soon.
async fn expect_silence(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let _ = stream.write_all(b"after").await;
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut rest)).await.expect("not cut in time");
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn g57_a_stream_is_cut_before_the_end_of_its_session_is_settled() {
    let house = House::build().await;
    let mut body = house.open_events().await;
    let other = house.test.user(&house.workspace, "ben@acme.example").await;
    house.test.end(&house.workspace, vec![Scope::User { id: other }]).await;
    house.events.send("data: second\n\n").await.unwrap();
    assert_eq!(
        within(body.frame()).await.unwrap().unwrap().into_data().unwrap(),
        "data: second\n\n",
        "another's end cuts nobody"
    );
    let ticket = house.test.gateway.streams.open(house.live.standing(house.app_of(APP)));

    let receipt = house.test.end(&house.workspace, house.this_user()).await;

    assert!(ticket.token().is_cancelled(), "the streams are cut first");
    assert_eq!((receipt.confirmed.len(), receipt.waited_out.len()), (1, 0));
    // Whether it still reaches the gateway does not matter: it must not reach the client.
    let _ = house.events.try_send("data: after\n\n");
    expect_cut(&mut body).await;
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_lease_cuts_every_stream() {
    let house = House::build().await;
    let mut body = house.open_events().await;

    house.test.give_up_its_lease().await;

    expect_cut(&mut body).await;
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_does_not_outlive_its_session() {
    let clock = TestClock::new();
    let day = "sessions.idle = \"24h\"\nsessions.absolute = \"24h\"";
    let house = House::build_with(Router::new(), day, "", clock.clone()).await;
    // The test's clock stands still, so half a second is left however long the next lines take.
    clock.advance(Duration::from_hours(24) - Duration::from_millis(500));
    house.test.gateway.lease.attempt(DEADLINE).await;

    let mut body = house.open_events().await;

    let end = within(body.frame()).await;
    assert!(end.unwrap().is_err(), "a stream that is cut must not look complete");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_by_itself_leaves_the_list() {
    let House { test, proxy, app, events, client, cookie, .. } = House::build().await;
    let request =
        http::Request::get(format!("http://{}/events", proxy.address)).header(header::HOST, APP).header(header::COOKIE, cookie);
    let response = within(client.request(request.body(Body::empty()).unwrap())).await.unwrap();
    assert_eq!(test.gateway.streams.count(), 1);

    events.send("data: last\n\n").await.unwrap();
    drop(events);

    assert_eq!(whole(response).await, "data: last\n\n");
    let left = async {
        while test.gateway.streams.count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    within(left).await;
    drop(client);
    proxy.stop().await;
    app.stop().await;
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_session_ends_before_its_answer_gets_none_of_it() {
    let (slow, mut has_reached, go_on) = slow_app();
    let house = House::build_around(slow).await;
    let pending = house.client.request(house.signed_in(APP, "/slow").body(Body::empty()).unwrap());
    let pending = tokio::spawn(pending);
    within(has_reached.recv()).await.unwrap();

    house.test.end(&house.workspace, house.this_user()).await;

    let response = tokio::time::timeout(SOON, pending).await.expect("not cut in time").unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()["x-lockstep-reason"], "session_ended");
    drop(go_on);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g57_a_websocket_carries_bytes_until_its_session_ends() {
    let house = House::build().await;
    let (mut stream, answer) =
        house.open_websocket(&format!("Connection: Upgrade\r\nUpgrade: websocket\r\nOrigin: https://{APP}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    let lower = answer.to_ascii_lowercase();
    assert!(lower.contains("upgrade: websocket") && lower.contains("connection: upgrade"), "{answer}");
    let mut echoed = [0; 5];
    stream.write_all(b"hello").await.unwrap();
    within(stream.read_exact(&mut echoed)).await.unwrap();
    assert_eq!(&echoed, b"hello");
    assert_eq!(house.test.gateway.streams.count(), 1);

    house.test.end(&house.workspace, house.this_user()).await;

    expect_silence(&mut stream).await;
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r65_a_page_of_another_host_opens_no_websocket() {
    let house = House::build().await;

    for origin in ["Origin: https://evil.example\r\n", "Origin: null\r\n", ""] {
        let (_, answer) = house.open_websocket(&format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{origin}")).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{origin}: {answer}");
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r64_nothing_but_a_websocket_is_switched_to() {
    let house = House::build().await;

    for upgrade in ["h2c", "TLS/1.2", "h2c, websocket"] {
        let asking =
            format!("Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nUpgrade: {upgrade}\r\n");
        let (_, answer) = house.open_websocket(&format!("{asking}Origin: https://{APP}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 426"), "the app was not asked to switch to {upgrade}: {answer}");
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r64_an_app_that_switches_to_something_else_gets_no_tunnel() {
    let other = any(|| async { (StatusCode::SWITCHING_PROTOCOLS, [(header::CONNECTION, "upgrade"), (header::UPGRADE, "h2c")]) });
    let house = House::build_around(Router::new().route("/other", other)).await;

    let asking = format!("Connection: Upgrade\r\nUpgrade: websocket\r\nOrigin: https://{APP}\r\n");
    let (_, answer) = house.open_websocket_at("/other", &asking).await;

    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    house.stop().await;
}

const ADMIN_APP: &str = "admin.example.com";

#[tokio::test(flavor = "multi_thread")]
async fn i1_a_stream_of_an_app_stops_before_the_loss_of_its_role_is_settled() {
    let house = House::build().await;
    let admins = house.test.grant(&house.workspace, "admin", &[&house.user]).await;
    let mut body = house.open_events_of(ADMIN_APP).await;
    let live = house.test.gateway.guard.check_session(&house.workspace, &house.live.session.id).await.unwrap();
    let tickets = [ADMIN_APP, APP].map(|host| house.test.gateway.streams.open(live.standing(house.app_of(host))));

    let receipt = house.test.take_out(&house.workspace, &admins, &[&house.user]).await;

    assert!(tickets[0].is_held() || tickets[0].token().is_cancelled(), "not a byte passes from the moment of the answer");
    assert_eq!((receipt.confirmed.len(), receipt.waited_out.len()), (1, 0));
    let _ = house.events.try_send("data: after\n\n");
    expect_cut(&mut body).await;
    assert!(!tickets[1].is_held() && !tickets[1].token().is_cancelled(), "an app that asks for no role");
    let refused = house.get(house.signed_in(ADMIN_APP, "/")).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(refused.headers()["x-lockstep-reason"], "role_missing");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_for_whom_a_change_leaves_the_role() {
    let house = House::build().await;
    let (test, workspace) = (&house.test, &house.workspace);
    let other = test.user(workspace, "ben@acme.example").await;
    let admins = test.grant(workspace, "admin", &[&house.user, &other]).await;
    let mut body = house.open_events_of(ADMIN_APP).await;

    test.take_out(workspace, &admins, &[&other]).await;
    for title in ["CEO", "CTO", "CFO"] {
        let settlement = test.set(&test.gateway.store, workspace, &house.user, "title", title.into()).await;
        test.gateway.road.settle(workspace, settlement).await.unwrap();
        house.events.send("data: more\n\n").await.unwrap();
        assert_eq!(within(body.frame()).await.unwrap().unwrap().into_data().unwrap(), "data: more\n\n", "{title}");
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_cut_if_nothing_can_be_known_of_its_person() {
    let house = House::build().await;
    let (test, workspace) = (&house.test, &house.workspace);
    test.grant(workspace, "admin", &[&house.user]).await;
    let mut body = house.open_events_of(ADMIN_APP).await;
    let beside = lockstep_shared::runtime::open_lease_store(&test.runtime).unwrap();

    // People cannot be read any more, while the lease goes on.
    test.gateway.store.close().await;
    let settlement = test.set(&beside, workspace, &house.user, "title", "CEO".into()).await;
    house.test.gateway.lease.attempt(DEADLINE).await;

    assert!(settlement.through.0 > 0);
    let end = within(body.frame()).await;
    assert!(end.unwrap().is_err(), "a stream that is cut must not look complete");
    beside.close().await;
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_a_websocket_of_an_app_stops_before_the_loss_of_its_role_is_settled() {
    let house = House::build().await;
    let admins = house.test.grant(&house.workspace, "admin", &[&house.user]).await;
    let asking = format!("Connection: Upgrade\r\nUpgrade: websocket\r\nOrigin: https://{ADMIN_APP}\r\n");
    let (mut stream, answer) = house.open_websocket_of(ADMIN_APP, "/ws", &asking).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    let mut echoed = [0; 5];
    stream.write_all(b"hello").await.unwrap();
    within(stream.read_exact(&mut echoed)).await.unwrap();

    house.test.take_out(&house.workspace, &admins, &[&house.user]).await;

    expect_silence(&mut stream).await;
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_after_the_loss_of_the_role_is_not_given() {
    let (slow, mut has_reached, go_on) = slow_app();
    let house = House::build_around(slow).await;
    let admins = house.test.grant(&house.workspace, "admin", &[&house.user]).await;
    let pending = house.client.request(house.signed_in(ADMIN_APP, "/slow").body(Body::empty()).unwrap());
    let pending = tokio::spawn(pending);
    within(has_reached.recv()).await.unwrap();

    house.test.take_out(&house.workspace, &admins, &[&house.user]).await;
    let _ = go_on.send(());

    let response = within(pending).await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(response.headers()["x-lockstep-reason"], "role_missing");
    house.stop().await;
}
