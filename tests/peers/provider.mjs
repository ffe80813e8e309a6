// A certified OpenID provider (oidc-provider) for the suite: `node provider.mjs SETTINGS.json`. Accounts and clients come from
// the settings and, while it runs, over `PUT /harness/…`. Faults are not made here.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Provider, errors } from 'oidc-provider';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const issuer = `http://127.0.0.1:${settings.port}`;
const accounts = new Map(settings.accounts.map((account) => [account.login, account]));
const clients = new Map(settings.clients.map((client) => [client.client_id, client]));

/** Everything that the provider keeps, in memory and without a bound, since a load test signs in thousands. */
class Memory {
  static #kept = new Map();

  constructor(model) {
    this.model = model;
  }

  #key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload) {
    Memory.#kept.set(this.#key(id), payload);
  }

  async find(id) {
    return this.model === 'Client' ? clients.get(id) : Memory.#kept.get(this.#key(id));
  }

  async findByUid(uid) {
    return this.#first((payload) => payload.uid === uid);
  }

  async findByUserCode(userCode) {
    return this.#first((payload) => payload.userCode === userCode);
  }

  async consume(id) {
    const payload = await this.find(id);
    if (payload) payload.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    Memory.#kept.delete(this.#key(id));
  }

  async revokeByGrantId(grantId) {
    for (const [key, payload] of Memory.#kept) {
      if (key.startsWith(`${this.model}:`) && payload.grantId === grantId) Memory.#kept.delete(key);
    }
  }

  #first(matches) {
    for (const [key, payload] of Memory.#kept) {
      if (key.startsWith(`${this.model}:`) && matches(payload)) return payload;
    }
    return undefined;
  }
}

const provider = new Provider(issuer, {
  adapter: Memory,
  clients: [],
  claims: {
    openid: ['sub', 'oid', 'tid'],
    profile: ['name', 'given_name', 'family_name', 'preferred_username'],
    email: ['email', 'email_verified'],
  },
  // As Entra, Okta and Google do: the claims of the scopes are in the ID token too.
  conformIdTokenClaims: false,
  cookies: { keys: [randomBytes(32).toString('hex')] },
  pkce: { required: () => settings.require_pkce },
  features: {
    devInteractions: { enabled: false },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    revocation: { enabled: true },
  },
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_ctx, sub) => {
    const account = [...accounts.values()].find((candidate) => candidate.claims.sub === sub);
    return account && { accountId: sub, claims: async () => account.claims };
  },
  // Consent is the directory administrator's at a company, so nobody is asked.
  loadExistingGrant: async (ctx) => {
    const { client, session, params } = ctx.oidc;
    const known = session.grantIdFor(client.clientId);
    if (known) return ctx.oidc.provider.Grant.find(known);
    const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope(params.scope);
    await grant.save();
    return grant;
  },
  renderError: async (ctx, out) => {
    ctx.type = 'json';
    ctx.body = out;
  },
});

provider.on('server_error', (_ctx, error) => console.error('server_error', error));
provider.on('authorization.error', (_ctx, error) => console.error('authorization.error', error.message, error.error_description));
provider.on('grant.error', (_ctx, error) => console.error('grant.error', error.message, error.error_description));

const escape = (text) => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

const signInPage = (uid, hint) => `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sign in to the company</title>
<style>body{font:16px system-ui;margin:4rem auto;max-width:20rem}label,input,button{display:block;width:100%;box-sizing:border-box;margin:.5rem 0;padding:.5rem}</style>
<h1>Company sign-in</h1>
<form method="post" action="/interaction/${encodeURIComponent(uid)}">
<label for="login">Login</label><input id="login" name="login" value="${escape(hint)}" autofocus required>
<button id="submit" type="submit">Sign in</button>
</form></html>`;

const body = async (request) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
};

const answer = (response, status, type, content) => {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
  response.end(content);
};

const interaction = async (request, response) => {
  const details = await provider.interactionDetails(request, response);
  if (request.method === 'GET') {
    answer(response, 200, 'text/html; charset=utf-8', signInPage(details.uid, String(details.params.login_hint ?? '')));
    return;
  }
  const login = new URLSearchParams(await body(request)).get('login');
  const account = accounts.get(login);
  const result = account
    ? { login: { accountId: account.claims.sub, amr: ['pwd'] } }
    : { error: 'access_denied', error_description: 'no such account' };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
};

const control = async (request, response) => {
  const [, , kind, id] = new URL(request.url, issuer).pathname.split('/').map(decodeURIComponent);
  const kept = { accounts, clients }[kind];
  if (!kept || !id) return answer(response, 404, 'text/plain', 'not found');
  if (request.method === 'PUT') kept.set(id, JSON.parse(await body(request)));
  else if (request.method === 'DELETE') kept.delete(id);
  else return answer(response, 405, 'text/plain', 'PUT or DELETE');
  return answer(response, 204, 'text/plain');
};

const protocol = provider.callback();

const server = createServer(async (request, response) => {
  try {
    if (request.url.startsWith('/harness/')) await control(request, response);
    else if (request.url.startsWith('/interaction/')) await interaction(request, response);
    else await protocol(request, response);
  } catch (error) {
    const status = error instanceof errors.SessionNotFound ? 400 : 500;
    console.error(error);
    answer(response, status, 'text/plain', error.message);
  }
});

server.listen(settings.port, '127.0.0.1', () => console.log(`listening as ${issuer}`));
process.on('SIGTERM', () => process.exit(0));
