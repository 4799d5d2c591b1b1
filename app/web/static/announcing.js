// Says to a screen reader what a sighted person sees happen.
export function announce(text) {
  const place = document.getElementById("announcement");
  if (place) place.textContent = text;
}
