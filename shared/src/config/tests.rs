use std::time::Duration;

use secrecy::ExposeSecret;

use super::*;

const MASTER_KEY: &str = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";

type Variables = &'static [(&'static str, &'static str)];

fn load(toml: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let entries = parse_file("lockstep.toml", toml)?;
    Config::from_sources(entries, Path::new("/etc/lockstep"), variables)
}

fn error(toml: &str, variables: &[(&str, &str)]) -> String {
    load(toml, variables).expect_err("this configuration is wrong").to_string()
}

/// A folder of this test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("lockstep-config-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn nothing_but_defaults_is_a_configuration() {
    let config = load("", &[]).unwrap();

    assert_eq!(config.gateway.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.gateway.ops_listen.to_string(), "127.0.0.1:8081");
    assert_eq!(config.provisioner.listen.to_string(), "127.0.0.1:8090");
    assert_eq!(config.provisioner.ops_listen.to_string(), "127.0.0.1:8091");
    assert_eq!(config.provisioner.requests_per_second.get(), 5_000);
    assert_eq!(config.provisioner.log_retention, Duration::from_hours(30 * 24));
    assert_eq!(config.revocation.lease, Duration::from_secs(10));
    assert_eq!(config.gateway.sessions, SessionLimits { idle: Duration::from_hours(12), absolute: Duration::from_hours(24) });
    assert!(config.outbound.allow_http_hosts.is_empty() && config.outbound.allow_networks.is_empty());
    assert!(config.database.is_none() && config.redis.is_none() && config.keys.is_none());
}

