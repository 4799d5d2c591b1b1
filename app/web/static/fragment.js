// form[data-fragment]: shows itself when something stands behind the # of the address, which goes into the input of
// that name, to be sent by POST; the address forgets it, and so no history and no log has it. A human sends it: a
// link alone must sign nobody in, or whoever plants one decides whose session it is.
const form = document.querySelector("form[data-fragment]");

function take() {
  const secret = location.hash.slice(1);
  if (!secret) return;
  history.replaceState(null, "", location.pathname + location.search);
  form.elements[form.dataset.fragment].value = secret;
  form.hidden = false;
  form.querySelector("button").focus();
}

if (form) {
  take();
  addEventListener("hashchange", take);
}
