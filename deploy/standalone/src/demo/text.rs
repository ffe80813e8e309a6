//! What the demo says when it is ready: what to open, what to try, and the same by hand with curl.

use super::Demo;

/// Who is switched off in the examples.
const ADA: &str = "ada.okafor@acme.example";

/// The demo's one screen of text, once everybody is provisioned.
#[must_use]
pub fn welcome(demo: &Demo) -> String {
    let (app, directory) = (&demo.app_url, demo.directory_url());
    let scim = &demo.scim.base_url;
    let curl = indented(&curl(app, directory));
    let ready = demo.began.elapsed().as_secs_f64();
    format!(
        "
Lockstep demo: Acme's people sign in through Acme's own identity provider,
and are out, everywhere, the moment it hears that they were switched off.

  Open
    {app:<28}the app, behind the gateway: sign in as anybody
    {directory:<28}Acme's directory: switch people on and off

  Try
    1. Open the app and pick Ada Okafor. The app shows what it was told about her.
    2. Open the directory in a second tab. Move Ada between groups; click in the app.
    3. Switch Ada off, and note how many milliseconds the answer took.
    4. Click in the app: she is out. There is no way back in until she is switched on.

  The same with curl
{curl}
  The directory sends its changes to {scim}.
  Safari keeps no secure cookies for a localhost without TLS; other browsers and curl do.

Ready in {ready:.2} s. Ctrl-C ends the demo and removes everything it made.
"
    )
}

/// A script that signs Ada in, switches her off and shows that she is out.
#[must_use]
pub fn curl(app: &str, directory: &str) -> String {
    format!(
        "jar=$(mktemp)
page=$(curl -sL -b $jar -c $jar -o /dev/null -w '%{{url_effective}}' {app}/sso/acme)
curl -sL -b $jar -c $jar -H 'Accept: application/json' -d person={ADA} \\
  \"$(echo \"$page\" | sed s,/authorize,/sign-in,)\"; echo
curl -s -H 'Content-Type: application/json' -d '{{\"active\": false}}' \\
  {directory}/api/people/{ADA}/active; echo
curl -s -b $jar -o /dev/null -w '%{{http_code}}\\n' {app}/      # 401: out
"
    )
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |indented, line| indented + "    " + line + "\n")
}
