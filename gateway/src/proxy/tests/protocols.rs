//! HTTP/2 from clients, TLS to apps.

use hyper::service::service_fn;
use hyper_util::server::conn::auto::Builder;
use lockstep_shared::model::revocation::Scope;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use super::*;

const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/proxy/tests/tls/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("tls/app.pem");
const KEY: &[u8] = include_bytes!("tls/app.key");

/// A client that speaks HTTP/2 on one connection.
struct Http2 {
    sender: hyper::client::conn::http2::SendRequest<Body>,
    driving: JoinHandle<()>,
}

impl Http2 {
    async fn connect(house: &House) -> Self {
        let stream = TcpStream::connect(house.proxy.address).await.unwrap();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let driving = tokio::spawn(async move {
            let _ = connection.await;
        });
        Self { sender, driving }
    }

    async fn get(&mut self, request: http::request::Builder) -> http::Response<Incoming> {
        within(self.sender.send_request(request.body(Body::empty()).unwrap())).await.unwrap()
    }

    async fn close(self) {
        drop(self.sender);
        within(self.driving).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_over_http_2_reaches_the_app_as_any_other() {
    let house = House::build().await;
    let request = http::Request::get(format!("http://{APP}/x?y"))
        .header(header::COOKIE, "theme=dark")
        .header(header::COOKIE, &house.cookie)
        .header(header::COOKIE, "id=1")
        .header("x_lockstep_roles", "admin");

    let mut client = Http2::connect(&house).await;
    let response = client.get(request).await;

    let reached: Reached = serde_json::from_slice(&whole(response).await).unwrap();
    assert_eq!((reached.target.as_str(), reached.all("host")), ("/x?y", vec![APP]));
    assert_eq!(reached.all("cookie"), ["theme=dark; id=1"]);
    assert!(reached.headers.iter().all(|(_, value)| value != "admin"));
    client.close().await;
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g57_a_stream_over_http_2_is_reset_and_its_connection_goes_on() {
    let house = House::build().await;
    house.events.send("data: first\n\n").await.unwrap();
    let request = http::Request::get(format!("http://{APP}/events")).header(header::COOKIE, &house.cookie);
    let mut client = Http2::connect(&house).await;
    let mut body = client.get(request).await.into_body();
    assert_eq!(within(body.frame()).await.unwrap().unwrap().into_data().unwrap(), "data: first\n\n");

    house.test.end(&house.workspace, vec![Scope::User { id: house.user.clone() }]).await;

    assert!(within(body.frame()).await.unwrap().is_err());
    let next = client.get(http::Request::get(format!("http://{APP}/x")).header(header::COOKIE, &house.cookie)).await;
    assert_eq!(next.status(), StatusCode::UNAUTHORIZED);
    drop((next, body));
    client.close().await;
    house.stop().await;
}

/// A listener with TLS that answers each request with its host.
async fn tls_app() -> (SocketAddr, JoinHandle<()>) {
    let certificates = CertificateDer::pem_slice_iter(CERTIFICATE).collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Who does not believe the certificate breaks off.
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let service = service_fn(|request: http::Request<Incoming>| async move {
                let host = request.headers()[header::HOST].to_str().unwrap().to_owned();
                Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(format!("over TLS for {host}"))))
            });
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        }
    });
    (address, serving)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_with_tls_is_reached_by_a_certificate_that_the_operator_trusts_and_by_no_other() {
    for (outbound, status) in
        [(format!("[outbound]\nca_file = \"{AUTHORITY}\""), StatusCode::OK), (String::new(), StatusCode::BAD_GATEWAY)]
    {
        let (address, serving) = tls_app().await;
        let more = format!("[[apps]]\nhosts = [\"tls.example.com\"]\nupstream = \"https://{address}\"\n{outbound}");
        let house = House::build_with(Router::new(), "", &more, SystemClock::shared()).await;

        let response = house.get(house.signed_in("tls.example.com", "/x")).await;

        assert_eq!(response.status(), status);
        if status == StatusCode::OK {
            assert_eq!(whole(response).await, "over TLS for tls.example.com");
        }
        serving.abort();
        house.stop().await;
    }
}
