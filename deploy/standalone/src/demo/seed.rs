//! Sets the sample company up, by exactly the commands that an operator would type.

use std::path::Path;

use clap::Parser;
use lockstep_demo_idp::{Running, ScimSettings};
use lockstep_provisioner::ops::{self, Context};
use lockstep_shared::{config::Program, runtime::Runtime};
use serde_json::Value;

use super::DemoError;

#[derive(Debug, Parser)]
#[command(name = "lockstep")]
struct Line {
    #[command(subcommand)]
    command: ops::Command,
}

/// Makes the workspace `acme` with its domain, its provider and its provisioning, and demands SSO of everybody.
pub(super) async fn acme(runtime: &Runtime, provider: &Running, folder: &Path) -> Result<ScimSettings, DemoError> {
    let context = Context::within(Program::Standalone, runtime.clone());
    let client = provider.client();
    let secret_file = folder.join("client.secret");
    std::fs::write(&secret_file, &client.secret).map_err(DemoError::Folder)?;
    let secret_file = secret_file.display().to_string();

    run(&context, &["workspace", "create", "acme", "--name", "Acme", "--plan", "enterprise"]).await?;
    run(&context, &["domain", "add", "acme", "acme.example"]).await?;
    run(&context, &["domain", "verify", "acme", "acme.example", "--by-operator"]).await?;
    let connection = ["connection", "add", "acme", "--preset", "entra", "--link", "externalId=oid"];
    let details = ["--issuer", provider.issuer(), "--client-id", &client.id, "--client-secret-file", &secret_file];
    let connection = run(&context, &[connection.as_slice(), &details].concat()).await?;
    provider.set_redirect_uris(vec![connection.text("redirect_uri")?]);
    run(&context, &["scim", "enable", "acme"]).await?;
    let token = run(&context, &["token", "issue", "acme"]).await?;
    run(&context, &["sso", "enforce", "acme"]).await?;

    context.close().await;
    Ok(ScimSettings { base_url: token.text("scim_base_url")?, token: token.text("token")? })
}

/// Says what the directory's groups give, once they are there.
pub(super) async fn access(runtime: &Runtime) -> Result<(), DemoError> {
    let context = Context::within(Program::Standalone, runtime.clone());
    run(&context, &["mapping", "set", "acme", "--group", "Admins", "--role", "Admin"]).await?;
    run(&context, &["mapping", "set", "acme", "--group", "Engineering", "--team", "Engineering"]).await?;
    run(&context, &["mapping", "set", "acme", "--default-role", "User"]).await?;
    context.close().await;
    Ok(())
}

/// What a command answered.
struct Answer {
    command: String,
    body: Value,
}

impl Answer {
    fn text(&self, member: &'static str) -> Result<String, DemoError> {
        let found = self.body.get(member).and_then(Value::as_str).map(str::to_owned);
        found.ok_or_else(|| DemoError::Answer { command: self.command.clone(), member })
    }
}

async fn run(context: &Context, arguments: &[&str]) -> Result<Answer, DemoError> {
    let line = Line::try_parse_from(std::iter::once(&"lockstep").chain(arguments))?;
    let command = arguments.join(" ");
    match ops::run(line.command, context).await {
        Ok(output) => Ok(Answer { command, body: output.json() }),
        Err(source) => Err(DemoError::Seed { command, source }),
    }
}
