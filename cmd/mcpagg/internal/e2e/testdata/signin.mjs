// A client that signs in, on the SDK's first major version or on the client of
// its second.
//
//   node signin.mjs 1|2 URL CALLBACK-PORT [CLIENT-ID]
//
// Without a client id it registers.
//
// Each line on stdin is a message for the echo tool: the client lists the tools,
// calls the one that the line begins with, and prints {tools, text}. Where it has
// to be signed in first, it prints {authorize} and waits for the callback.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

const [major, url, port, id] = process.argv.slice(2);
const sdk = major === '1'
  ? { ...await import('@modelcontextprotocol/sdk/client/index.js'),
      ...await import('@modelcontextprotocol/sdk/client/streamableHttp.js'),
      ...await import('@modelcontextprotocol/sdk/client/auth.js') }
  : await import('@modelcontextprotocol/client');

const print = (message) => console.log(JSON.stringify(message));
const redirect = `http://127.0.0.1:${port}/callback`;

// A provider that keeps what it is given for as long as the program runs. More
// than one sign-in may begin at a time, since a transport has a stream beside its
// calls: what belongs to which is told by the challenge.
const kept = { verifiers: new Map(), client: id ? { client_id: id } : undefined };
const challengeOf = (verifier) => createHash('sha256').update(verifier).digest('base64url');
const provider = {
  redirectUrl: redirect,
  clientMetadata: {
    client_name: `TypeScript ${major}`,
    redirect_uris: [redirect],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  },
  state: () => crypto.randomUUID(),
  clientInformation: () => kept.client,
  saveClientInformation: (client) => { kept.client = client; },
  tokens: () => kept.tokens,
  saveTokens: (tokens) => { kept.tokens = tokens; },
  codeVerifier: () => kept.verifiers.get(kept.begun.searchParams.get('code_challenge')),
  saveCodeVerifier: (verifier) => { kept.verifiers.set(challengeOf(verifier), verifier); },
  redirectToAuthorization: (authorize) => { kept.authorize = authorize; },
  invalidateCredentials: (what) => {
    if (what === 'all' || what === 'tokens') delete kept.tokens;
    if (what === 'all' || what === 'client') delete kept.client;
  },
};

let called = Promise.withResolvers(); // back, by the browser
createServer((request, response) => {
  called.resolve(new URL(request.url, redirect).searchParams);
  response.end('Signed in.');
}).listen(port, '127.0.0.1');

let client, transport;

async function connect() {
  client = new sdk.Client({ name: `typescript-${major}`, version: '1' }, major === '1' ? {} : { versionNegotiation: { mode: 'auto' } });
  transport = new sdk.StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
  await client.connect(transport);
}

async function use(line) {
  const [name, ...message] = line.split(' ');
  if (!client) await connect();
  const { tools } = await client.listTools();
  const { content } = await client.callTool({ name, arguments: { message: message.join(' ') } });
  print({ tools: tools.map((tool) => tool.name), text: content[0].text });
}

// signIn finishes what the SDK has begun when it threw.
async function signIn() {
  await client.close(); // or its stream goes on trying
  client = undefined;
  kept.begun = kept.authorize;
  print({ authorize: kept.begun });
  const answer = await called.promise;
  called = Promise.withResolvers();
  if (answer.get('state') !== kept.begun.searchParams.get('state')) throw new Error('another state came back');
  await transport.finishAuth(major === '1' ? answer.get('code') : answer); // of which the second checks iss
}

for await (const line of createInterface({ input: process.stdin })) {
  try {
    await use(line);
  } catch (error) {
    if (!(error instanceof sdk.UnauthorizedError)) {
      print({ error: String(error) });
      continue;
    }
    await signIn();
    await use(line);
  }
}
process.exit();
