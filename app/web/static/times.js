// time[data-relative]: how long ago, the moment itself staying in the title.
// time[data-countdown]: what is left until then; afterwards what [data-reached] says.
const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const UNITS = [["year", 365 * DAY], ["month", 30 * DAY], ["day", DAY], ["hour", HOUR], ["minute", MINUTE]];
const words = new Intl.RelativeTimeFormat("en", { numeric: "always" });

export function tell(root) {
  for (const time of root.querySelectorAll("time[data-relative]")) time.textContent = relative(secondsTo(time));
  countDown(root);
}

function countDown(root) {
  for (const time of root.querySelectorAll("time[data-countdown]")) {
    const seconds = Math.ceil(secondsTo(time));
    time.textContent = seconds > 0 ? `in ${left(seconds)}` : time.dataset.reached;
    time.classList.toggle("reached", seconds <= 0);
  }
}

function secondsTo(time) {
  return (Date.parse(time.dateTime) - Date.now()) / 1000;
}

function relative(seconds) {
  const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? [];
  if (unit) return words.format(Math.trunc(seconds / length), unit);
  return seconds > 0 ? "in a moment" : "just now";
}

function left(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  if (seconds >= DAY) return `${Math.floor(seconds / DAY)} d ${Math.floor((seconds % DAY) / HOUR)} h`;
  const [hours, minutes] = [Math.floor(seconds / HOUR), Math.floor((seconds % HOUR) / MINUTE)];
  return hours ? `${hours} h ${two(minutes)} min` : `${minutes}:${two(seconds % MINUTE)} min`;
}

setInterval(() => tell(document), 30_000);
setInterval(() => countDown(document), 1000);
