// Verifies tokens as an npm program would, each cache of the JWKS on its own, and without a second look.
//
//   node caching.mjs ISSUER CACHES < REQUESTS
//
// CACHES is a JSON list of {"jwks", "seconds"}: how long a fetched key set is believed; 0 is not at all. A request
// is a line {"token", "audience"}, its answer a line with a list: null for accepted, else the reason, per cache.

import { createInterface } from "node:readline";
import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto; // Node 18 hides it
const { createRemoteJWKSet, jwtVerify } = await import("jose");

const [issuer, caches] = process.argv.slice(2);
const keys = JSON.parse(caches).map(({ jwks, seconds }) =>
  // As long a cool-down as a cache: an unknown `kid` fetches nothing that is not due anyway.
  createRemoteJWKSet(new URL(jwks), { cacheMaxAge: seconds * 1000, cooldownDuration: Math.max(seconds, 1) * 1000 }),
);

async function verdict(token, audience, jwks) {
  try {
    await jwtVerify(token, jwks, { issuer, audience, algorithms: ["RS256", "ES256"], requiredClaims: ["exp"] });
    return null;
  } catch (error) {
    return `${error.code} ${error.message}`;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { token, audience } = JSON.parse(line);
  console.log(JSON.stringify(await Promise.all(keys.map((jwks) => verdict(token, audience, jwks)))));
}
