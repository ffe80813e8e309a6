//! What is under way to an app whose role somebody loses.

use std::sync::Arc;

use axum::{Router, body::Body, routing::any};
use bytes::Bytes;
use http::StatusCode;
use reqwest::Response;
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
    time::timeout,
};

use super::{ADMIN, House, OPEN, WITHIN};

/// An app that sends what the test gives it, one stream for each request.
pub(super) struct Events {
    pub(super) url: String,
    opened: Mutex<mpsc::Receiver<mpsc::Sender<&'static str>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Events {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (open, opened) = mpsc::channel(8);
        let open = Arc::new(open);
        let answer = any(move || {
            let open = open.clone();
            async move {
                let (sender, events) = mpsc::channel::<&'static str>(8);
                open.send(sender).await.unwrap();
                let events = futures_util::stream::unfold(events, |mut events| async move {
                    let event = events.recv().await?;
                    Some((Ok::<_, std::convert::Infallible>(Bytes::from_static(event.as_bytes())), events))
                });
                Body::from_stream(events)
            }
        });
        let router = Router::new().route("/events", answer);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, opened: Mutex::new(opened), serving }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Opens the stream of an app at a gateway, and reads its first event.
pub(super) async fn open(
    house: &House,
    events: &Events,
    gateway: usize,
    host: &str,
    cookie: &str,
) -> (mpsc::Sender<&'static str>, Response) {
    #[expect(clippy::disallowed_methods, reason = "a client of loopback")]
    let client = reqwest::Client::new();
    let request =
        client.get(format!("{}/events", house.world.gateways[gateway].url())).header("host", host).header("cookie", cookie);
    let answering = async {
        let sender = events.opened.lock().await.recv().await.unwrap();
        sender.send("first").await.unwrap();
        sender
    };
    let (answer, sender) = timeout(WITHIN, async { tokio::join!(request.send(), answering) }).await.unwrap();
    let mut answer = answer.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(timeout(WITHIN, answer.chunk()).await.unwrap().unwrap().unwrap(), "first");
    (sender, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_not_a_byte_of_an_app_reaches_whoever_has_lost_its_role() {
    let events = Events::start().await;
    let house = House::build_before(&events.url).await;
    let (ada, cookie) = house.somebody("ada").await;
    let (ben, of_ben) = house.somebody("ben").await;
    let admins = house.group("Admins", &[&ada, &ben]).await;
    house.map(&["--group", &admins, "--role", "Admin"]).await;
    let mut lost = Vec::new();
    for gateway in 0..2 {
        lost.push(open(&house, &events, gateway, ADMIN, &cookie).await);
    }
    let mut kept = [open(&house, &events, 0, ADMIN, &of_ben).await, open(&house, &events, 1, OPEN, &cookie).await];

    house.remove(&admins, &ada).await;

    for (sender, stream) in &mut lost {
        // Whether it still reaches the gateway does not matter: it must not reach the client.
        let _ = sender.try_send("after");
        let end = timeout(WITHIN, stream.chunk()).await.expect("not cut in time");
        assert!(end.is_err(), "{end:?}");
    }
    for (sender, stream) in &mut kept {
        sender.send("more").await.unwrap();
        let next = timeout(WITHIN, stream.chunk()).await.expect("held for ever");
        assert_eq!(next.unwrap().unwrap(), "more", "another's loss, and an app that asks for no role, cut nothing");
    }
}
