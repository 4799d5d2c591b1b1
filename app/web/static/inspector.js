// [data-inspector]: the token in the textarea is read here and nowhere else. All that is fetched is the JWKS; the
// page forgets the token when it is left, and so no history brings it back.
import { explainedClaim, explainedHeader, issuer, kind, time, TIMES, who } from "./claims.js";
import { parse, verify } from "./jws.js";
import { tell } from "./times.js";

const known = JSON.parse(document.querySelector("[data-inspector]").dataset.inspector);
const pasted = document.getElementById("token");
const findings = document.getElementById("findings");
const refusal = document.getElementById("no-token");
const A_SECOND = 1000;
let turn = 0;
let inspected = null;

pasted.addEventListener("input", read);
document.getElementById("forget").addEventListener("click", () => {
  forget();
  pasted.focus();
});
addEventListener("pagehide", forget);
setInterval(judgeTime, A_SECOND);
forget();

function forget() {
  pasted.value = "";
  read();
}

async function read() {
  const mine = ++turn;
  const text = pasted.value.trim().replace(/^Bearer\s+/i, "").replace(/\s+/g, "");
  empty();
  if (!text) return;
  try {
    const token = parse(text);
    show(token);
    const verdict = await signatureOf(token);
    if (mine !== turn) return;
    replaceVerdict("Signature", verdict);
    if (verdict.state === "good") believe(token.claims);
  } catch (fault) {
    if (mine === turn) refuse(fault.message);
  }
}

async function signatureOf(token) {
  try {
    const answer = await fetch(known.jwks, { credentials: "omit", cache: "no-cache" });
    if (!answer.ok) throw new Error(String(answer.status));
    return verify(token, (await answer.json()).keys);
  } catch {
    return { state: "warn", text: "The issuer's keys could not be fetched: try again." };
  }
}

function show(token) {
  const { header, claims } = token;
  inspected = claims;
  findings.hidden = false;
  verdict("Signature", { state: "warn", text: "Being checked…" });
  verdict("Time", time(claims, Date.now() / 1000));
  verdict("Issuer", issuer(claims, known, false));
  verdict("Kind", { state: "info", text: `It is ${kind(header.typ)}.` });
  verdict("Who", { state: "info", text: who(claims, false) });
  verdict("For", { state: "info", text: claims.aud === undefined ? "no audience" : [claims.aud].flat().join(", ") });
  rows("claim-rows", claims, explainedClaim);
  rows("header-rows", header, explainedHeader);
  tell(findings);
}

function believe(claims) {
  replaceVerdict("Issuer", issuer(claims, known, true));
  replaceVerdict("Who", { state: "info", text: who(claims, true) });
}

// Again while it is looked at; said anew only when it has become another.
function judgeTime() {
  if (!inspected) return;
  const found = time(inspected, Date.now() / 1000);
  if (document.querySelector('#verdicts [data-verdict="Time"]').dataset.said === found.text) return;
  replaceVerdict("Time", found);
  tell(findings);
}

function empty() {
  inspected = null;
  findings.hidden = refusal.hidden = true;
  refusal.textContent = "";
  document.getElementById("verdicts").replaceChildren();
  for (const id of ["claim-rows", "header-rows"]) document.querySelector(`#${id} tbody`).replaceChildren();
}

function refuse(text) {
  empty();
  refusal.textContent = text;
  refusal.hidden = false;
}

function replaceVerdict(name, found) {
  document.querySelector(`#verdicts [data-verdict="${name}"]`).replaceWith(line(name, found));
}

function verdict(name, found) {
  document.getElementById("verdicts").append(line(name, found));
}

function line(name, { state, text, at }) {
  const item = document.createElement("li");
  item.dataset.verdict = name;
  item.dataset.said = text;
  const said = element("span", text);
  if (at !== undefined) said.append(" ", moment(at));
  item.append(element("strong", name), state === "info" ? element("span", "") : badge(state), said);
  return item;
}

function badge(state) {
  return document.getElementById(`state-${state}`).content.cloneNode(true);
}

function rows(id, values, explain) {
  const body = document.querySelector(`#${id} tbody`);
  for (const [name, value] of Object.entries(values)) {
    const row = document.createElement("tr");
    const heading = element("th", "");
    heading.scope = "row";
    heading.append(element("code", name));
    const shown = element("td", "");
    shown.append(TIMES.has(name) && isMoment(value) ? moment(value) : element("code", typeof value === "string" ? value : JSON.stringify(value)));
    row.append(heading, shown, element("td", explain(name, value, known)));
    body.append(row);
  }
}

const isMoment = (value) => typeof value === "number" && Number.isFinite(value) && Math.abs(value) < 8e12;

// The moment itself and, beside it, how long ago or ahead that is.
function moment(seconds) {
  const place = element("span", "");
  if (!isMoment(seconds)) return element("code", String(seconds));
  const at = new Date(seconds * 1000).toISOString();
  const ago = element("time", "");
  ago.dateTime = at;
  ago.dataset.relative = "";
  place.append(`${at.slice(0, 19).replace("T", " ")} UTC, `, ago);
  return place;
}

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}
