//! A real nginx with the example that we give to operators, before a sample app: what people see, and what the app is told.

mod headers;
mod journey;

use std::net::{Ipv4Addr, SocketAddr};

use lockstep_demo_idp::{RunningApp, SampleApp, SampleAppOptions};
use lockstep_tests::{
    harness::{http::Agent, nginx::Nginx, ports},
    world::{Person, Shape, World},
};

/// The example, as it is given to operators.
const EXAMPLE: &str = include_str!("../../../deploy/examples/nginx.conf");

/// A company whose app stands behind nginx.
struct House {
    world: World,
    nginx: Nginx,
    app: RunningApp,
}

impl House {
    async fn build() -> Self {
        let port = ports::free().unwrap();
        let world = World::start(Shape { front: Some(port), ..Shape::default() }).await.unwrap();
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let app = SampleApp::start(anywhere, SampleAppOptions::default()).await.unwrap();
        let gateway = world.gateways[0].url().replace("http://", "");
        let nginx = Nginx::start_on(port, |port| configuration(port, &gateway, app.address())).await.unwrap();
        Self { world, nginx, app }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.world.public_url)
    }

    /// Somebody who is provisioned, with a browser in which they are signed in.
    async fn somebody_signed_in(&self, login: &str) -> (Person, Agent) {
        let person = self.world.person(login).await.unwrap();
        let agent = self.world.sign_in(&person).await.unwrap();
        (person, agent)
    }
}

/// The example with the ports and the host of this test. Each of them must be where it is expected.
fn configuration(port: u16, gateway: &str, app: SocketAddr) -> String {
    let places = [
        ("server 127.0.0.1:8080 ", format!("server {gateway} ")),
        ("server 127.0.0.1:3000;", format!("server {app};")),
        ("\n    listen 80; ", format!("\n    listen 127.0.0.1:{port}; ")),
        ("\n    server_name app.example.com; ", "\n    server_name localhost; ".to_owned()),
    ];
    places.into_iter().fold(EXAMPLE.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, &to)
    })
}
