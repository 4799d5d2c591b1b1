// A log that follows what comes, pauses when one scrolls up, and stays where one reads when older lines come.
const log = document.getElementById("log");
const follow = document.getElementById("log-follow");
const status = document.getElementById("log-status");
const AT_THE_END = 24;

if (log) {
  let follows = "follows" in log.dataset;
  let height = log.scrollHeight;
  const isOver = () => log.querySelector("[data-log-end]") !== null;
  const toTheEnd = () => { log.scrollTop = log.scrollHeight; };

  function tell() {
    follow.hidden = follows || isOver();
    if (isOver()) status.textContent = "The run has ended, and this is all.";
    else if (log.querySelector(".log-wait")) status.textContent = follows ? "Follows what comes, once a second." : "Paused: scroll to the end, or follow.";
  }

  log.addEventListener("scroll", () => {
    follows = log.scrollHeight - log.scrollTop - log.clientHeight < AT_THE_END;
    tell();
  });
  follow.addEventListener("click", () => { follows = true; toTheEnd(); tell(); log.focus(); });
  document.addEventListener("htmx:before:swap", ({ detail }) => {
    height = detail.ctx?.sourceElement?.matches?.("[data-log-before]") ? log.scrollHeight : 0;
  });
  document.addEventListener("htmx:after:swap", () => {
    if (height) log.scrollTop += log.scrollHeight - height;
    else if (follows) toTheEnd();
    height = 0;
    tell();
  });
  if (follows) toTheEnd();
  tell();
}

// The buttons of a run that goes on are not those of one that has ended; a dialog is not torn away for it.
const goesOn = document.getElementById("run-state")?.hasAttribute("hx-get");
document.addEventListener("htmx:after:swap", renew);
document.addEventListener("close", renew, { capture: true });

function renew() {
  const state = document.getElementById("run-state");
  if (goesOn && state && !state.hasAttribute("hx-get") && !document.querySelector("dialog[open]")) location.reload();
}
