// [data-opens="id"] opens that dialog, [data-closes] closes the one it is in, except where the browser heeds the
// button's `command`; what is fetched for a drawer comes into an empty one. [data-expected]: its form can be sent
// once that very text is typed.
const COMMANDS = "command" in HTMLButtonElement.prototype;

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-opens], [data-closes]");
  if (!button || (COMMANDS && button.hasAttribute("command"))) return;
  if ("closes" in button.dataset) return button.closest("dialog").close();
  if (button.matches("a:not([hx-get])")) event.preventDefault();
  if (button.hasAttribute("hx-get")) document.getElementById(`${button.dataset.opens}-body`).textContent = "Loading…";
  document.getElementById(button.dataset.opens).showModal();
});

// A link that is a button is pressed by Space as well.
document.addEventListener("keydown", (event) => {
  if (event.key !== " " || !event.target.matches("a[role=button]")) return;
  event.preventDefault();
  if (!event.repeat) event.target.click();
});

document.addEventListener("input", (event) => {
  if (event.target.matches("[data-expected]")) allow(event.target);
});

export function gate(root) {
  for (const input of root.querySelectorAll("[data-expected]")) allow(input);
}

function allow(input) {
  const matches = input.value.trim() === input.dataset.expected;
  for (const button of input.form.querySelectorAll("[type=submit]")) button.disabled = !matches;
}
