// A compact JWS (RFC 7515 §7.1): taken apart, and its signature checked with WebCrypto against a JWKS.
const rsa = (name, extra = {}) => ({ kty: "RSA", members: ["n", "e"], key: { name, hash: "SHA-256" }, check: { name, ...extra } });
const ec = (crv, hash) => ({ kty: "EC", crv, members: ["crv", "x", "y"], key: { name: "ECDSA", namedCurve: crv }, check: { name: "ECDSA", hash } });
const ALGORITHMS = {
  RS256: rsa("RSASSA-PKCS1-v1_5"),
  PS256: rsa("RSA-PSS", { saltLength: 32 }),
  ES256: ec("P-256", "SHA-256"),
  ES384: ec("P-384", "SHA-384"),
  EdDSA: { kty: "OKP", crv: "Ed25519", members: ["crv", "x"], key: { name: "Ed25519" }, check: { name: "Ed25519" } },
};

// Throws an Error worded for the human: what this is instead of a JWT.
export function parse(text) {
  const parts = text.split(".");
  if (parts.length === 5) throw new Error("This is an encrypted token (JWE): only its recipient can read it.");
  if (parts.length !== 3) throw new Error("This is no JWT: three parts with dots between them.");
  const [header, claims] = [json(parts[0], "first"), json(parts[1], "second")];
  const signature = bytes(parts[2]);
  if (!signature) throw new Error("This is no JWT: its third part is no base64url.");
  return { header, claims, signature, signed: new TextEncoder().encode(`${parts[0]}.${parts[1]}`) };
}

// {state, text}: good, bad, or warn where nothing can be said.
export async function verify({ header, signature, signed }, keys) {
  const algorithm = Object.hasOwn(ALGORITHMS, header.alg) && ALGORITHMS[header.alg];
  if (header.alg === "none") return bad("It is not signed at all (alg none): no verifier may take it.");
  if (!algorithm) return bad(`This issuer never signs with ${shown(header.alg)}.`);
  if ("crit" in header) return bad("Its header has critical extensions, which this issuer never writes.");
  if (!globalThis.crypto?.subtle) return open("This browser checks signatures on https and on localhost only.");
  const jwk = keys.find((key) => key.kid === header.kid);
  if (!jwk) return bad(`No published key has its key id ${shown(header.kid)}: the key has left the JWKS, or it is another issuer's.`);
  if (jwk.kty !== algorithm.kty || jwk.crv !== algorithm.crv || (jwk.alg ?? header.alg) !== header.alg) {
    return bad(`The key of that key id is not for ${header.alg}.`);
  }
  try {
    const isGood = await check(algorithm, jwk, signature, signed);
    if (isGood) return { state: "good", text: `Signed with ${header.alg} by the published key ${header.kid}.` };
    return bad("The signature does not fit: the token was changed, or this key never signed it.");
  } catch (fault) {
    if (fault.name === "NotSupportedError") return open(`This browser cannot check ${header.alg}${header.alg === "EdDSA" ? " (Ed25519)" : ""}.`);
    return bad(`The published key could not be read: ${fault.message}`);
  }
}

async function check(algorithm, jwk, signature, signed) {
  const plain = { kty: jwk.kty };
  for (const member of algorithm.members) plain[member] = jwk[member];
  const key = await crypto.subtle.importKey("jwk", plain, algorithm.key, false, ["verify"]);
  return crypto.subtle.verify(algorithm.check, key, signature, signed);
}

function json(part, which) {
  const content = bytes(part);
  try {
    const found = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content));
    if (found && typeof found === "object" && !Array.isArray(found)) return found;
  } catch {
    // said below
  }
  throw new Error(`This is no JWT: its ${which} part is no JSON object in base64url.`);
}

function bytes(part) {
  if (!/^[A-Za-z0-9_-]*$/.test(part)) return null;
  try {
    return Uint8Array.from(atob(part.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0));
  } catch {
    return null;
  }
}

const bad = (text) => ({ state: "bad", text });
const open = (text) => ({ state: "warn", text });
const shown = (value) => (value === undefined ? "(none)" : String(value));
