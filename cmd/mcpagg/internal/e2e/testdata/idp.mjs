// An OpenID provider that shares no code with the gateway: oidc-provider, on
// loopback. Anyone may sign in, with any password.
//
//   node idp.mjs [--callback URL] [--userinfo] PORT SECONDS SCOPE…
//
// With a callback there is a confidential client, "gateway" with the secret of the
// environment variable IDP_SECRET, that signs people in for others. The groups of
// people are in ID tokens or, with --userinfo, only at the userinfo endpoint.
//
// Access tokens are for one resource and end after SECONDS. Clients register by
// themselves, for loopback redirects only, must use PKCE, and get a new refresh
// token with each use of the last one. One that is used twice ends the grant.
//
// Each request that matters is a line of JSON on stdout, with all that must not
// get around in "secrets". A name on stdin ends the refresh tokens of that user,
// which a line with "ended" confirms.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { Provider, errors } from 'oidc-provider';

const { values: { callback, userinfo }, positionals: [port, seconds, ...scopes] } = parseArgs({
  allowPositionals: true,
  options: { callback: { type: 'string' }, userinfo: { type: 'boolean' } },
});
const issuer = `http://127.0.0.1:${port}`;

const key = { kid: randomUUID(), use: 'sig', alg: 'RS256' };
Object.assign(key, generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }));

const provider = new Provider(issuer, {
  jwks: { keys: [key] },
  cookies: { keys: [randomUUID()] },
  clients: callback ? [{ client_id: 'gateway', client_secret: process.env.IDP_SECRET, redirect_uris: [callback] }] : [],
  scopes: ['openid', 'offline_access', ...scopes],
  claims: { profile: ['name', 'preferred_username', 'groups'], email: ['email', 'email_verified'] },
  conformIdTokenClaims: Boolean(userinfo),
  clientDefaults: { grant_types: ['authorization_code', 'refresh_token'] },
  features: {
    devInteractions: { enabled: true },
    registration: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, resource) => ({
        audience: resource,
        scope: scopes.join(' '),
        accessTokenFormat: 'jwt',
        accessTokenTTL: Number(seconds),
      }),
    },
  },
  pkce: { required: () => true },
  issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true,
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: id, preferred_username: id, groups: ['people'], email: `${id}@idp.example`, email_verified: true }),
  }),
  extraClientMetadata: { properties: ['loopback'], validator: onlyLoopback },
});

function onlyLoopback(ctx, property, value, client) {
  if (!ctx) return; // of a client that has not registered
  for (const uri of client.redirect_uris ?? []) {
    if (!['localhost', '127.0.0.1', '[::1]'].includes(new URL(uri).hostname)) {
      throw new errors.InvalidRedirectUri(`${uri} is not on loopback`);
    }
  }
}

const print = (entry) => console.log(JSON.stringify(entry));
const grants = new Map(); // of each user

provider.use(async (ctx, next) => {
  await next();
  const { params = {}, entities = {}, route } = ctx.oidc ?? {};
  if (!['authorization', 'resume', 'token', 'registration'].includes(route)) return;
  const asked = { ...ctx.query, ...params };
  const answer = route === 'authorization' || route === 'resume' ? redirected(ctx) : ctx.body ?? {};
  const user = entities.Account?.accountId;
  if (user && entities.Grant?.jti) grants.set(user, [...grants.get(user) ?? [], entities.Grant.jti]);
  print({
    route,
    user,
    client: asked.client_id ?? answer.client_id,
    grant: asked.grant_type,
    prompt: asked.prompt,
    scope: asked.scope ?? answer.scope,
    resource: asked.resource,
    redirect: asked.redirect_uri ?? answer.redirect_uris?.[0],
    error: answer.error,
    secrets: [
      asked.state, asked.nonce, asked.code, asked.code_verifier, asked.refresh_token, asked.client_secret, answer.code,
      answer.access_token, answer.refresh_token, answer.id_token, answer.client_secret, answer.registration_access_token,
    ].filter(Boolean),
  });
});

// redirected is what a browser is sent back to the client with.
function redirected(ctx) {
  const target = ctx.response.get('location');
  return target ? Object.fromEntries(new URL(target, issuer).searchParams) : {};
}

createInterface({ input: process.stdin }).on('line', async (user) => {
  for (const grant of new Set(grants.get(user))) await provider.RefreshToken.revokeByGrantId(grant);
  print({ ended: user });
});

provider.listen(port, '127.0.0.1', () => print({ issuer }));
