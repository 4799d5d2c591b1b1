// What htmx could not fetch is said at the top of the page until something comes again; nothing is swapped for it.
// Of a drawer it is said in the drawer, which lies over the page.
document.addEventListener("htmx:response:error", ({ detail }) => say(detail, `the server answered ${detail.ctx.response.status}`));
document.addEventListener("htmx:error", ({ detail }) => say(detail, "the server does not answer"));
document.addEventListener("htmx:after:swap", ({ detail }) => {
  if (detail.ctx.response?.status < 400) document.getElementById("trouble").hidden = true;
});

function say({ ctx }, reason) {
  const drawer = document.getElementById(`${ctx?.sourceElement?.dataset.opens}-body`);
  if (drawer) {
    drawer.textContent = `This could not be fetched: ${reason}. Close it, and open it again.`;
    return;
  }
  const place = document.getElementById("trouble");
  place.textContent = `This part of the page is not up to date: ${reason}. Reload the page to try again.`;
  place.hidden = false;
}
