// What a claim says, in words. `known`: the issuer, scopes and verifiers, as the page was given them.
const PRINCIPAL = /^(user|service_account):([1-9][0-9]*)$/;
const KINDS = { "at+jwt": "an access token (RFC 9068), for resource servers", JWT: "an ID token, for verifiers outside" };

export const kind = (typ) => KINDS[typ] ?? `of a type that this issuer never writes${typ === undefined ? "" : `: ${typ}`}`;

// {state, text} of the moment: not before, not after.
export function time({ nbf, exp }, now) {
  if (typeof exp !== "number") return { state: "bad", text: "It never ends (no exp): this issuer writes no such token." };
  if (exp <= now) return { state: "bad", text: "It has expired:", at: exp };
  if (nbf > now) return { state: "bad", text: "It is not valid yet, but from then on:", at: nbf };
  return { state: "good", text: "It is valid until it expires:", at: exp };
}

// `isProved`: the signature is good. Without one anybody may have written what the token says.
export function issuer({ iss }, known, isProved) {
  if (iss === known.issuer && isProved) return { state: "good", text: "It names this issuer." };
  if (iss === known.issuer) return { state: "warn", text: "It claims this issuer, and no signature proves it." };
  return { state: "bad", text: `It names another issuer, ${iss === undefined ? "none" : JSON.stringify(iss)}: whoever trusts this one must refuse it.` };
}

// Who acts, and for whom: from act (RFC 8693 §4.1), from a composite scope, or from sub alone.
export function who(claims, isProved) {
  return isProved ? parties(claims) : `It claims, unproved: ${parties(claims)}`;
}

function parties(claims) {
  const agent = name("service_account", claims.service_account, claims.act?.sub ?? claims.sub);
  const human = name("user", claims.user_login, humanOf(claims));
  if (agent && human) return `${agent} acts on behalf of ${human}; each party's own rights limit what it may do.`;
  if (agent) return `${agent} acts in its own name.`;
  if (human) return `${human} acts in person, nobody for them.`;
  return claims.sub === undefined ? "It names nobody." : `Its subject is ${JSON.stringify(claims.sub)}.`;
}

function humanOf(claims) {
  const inScope = words(claims.scope).find((each) => each.startsWith("user:"));
  return inScope ?? (claims.user_id === undefined ? claims.sub : `user:${claims.user_id}`);
}

function name(wanted, given, principal) {
  const found = PRINCIPAL.exec(principal ?? "");
  if (found?.[1] !== wanted) return null;
  return given === undefined ? principal : `${given} (${principal})`;
}

const words = (scope) => (typeof scope === "string" ? scope.split(" ").filter(Boolean) : []);
const list = (value) => (Array.isArray(value) ? value : [value]).join(", ");

const CLAIMS = {
  iss: (value, known) => (value === known.issuer ? "who issued it: this installation" : "who issued it: somebody else"),
  sub: (value) => subject(String(value)),
  aud: (value, known) => (list(value) === `${known.issuer}/api/v1` ? "who may take it: this installation's own API, nobody else" : "who may take it; everybody else must refuse it"),
  scope: (value, known) => words(value).map((each) => scope(each, known)).join("; "),
  act: () => "the agent that acts, for the human in sub (RFC 8693 §4.1)",
  iat: () => "when it was issued",
  nbf: () => "not before: no good until then",
  exp: () => "no good from then on",
  jti: () => "its own number: it finds it in the ledger and kills it (countersign kill --token)",
  client_id: () => "the client that asked for it",
  service_account: () => "the agent's name",
  service_account_id: () => "the agent's number, which is never given again",
  user_id: () => "the human's number, which is never given again",
  user_login: () => "the human's login",
  user_email: () => "the human's e-mail address",
  user_access_level: () => "the human's role in the project",
  delegation_id: () => "the delegation that it lives from, and dies with",
  run_id: () => "the run that it belongs to, and dies with",
  run_source: () => "how the run was started",
  flow: () => "the flow of the run, from the project's configuration",
  project_id: () => "the project's number, which is never given again",
  project_path: () => "where it runs; a path may be taken by another project one day",
  namespace_id: () => "the number of the group around the project",
  namespace_path: () => "the group around the project",
  ref: () => "the branch that the configuration was read from, by the issuer itself",
  ref_type: () => "what ref is",
  ref_path: () => "ref in full",
  ref_protected: () => "whether that branch is a protected one (a string)",
  sha: () => "the commit that the configuration was read from",
  config_sha: () => "SHA-256 of the agent-config.yml that asked for it",
  "https://aws.amazon.com/tags": () => "session tags for AWS",
};
const HEADER = {
  alg: (value, known) => {
    if (!Object.hasOwn(known.excludes, value)) return "no algorithm of this issuer";
    const none = known.excludes[value];
    return none.length ? `not taken by ${none.join(", ")}` : "every verifier takes it";
  },
  kid: () => "the key that signed it, to be found in the JWKS (RFC 7638)",
  typ: (value) => kind(value),
};

export const TIMES = new Set(["iat", "nbf", "exp"]);
export const explainedClaim = (name, value, known) => explained(CLAIMS, name, value, known);
export const explainedHeader = (name, value, known) => explained(HEADER, name, value, known);

function explained(table, name, value, known) {
  return Object.hasOwn(table, name) ? table[name](value, known) : "no claim that this page knows";
}

function subject(value) {
  const [, kind] = PRINCIPAL.exec(value) ?? [];
  if (kind) return kind === "user" ? "a human" : "an agent: a service account";
  return /^project_(path|id):/.test(value) ? "the flow of a project, as trust policies bind it" : "whom it is about";
}

function scope(each, known) {
  if (/^user:/.test(each)) return `${each}: only together with this human, whose own rights limit it`;
  return Object.hasOwn(known.scopes, each) ? `${each}: ${known.scopes[each]}` : `${each}: unknown`;
}
