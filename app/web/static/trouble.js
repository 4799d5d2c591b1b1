// What htmx could not fetch is said at the top of the page until something comes again; nothing is swapped for it.
document.addEventListener("htmx:response:error", ({ detail }) => say(`the server answered ${detail.ctx.response.status}`));
document.addEventListener("htmx:error", () => say("the server does not answer"));
document.addEventListener("htmx:after:swap", ({ detail }) => {
  if (detail.ctx.response?.status < 400) document.getElementById("trouble").hidden = true;
});

function say(reason) {
  const place = document.getElementById("trouble");
  place.textContent = `This part of the page is not up to date: ${reason}. Reload the page to try again.`;
  place.hidden = false;
}
