//! A configuration that is not understood is refused at the start, with the key and what to write instead.

use std::process::Output;

use lockstep_tests::harness::services::{Program, Site};

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

/// A site whose services are never reached.
fn site(redis: Option<&str>) -> Site {
    Site::new("postgres://lockstep@127.0.0.1:1/nothing", redis).unwrap()
}

async fn assert_refuses(site: &Site, program: Program, command: &str, environment: &[(&str, &str)], wanted: &[&str]) {
    let output = site.output(program, &[command], environment).await.unwrap();
    let said = said(&output);

    assert_eq!(output.status.code(), Some(1), "{program:?} {command}: {said}");
    for wanted in wanted {
        assert!(said.contains(wanted), "{program:?} {command} says {wanted}: {said}");
    }
}

const PROGRAMS: [(Program, &str); 6] = [
    (Program::Gateway, "serve"),
    (Program::Gateway, "check"),
    (Program::Provisioner, "serve"),
    (Program::Provisioner, "check"),
    (Program::Provisioner, "migrate"),
    (Program::Lockstep, "serve"),
];

#[tokio::test]
async fn an_unknown_key_is_refused_and_the_nearest_is_named() {
    let mut in_the_file = site(Some("redis://127.0.0.1:1"));
    in_the_file.set("gateway.trusted_proxy", vec!["10.0.0.0/8"]);
    let in_the_environment = site(Some("redis://127.0.0.1:1"));
    for (program, command) in PROGRAMS {
        assert_refuses(&in_the_file, program, command, &[], &["gateway.trusted_proxy", "gateway.trusted_proxies"]).await;
        let variable = [("LOCKSTEP_REVOCATION__LEESE", "10s")];
        let wanted = ["LOCKSTEP_REVOCATION__LEESE", "LOCKSTEP_REVOCATION__LEASE"];
        assert_refuses(&in_the_environment, program, command, &variable, &wanted).await;
    }
}

#[tokio::test]
async fn a_value_that_cannot_be_meant_is_refused_with_its_key() {
    let site = site(Some("redis://127.0.0.1:1"));
    for (variable, value) in [
        ("LOCKSTEP_REVOCATION__LEASE", "60s"),
        ("LOCKSTEP_REVOCATION__LEASE", "2s"),
        ("LOCKSTEP_REVOCATION__LEASE", "soon"),
        ("LOCKSTEP_GATEWAY__LISTEN", "everywhere"),
        ("LOCKSTEP_GATEWAY__PUBLIC_URL", "ftp://login.example.com"),
        ("LOCKSTEP_GATEWAY__TRUSTED_PROXIES", "anybody"),
        ("LOCKSTEP_DATABASE__URL", "mysql://db/lockstep"),
    ] {
        assert_refuses(&site, Program::Gateway, "serve", &[(variable, value)], &[variable]).await;
    }
}

#[tokio::test]
async fn two_processes_without_redis_are_pointed_to_one() {
    let site = site(None);
    for program in [Program::Gateway, Program::Provisioner] {
        assert_refuses(&site, program, "serve", &[], &["redis", "lockstep serve"]).await;
    }
}

#[tokio::test]
async fn g5_a_gateway_that_is_not_told_whom_to_trust_does_not_start() {
    let mut site = site(Some("redis://127.0.0.1:1"));
    site.config["gateway"].as_table_mut().unwrap().remove("trusted_proxies");

    assert_refuses(&site, Program::Gateway, "serve", &[], &["gateway.trusted_proxies"]).await;
}
