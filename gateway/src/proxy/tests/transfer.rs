//! How bytes get through: as they came, no faster than they are taken, and with a plain word where they do not.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

use super::*;

const MEBIBYTE: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn g17_g18_the_app_sees_the_target_as_it_was_sent() {
    let house = House::build().await;

    for target in [
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/..;/admin",
        "//admin",
        "/admin%2f",
        "/admin\\x",
        "/%61dmin",
        "/a%23/b?x=/status&y=%zz",
    ] {
        let answer = house.raw(&format!("{}Connection: close\r\n\r\n", house.raw_head(&format!("GET {target}")))).await;
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        assert_eq!(serde_json::from_str::<Reached>(body).unwrap().target, target);
    }
    let reached = house.reached(house.signed_in("base.example.com", "/a?b=..")).await;
    assert_eq!(reached.target, "/base/a?b=..");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_framed_once_and_arrives_whole() {
    let house = House::build().await;

    let known = house.signed_in(APP, "/x").method("POST").body(Body::from("four")).unwrap();
    let unknown = Body::from_stream(futures_util::stream::iter(["fo", "ur"].map(Ok::<_, std::io::Error>)));
    let unknown = house.signed_in(APP, "/x").method("PUT").body(unknown).unwrap();
    for (request, length, encoding) in [(known, vec!["4"], vec![]), (unknown, vec![], vec!["chunked"])] {
        let reached: Reached = serde_json::from_slice(&whole(house.send(request).await).await).unwrap();
        assert_eq!((reached.body, reached.all("content-length"), reached.all("transfer-encoding")), (4, length, encoding));
    }
    let head = house.raw_head("POST /x");
    let twice = "Content-Length: 4\r\nContent-Length: 4\r\nExpect: 100-continue\r\n";
    let answer = house.raw(&format!("{head}Connection: close\r\n{twice}\r\nfour")).await;
    let answer = answer.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    let reached: Reached = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!((reached.body, reached.all("content-length"), reached.all("expect")), (4, vec!["4"], vec![]));
    let chunked_get = house.raw_head("GET /x");
    let answer =
        house.raw(&format!("{chunked_get}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n")).await;
    assert!(answer.contains("\"body\":4"), "{answer}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn head_and_caching_rules_of_the_app_are_kept_and_silence_means_private() {
    let house = House::build().await;

    let head = house.get(house.signed_in(APP, "/cached").method("HEAD")).await;
    let silent = house.get(house.signed_in(APP, "/x")).await;

    assert_eq!(
        (&head.headers()[header::CONTENT_LENGTH], &head.headers()[header::CACHE_CONTROL]),
        (&HeaderValue::from_static("1"), &HeaderValue::from_static("public, max-age=60"))
    );
    assert!(whole(head).await.is_empty());
    assert_eq!(silent.headers()[header::CACHE_CONTROL], "private");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_down_is_502_with_the_requests_id() {
    let house = House::build().await;

    let response = house.get(house.signed_in("down.example.com", "/x")).await;

    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(response.headers()["x-lockstep-reason"], "upstream_unreachable");
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert!(String::from_utf8_lossy(&whole(response).await).contains(&id));
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_does_not_answer_is_504_and_one_that_talks_nonsense_502() {
    let silent = any(std::future::pending::<Response>);
    let switching =
        any(|| async { (StatusCode::SWITCHING_PROTOCOLS, [(header::CONNECTION, "upgrade"), (header::UPGRADE, "x")]) });
    let house = House::build_around(Router::new().route("/silent", silent).route("/switching", switching)).await;

    let silent = house.get(house.signed_in(APP, "/silent")).await;
    let switching = house.get(house.signed_in(APP, "/switching")).await;

    assert_eq!(
        (silent.status(), &silent.headers()["x-lockstep-reason"]),
        (StatusCode::GATEWAY_TIMEOUT, &HeaderValue::from_static("upstream_too_slow"))
    );
    assert_eq!(switching.status(), StatusCode::BAD_GATEWAY);
    house.stop().await;
}

/// An app that takes the first piece of an upload, then nothing until it is told to go on; the limit for its head is a second.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_of_50_mb_passes_without_being_kept() {
    const PIECE: usize = 64 * 1024;
    const PIECES: usize = 50 * MEBIBYTE / PIECE;
    let (first, mut has_first) = mpsc::channel::<()>(1);
    let (go_on, may_go_on) = watch::channel(false);
    let taken = Arc::new(AtomicUsize::new(0));
    let count = taken.clone();
    let sink = any(move |request: Request| {
        let (first, mut may_go_on, count) = (first.clone(), may_go_on.clone(), count.clone());
        async move {
            let mut body = request.into_body().into_data_stream();
            let mut total = body.next().await.unwrap().unwrap().len();
            first.send(()).await.unwrap();
            may_go_on.wait_for(|go| *go).await.unwrap();
            while let Some(piece) = body.next().await {
                total += piece.unwrap().len();
                count.store(total, Ordering::SeqCst);
            }
            total.to_string()
        }
    });
    let house = House::build_around(Router::new().route("/sink", sink)).await;
    let (sent, mut is_sent) = watch::channel(0);
    let pieces = futures_util::stream::iter(0..PIECES).map(move |number| {
        sent.send_replace((number + 1) * PIECE);
        Ok::<_, std::io::Error>(Bytes::from(vec![7; PIECE]))
    });
    let upload = house.signed_in(APP, "/sink").method("POST").body(Body::from_stream(pieces)).unwrap();
    let uploading = tokio::spawn(house.client.request(upload));

    within(has_first.recv()).await.expect("the first piece arrives while the rest is still to come");
    // What the kernel's buffers of four sockets take is not the gateway's memory.
    let all_gone =
        tokio::time::timeout(Duration::from_millis(700), is_sent.wait_for(|sent| *sent >= 40 * MEBIBYTE)).await.is_ok();
    assert!(!all_gone, "the gateway took an upload that nobody reads");
    go_on.send_replace(true);

    let response = tokio::time::timeout(Duration::from_mins(1), uploading).await.unwrap().unwrap().unwrap();
    assert_eq!(whole(response).await, (PIECES * PIECE).to_string());
    assert_eq!(taken.load(Ordering::SeqCst), PIECES * PIECE);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_cut_with_its_session() {
    let (broke, mut has_broken) = mpsc::channel::<bool>(1);
    let (first, mut has_first) = mpsc::channel::<()>(1);
    let sink = any(move |request: Request| {
        let (broke, first) = (broke.clone(), first.clone());
        async move {
            let mut body = request.into_body().into_data_stream();
            let _ = body.next().await.unwrap().unwrap();
            first.send(()).await.unwrap();
            broke.send(body.next().await.is_some_and(|piece| piece.is_err())).await.unwrap();
        }
    });
    let house = House::build_around(Router::new().route("/sink", sink)).await;
    let (piece, pieces) = mpsc::channel::<&'static str>(1);
    let pieces = futures_util::stream::unfold(pieces, |mut pieces| async move {
        Some((Ok::<_, std::io::Error>(pieces.recv().await?), pieces))
    });
    let upload = house.signed_in(APP, "/sink").method("POST").body(Body::from_stream(pieces)).unwrap();
    let uploading = tokio::spawn(house.client.request(upload));
    piece.send("first").await.unwrap();
    within(has_first.recv()).await.unwrap();

    house.test.end(&house.workspace, vec![lockstep_shared::model::revocation::Scope::User { id: house.user.clone() }]).await;

    assert!(within(has_broken.recv()).await.unwrap(), "the app sees that the upload is not complete");
    let response = within(uploading).await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    drop(piece);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_an_app_are_used_again() {
    let peers = Arc::new(Mutex::new(HashMap::<SocketAddr, usize>::new()));
    let noted = peers.clone();
    let who = any(move |axum::extract::ConnectInfo(peer): axum::extract::ConnectInfo<SocketAddr>| {
        let noted = noted.clone();
        async move { *noted.lock().await.entry(peer).or_default() += 1 }
    });
    let house = House::build_around(Router::new().route("/who", who)).await;

    for _ in 0..5 {
        assert_eq!(house.get(house.signed_in(APP, "/who")).await.status(), StatusCode::OK);
    }

    assert_eq!(peers.lock().await.values().copied().collect::<Vec<_>>(), [5]);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_goes_on_is_not_too_slow() {
    let house = House::build().await;
    // Half as long again as the app may take for the head of its answer.
    let ticks = tokio::time::interval(Duration::from_millis(300));
    let pieces = futures_util::stream::unfold((ticks, 0), |(mut ticks, sent)| async move {
        ticks.tick().await;
        (sent < 6).then_some((Ok::<_, std::io::Error>("piece"), (ticks, sent + 1)))
    });

    let upload = house.signed_in(APP, "/x").method("POST").body(Body::from_stream(pieces)).unwrap();
    let response = house.send(upload).await;

    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(serde_json::from_slice::<Reached>(&whole(response).await).unwrap().body, 30);
    house.stop().await;
}
