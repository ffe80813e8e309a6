//! throwaway
use axum::{Json, Router, extract::Request, http::StatusCode, response::IntoResponse};
use lockstep_demo_idp::*;
#[tokio::main]
async fn main() {
    let scim = Router::new().fallback(|r: Request| async move {
        static N: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let n = N.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        tokio::time::sleep(std::time::Duration::from_millis(5 + n % 11)).await;
        match r.method().as_str() {
            "GET" => Json(serde_json::json!({"totalResults":0,"Resources":[]})).into_response(),
            "POST" => (
                StatusCode::CREATED,
                Json(serde_json::json!({"id": format!("0199c1e2-7d4a-7c11-9f2e-{n:012}")})),
            )
                .into_response(),
            _ => {
                let b = axum::body::to_bytes(r.into_body(), 99999).await.unwrap();
                let s = String::from_utf8_lossy(&b).contains("Add\"");
                if s && n > 40 {
                    (
                        StatusCode::SERVICE_UNAVAILABLE,
                        Json(serde_json::json!({"detail":"the database is away; try again"})),
                    )
                        .into_response()
                } else {
                    Json(serde_json::json!({})).into_response()
                }
            }
        }
    });
    let l = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/scim/v2/acme", l.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(l, scim).await.unwrap() });
    let o = Options {
        listen: "127.0.0.1:18100".parse().unwrap(),
        app_url: Some("http://127.0.0.1:18101/".into()),
        scim: std::env::args().nth(1).is_none().then(|| ScimSettings {
            base_url: base,
            token: "t".into(),
        }),
        ..Options::default()
    };
    let r = DemoProvider::start(o).await.unwrap();
    r.set_redirect_uris(vec!["http://127.0.0.1:18101/callback".into()]);
    let app = SampleApp::start(
        "127.0.0.1:18101".parse().unwrap(),
        SampleAppOptions {
            directory_url: Some("http://127.0.0.1:18100/".into()),
            ..Default::default()
        },
    )
    .await
    .unwrap();
    let _ = tokio::signal::ctrl_c().await;
    app.stop().await;
    r.stop().await;
}
