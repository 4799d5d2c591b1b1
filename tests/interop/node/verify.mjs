// Verifies tokens as any npm program would: it knows an issuer and an audience, and nothing else of Countersign.
//
//   node verify.mjs ISSUER AUDIENCE < TOKEN     one answer
//   node verify.mjs < REQUESTS                  one answer a line to {"issuer", "audience", "token"}
//
// An answer is {"ok": true, "payload"}, {"ok": false, "error"} with jose's code, or {"broken"}: no verdict,
// since discovery or JWKS could not be had.

import { setDefaultResultOrder } from "node:dns";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto; // Node 18 hides it
setDefaultResultOrder("ipv4first"); // `localhost` is where the server listens
const { createRemoteJWKSet, errors, jwtVerify } = await import("jose");

const jwksOf = new Map();

async function discover(issuer) {
  const response = await fetch(`${issuer}/.well-known/openid-configuration`, { redirect: "error" });
  const metadata = await response.json();
  if (response.status !== 200 || metadata.issuer !== issuer) throw new Error(`discovery: ${response.status}`);
  return createRemoteJWKSet(new URL(metadata.jwks_uri));
}

async function verify({ issuer, audience, token }) {
  try {
    if (!jwksOf.has(issuer)) jwksOf.set(issuer, await discover(issuer));
    const { payload } = await jwtVerify(token, jwksOf.get(issuer), {
      issuer,
      audience,
      requiredClaims: ["sub", "iat", "exp"],
    });
    return { ok: true, payload };
  } catch (error) {
    return isRefusal(error) ? { ok: false, error: error.code } : { broken: String(error) };
  }
}

// jose throws its base class, or the runtime's own errors, when the JWKS could not be fetched or read.
function isRefusal(error) {
  return (
    error instanceof errors.JOSEError &&
    !["ERR_JOSE_GENERIC", "ERR_JWKS_TIMEOUT", "ERR_JWKS_INVALID"].includes(error.code)
  );
}

const say = (answer) => console.log(JSON.stringify(answer));
const [issuer, audience] = process.argv.slice(2);
if (issuer) {
  say(await verify({ issuer, audience, token: (await text(process.stdin)).trim() }));
} else {
  for await (const line of createInterface({ input: process.stdin })) say(await verify(JSON.parse(line)));
}