#[test]
fn every_key_is_read_from_the_file() {
    let config = load(
        &format!(
            r#"
            [database]
            url = "postgres://lockstep:hush@db.internal/lockstep"
            max_connections = 40
            [redis]
            url = "rediss://:hush@redis.internal:6380"
            prefix = "prod"
            [revocation]
            lease = "20s"
            [gateway]
            listen = "0.0.0.0:80"
            ops_listen = "0.0.0.0:81"
            grpc_listen = "0.0.0.0:82"
            public_url = "https://login.example.com"
            trusted_proxies = ["10.0.0.0/8", "::1"]
            sessions.idle = "30m"
            sessions.absolute = "8h"
            [provisioner]
            listen = "0.0.0.0:90"
            ops_listen = "0.0.0.0:91"
            public_url = "https://scim.example.com"
            trusted_proxies = ["10.1.0.0/16"]
            requests_per_second = 25
            log_retention = "7d"
            [keys]
            master_key = "{MASTER_KEY}"
            [outbound]
            allow_http_hosts = ["localhost", "127.0.0.1"]
            allow_networks = ["127.0.0.0/8"]
            ca_file = "ca.pem"
            [dns]
            servers = ["9.9.9.9", "127.0.0.1:5353"]
            [mail]
            smtp_url = "smtps://user:hush@mail.example.com"
            from = "login@example.com"
            [[apps]]
            hosts = ["App.example.com"]
            upstream = "http://127.0.0.1:3000"
            workspaces = ["acme"]
            roles = ["admin"]
            audience = "app"
            claims = ["userType"]
            "#
        ),
        &[],
    )
    .unwrap();

    let database = config.require_database().unwrap();
    assert_eq!(database.engine, Engine::Postgres);
    assert_eq!(database.urls[0].expose_secret(), "postgres://lockstep:hush@db.internal/lockstep");
    assert_eq!(database.max_connections.get(), 40);
    assert_eq!(config.redis.as_ref().unwrap().prefix, "prod");
    assert_eq!(config.redis.as_ref().unwrap().url.expose_secret(), "rediss://:hush@redis.internal:6380");
    assert_eq!(config.revocation.lease, Duration::from_secs(20));
    let gateway = config.require_gateway().unwrap();
    assert_eq!(gateway.listen.to_string(), "0.0.0.0:80");
    assert_eq!(gateway.ops_listen.to_string(), "0.0.0.0:81");
    assert_eq!(gateway.grpc_listen.unwrap().to_string(), "0.0.0.0:82");
    assert_eq!(gateway.public_url.origin(), "https://login.example.com");
    assert_eq!(gateway.trusted_proxies, ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
    assert_eq!(gateway.sessions, SessionLimits { idle: Duration::from_mins(30), absolute: Duration::from_hours(8) });
    let provisioner = config.require_provisioner().unwrap();
    assert_eq!(provisioner.public_url.origin(), "https://scim.example.com");
    assert_eq!((provisioner.listen.port(), provisioner.ops_listen.port()), (90, 91));
    assert_eq!(config.provisioner.trusted_proxies, Some(vec!["10.1.0.0/16".parse().unwrap()]));
    assert_eq!(config.provisioner.requests_per_second.get(), 25);
    assert_eq!(config.provisioner.log_retention, Duration::from_hours(7 * 24));
    let sealed = config.require_keys().unwrap().sealer.seal("p", b"x").unwrap();
    assert_eq!(config.require_keys().unwrap().sealer.open("p", &sealed).unwrap(), b"x");
    assert_eq!(config.outbound.allow_http_hosts.iter().map(HostName::as_str).collect::<Vec<_>>(), ["localhost", "127.0.0.1"]);
    assert_eq!(config.outbound.allow_networks, ["127.0.0.0/8".parse().unwrap()]);
    assert_eq!(config.outbound.ca_file.as_deref(), Some(Path::new("/etc/lockstep/ca.pem")));
    assert_eq!(config.dns.servers, ["9.9.9.9:53".parse().unwrap(), "127.0.0.1:5353".parse().unwrap()]);
    let mail = config.mail.as_ref().unwrap();
    assert_eq!((mail.from.address.as_str(), mail.server.to_string().as_str()), ("login@example.com", "mail.example.com:465"));
    assert_eq!(mail.server.login.as_ref().unwrap().password.expose_secret(), "hush");
    let app = &config.apps[0];
    assert_eq!(app.hosts[0].as_str(), "app.example.com");
    assert_eq!(app.upstream.as_ref().unwrap().as_str(), "http://127.0.0.1:3000/");
    assert_eq!(app.workspaces.as_ref().unwrap()[0].as_str(), "acme");
    assert_eq!((app.roles.as_slice(), app.audience.as_deref()), (["admin".to_owned()].as_slice(), Some("app")));
    assert_eq!(app.claims, [Claim { name: "userType".into(), path: "userType".parse().unwrap() }]);
}

#[test]
fn claims_are_called_by_their_own_names_or_by_given_ones() {
    let claims = |line: &str| {
        let config = load(&format!("[[apps]]\nhosts = [\"a.b\"]\nclaims = {line}"), &[]).unwrap();
        let of = |claim: &Claim| (claim.name.clone(), claim.path.to_string());
        config.apps[0].claims.iter().map(of).collect::<Vec<_>>()
    };
    let pair = |name: &str, path: &str| (name.to_owned(), path.to_owned());

    assert_eq!(
        claims("[\"name.givenName\", \"urn:a:2.0:X:folders\"]"),
        [pair("givenName", "name.givenName"), pair("folders", "urn:a:2.0:X:folders")]
    );
    assert_eq!(
        claims("{ role = \"roles\", meta = \"urn:a:Metadata\" }"),
        [pair("meta", "urn:a:Metadata"), pair("role", "roles")]
    );
}

#[test]
fn no_debug_output_shows_a_secret() {
    let config = load(
        &format!(
            r#"
            [database]
            url = "postgres://lockstep:hush@db/lockstep"
            [redis]
            url = "redis://:hush@redis"
            [mail]
            smtp_url = "smtps://user:hush@mail"
            from = "a@b.c"
            [keys]
            master_key = "{MASTER_KEY}"
            "#
        ),
        &[],
    )
    .unwrap();

    let shown = format!("{config:?}");

    assert!(!shown.contains("hush") && !shown.contains(MASTER_KEY) && !shown.contains("9, 9, 9"), "{shown}");
}

#[test]
fn a_variable_overrides_the_file() {
    let file = "[gateway]\nlisten = \"127.0.0.1:1\"\ntrusted_proxies = [\"10.0.0.0/8\"]\n[[apps]]\nhosts = [\"a.example.com\"]";
    let config = load(
        file,
        &[
            ("LOCKSTEP_GATEWAY__LISTEN", "127.0.0.1:2"),
            ("LOCKSTEP_GATEWAY__TRUSTED_PROXIES", ""),
            ("LOCKSTEP_GATEWAY__SESSIONS__IDLE", "1h"),
            ("LOCKSTEP_APPS__0__UPSTREAM", "http://127.0.0.1:3000"),
            ("LOCKSTEP_APPS__1__HOSTS", "b.example.com, c.example.com"),
            ("LOCKSTEP_LOG", "debug"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();

    assert_eq!(config.gateway.listen.to_string(), "127.0.0.1:2");
    assert_eq!(config.gateway.trusted_proxies, Some(Vec::new()));
    assert_eq!(config.gateway.sessions.idle, Duration::from_hours(1));
    assert!(config.apps[0].upstream.is_some());
    assert_eq!(config.apps[1].hosts.iter().map(HostName::as_str).collect::<Vec<_>>(), ["b.example.com", "c.example.com"]);
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_nearest_valid_key() {
    let cases: [(&str, Variables, &str); 8] = [
        (
            "[gateway]\nlistne = \"x\"",
            &[],
            "unknown key `gateway.listne` (lockstep.toml, line 2); the nearest valid key is `gateway.listen`",
        ),
        ("[gatway]\nlisten = \"x\"", &[], "unknown key `gatway` (lockstep.toml, line 1); the nearest valid key is `gateway`"),
        (
            "[gateway]\nsessions.idel = \"1h\"",
            &[],
            "unknown key `gateway.sessions.idel` (lockstep.toml, line 2); the nearest valid key is `gateway.sessions.idle`",
        ),
        (
            "[keys]\nmaster_keyfile = \"x\"",
            &[],
            "unknown key `keys.master_keyfile` (lockstep.toml, line 2); the nearest valid key is `keys.master_key_file`",
        ),
        (
            "[[apps]]\nhosts = [\"a.b\"]\nrole = []",
            &[],
            "unknown key `apps[0].role` (lockstep.toml, line 3); the nearest valid key is `apps[0].roles`",
        ),
        (
            "",
            &[("LOCKSTEP_GATEWAY__TRUSTED_PROXY", "[]")],
            "unknown key `gateway.trusted_proxy` (environment variable LOCKSTEP_GATEWAY__TRUSTED_PROXY); the nearest valid key is `LOCKSTEP_GATEWAY__TRUSTED_PROXIES`",
        ),
        (
            "[[apps]]\nhosts = [\"a.b\"]",
            &[("LOCKSTEP_APPS__0__ROLE", "x")],
            "unknown key `apps[0].role` (environment variable LOCKSTEP_APPS__0__ROLE); the nearest valid key is `LOCKSTEP_APPS__0__ROLES`",
        ),
        (
            "",
            &[("LOCKSTEP_DATABASE_URL", "x")],
            "unknown key `database_url` (environment variable LOCKSTEP_DATABASE_URL); the nearest valid key is `LOCKSTEP_SECTION__KEY`",
        ),
    ];
    for (toml, variables, expected) in cases {
        assert_eq!(error(toml, variables), format!("the configuration is wrong: {expected}"));
    }
}

#[test]
fn a_wrong_value_is_named_with_its_place_and_what_was_expected() {
    for (toml, expected) in [
        ("[gateway]\nlisten = 8080", "`gateway.listen` (lockstep.toml, line 2) is \"8080\": expected an IP address and a port"),
        ("[gateway]\npublic_url = \"http://login.example.com\"", "must start with https://"),
        ("[gateway]\npublic_url = \"https://u:hush@login.example.com\"", "must not carry a user name or password"),
        (
            "[gateway]\ntrusted_proxies = [\"10.0.0.0/8\", \"all\"]",
            "`gateway.trusted_proxies[1]` (lockstep.toml, line 2) is \"all\"",
        ),
        ("[gateway]\ntrusted_proxies = \"10.0.0.0/8\"", "must be a list"),
        ("[gateway]\nlisten = \"\"", "is empty"),
        ("[gateway]\nlisten = [\"127.0.0.1:80\"]", "must be one value, not a list"),
        ("gateway = 1", "`gateway` (lockstep.toml, line 1) is a section: write it as [gateway]"),
        ("[apps]\nhosts = []", "write each as [[apps]]"),
        ("[revocation]\nlease = \"2s\"", "`revocation.lease` (lockstep.toml, line 2) is \"2s\": must be between 3s and 45s"),
        ("[revocation]\nlease = \"46s\"", "must be between 3s and 45s"),
        ("[provisioner]\nrequests_per_second = 24", "must be at least 25, which identity providers are promised"),
        ("[provisioner]\nlog_retention = \"59m\"", "is \"59m\": must be at least 1h"),
        ("[revocation]\nlease = 10", "expected a whole number and a unit"),
        ("[gateway]\nsessions.idle = \"25h\"", "must not be longer than gateway.sessions.absolute, which is 1d"),
        ("[gateway]\nsessions.absolute = \"0s\"", "must be longer than nothing"),
        ("[database]\nurl = \"mysql://db:hush@host/x\"", "is not a database URL"),
        ("[database]\nurl = \"sqlite://relative.db\"", "without an absolute path"),
        ("[database]\nurls = []", "is an empty list"),
        ("[database]\nurls = [\"sqlite:///a\", \"postgres://b/c\"]", "only PostgreSQL can be"),
        ("[database]\nmax_connections = 0", "at least 1"),
        ("[redis]\nurl = \"http://x\"", "is not a Redis URL"),
        ("[redis]\nprefix = \"a:b\"\nurl = \"redis://x\"", "must be 1 to 64 characters"),
        ("[redis]\nprefix = \"a\"", "`redis.url` is missing"),
        ("[keys]\nmaster_key = \"c2hvcnQ=\"", "32 bytes in base64"),
        ("[mail]\nsmtp_url = \"smtp://x\"", "`mail.from` is missing"),
        ("[mail]\nsmtp_url = \"imap://x\"\nfrom = \"a@b\"", "is not an SMTP URL"),
        ("[dns]\nservers = [\"dns.example.com\"]", "expected the IP address of a name server"),
        ("[outbound]\nallow_http_hosts = [\"http://x\"]", "expected a host name"),
        ("[[apps]]\nhosts = []", "names no host"),
        ("[[apps]]\nroles = []", "`apps.hosts` is missing"),
        ("[[apps]]\nhosts = [\"a.b\"]\nworkspaces = []", "would let nobody in"),
        ("[[apps]]\nhosts = [\"a.b\"]\nworkspaces = [\"A_b\"]", "expected a workspace id"),
        ("[[apps]]\nhosts = [\"a.b\"]\nclaims = [\"sub\"]", "which the identity JWT sets itself"),
        ("[[apps]]\nhosts = [\"a.b\"]\nclaims = { exp = \"userType\" }", "which the identity JWT sets itself"),
        ("[[apps]]\nhosts = [\"a.b\"]\nclaims = [\"urn:a:b:x\", \"urn:a:c:x\"]", "has two claims called \"x\""),
        ("[[apps]]\nhosts = [\"a.b\"]\nclaims = [\"emails[0]\"]", "expected an attribute"),
        ("[[apps]]\nhosts = [\"a.b\"]\nroles = [\"a,b\"]", "expected the name of a role"),
        (
            "[[apps]]\nhosts = [\"a.b\"]\n[[apps]]\nhosts = [\"A.b\"]",
            "`apps[1].hosts` (lockstep.toml, line 4) has a.b, which is already given (lockstep.toml, line 2)",
        ),
        ("a = ", "lockstep.toml, line 1: not valid TOML"),
        ("[a]\nb = 1\nb = 2", "lockstep.toml, line 3: not valid TOML: duplicate key"),
    ] {
        let error = error(toml, &[]);
        assert!(error.contains(expected), "{toml:?} says {error:?}");
        assert!(!error.contains("hush"), "{error}");
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let error = error("[gateway]\nlisten = 1\nfoo = 2", &[("LOCKSTEP_REVOCATION__LEASE", "1m")]);

    assert!(error.starts_with("the configuration is wrong in 3 places:\n  - "), "{error}");
}

#[test]
fn a_variable_that_does_not_fit_the_file_is_an_error() {
    for (name, value) in [("LOCKSTEP_APPS__5__AUDIENCE", "x"), ("LOCKSTEP_GATEWAY__LISTEN__PORT", "80")] {
        let error = error("[gateway]\nlisten = \"127.0.0.1:1\"\n[[apps]]\nhosts = [\"a.b\"]", &[(name, value)]);
        assert!(error.contains(name) && error.contains("does not fit the file"), "{error}");
    }
}

#[test]
fn a_secret_comes_from_its_file_and_loses_the_line_end() {
    let folder = Folder::new();
    folder.write("url", "postgres://lockstep:hush@db/lockstep\n");
    folder.write("urls", "postgres://a:hush@db1/lockstep\npostgres://a:hush@db2/lockstep\n");
    folder.write("key", &format!("{MASTER_KEY}\n{MASTER_KEY}\n"));
    let file = folder.write("lockstep.toml", "[database]\nurl_file = \"url\"\n[keys]\nmaster_key_file = \"key\"");
    let several = folder.write("several.toml", "[database]\nurls_file = \"urls\"");

    let config = Config::load(Some(&file), std::iter::empty()).unwrap();
    let several = Config::load(Some(&several), std::iter::empty()).unwrap();

    assert_eq!(config.require_database().unwrap().urls[0].expose_secret(), "postgres://lockstep:hush@db/lockstep");
    assert!(config.keys.is_some());
    assert_eq!(several.require_database().unwrap().urls.len(), 2);
}

#[test]
fn a_secret_given_twice_is_an_error() {
    for (toml, variable) in [
        ("[database]\nurl = \"sqlite:///a\"", "LOCKSTEP_DATABASE__URL_FILE"),
        ("[database]\nurls = [\"sqlite:///a\"]", "LOCKSTEP_DATABASE__URLS_FILE"),
        ("[redis]\nurl = \"redis://a\"", "LOCKSTEP_REDIS__URL_FILE"),
        ("[keys]\nmaster_key = \"x\"", "LOCKSTEP_KEYS__MASTER_KEY_FILE"),
        ("[mail]\nsmtp_url = \"smtp://a\"\nfrom = \"a@b\"", "LOCKSTEP_MAIL__SMTP_URL_FILE"),
    ] {
        let error = error(toml, &[(variable, "/etc/hostname")]);
        assert!(
            error.contains("lockstep.toml, line 2") && error.contains(variable) && error.contains("are both given"),
            "{error}"
        );
    }
    let both = error("[database]\nurl = \"sqlite:///a\"\nurls = [\"sqlite:///a\"]", &[]);
    assert!(both.contains("`database.url`") && both.contains("`database.urls`"), "{both}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let secret = error("[redis]\nurl_file = \"missing\"", &[]);
    let whole = Config::load(Some(Path::new("/nonexistent/lockstep.toml")), std::iter::empty()).unwrap_err().to_string();

    assert!(
        secret.contains("`redis.url_file` (lockstep.toml, line 2) names /etc/lockstep/missing, which cannot be read"),
        "{secret}"
    );
    assert!(whole.contains("/nonexistent/lockstep.toml") && whole.contains("--config"), "{whole}");
}

#[test]
fn a_gateway_without_a_list_of_trusted_proxies_does_not_start() {
    let config = load("[gateway]\npublic_url = \"https://login.example.com\"", &[]).unwrap();

    let error = config.require_gateway().unwrap_err().to_string();

    assert!(error.contains("`gateway.trusted_proxies` is missing") && error.contains("write []"), "{error}");
    assert!(config.require_gateway_url().is_ok());
    let nothing = load("", &[]).unwrap();
    assert_eq!(nothing.require_gateway().unwrap_err().problems().len(), 2);
    assert!(nothing.require_gateway_url().unwrap_err().to_string().contains("`gateway.public_url` is missing"));
    assert!(nothing.require_provisioner().unwrap_err().to_string().contains("`provisioner.public_url` is missing"));
    assert!(nothing.require_database().unwrap_err().to_string().contains("LOCKSTEP_DATABASE__URL"));
    assert!(nothing.require_keys().unwrap_err().to_string().contains("openssl rand -base64 32"));
}

#[test]
fn two_processes_need_redis_and_one_does_not() {
    let without = load("", &[]).unwrap();
    let with = load("[redis]\nurl = \"redis://localhost\"", &[]).unwrap();

    for program in [Program::Gateway, Program::Provisioner] {
        let error = without.check_program(program).unwrap_err().to_string();
        assert!(error.contains("lockstep serve") && error.contains(&program.to_string()), "{error}");
        assert!(with.check_program(program).is_ok());
    }
    assert!(without.check_program(Program::Standalone).is_ok());
}
