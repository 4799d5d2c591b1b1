// [data-opens="id"] opens that dialog, [data-closes] closes the one it is in, except where the browser heeds the
// button's `command`. [data-expected]: its form can be sent once that very text is typed.
const COMMANDS = "command" in HTMLButtonElement.prototype;

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-opens], [data-closes]");
  if (!button || (COMMANDS && button.hasAttribute("command"))) return;
  if ("closes" in button.dataset) return button.closest("dialog").close();
  if (button.matches("a:not([hx-get])")) event.preventDefault();
  document.getElementById(button.dataset.opens).showModal();
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
