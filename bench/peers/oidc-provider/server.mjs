// npm oidc-provider as its documentation sets it up for client credentials with JWT access tokens (RFC 9068,
// RS256), everything in memory: a cluster that shares one port and one key.
//
//   node server.mjs PORT WORKERS CLIENT_ID CLIENT_SECRET

import cluster from "node:cluster";
import { generateKeyPairSync } from "node:crypto";

const [port, workers, client_id, client_secret] = process.argv.slice(2);

if (cluster.isPrimary) {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const key = { ...privateKey.export({ format: "jwk" }), alg: "RS256", use: "sig" };
  for (let started = 0; started < Number(workers); started += 1) {
    cluster.fork({ SIGNING_KEY: JSON.stringify(key) });
  }
} else {
  const { Provider } = await import("oidc-provider");
  const issuer = `http://127.0.0.1:${port}`;
  const api = `${issuer}/api/v1`;
  const provider = new Provider(issuer, {
    jwks: { keys: [JSON.parse(process.env.SIGNING_KEY)] },
    clients: [
      { client_id, client_secret, grant_types: ["client_credentials"], redirect_uris: [], response_types: [] },
    ],
    scopes: ["api"],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => api,
        getResourceServerInfo: () => ({
          scope: "api",
          audience: api,
          accessTokenTTL: 900,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "RS256" } },
        }),
      },
    },
  });
  provider.listen(Number(port), "127.0.0.1");
}
