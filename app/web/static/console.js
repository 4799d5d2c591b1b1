// What the pages do beyond forms and links. Clicks are heard on the document; the rest is prepared again in
// whatever htmx has brought.
import "./copying.js";
import "./dialogs.js";
import "./disclosure.js";
import "./trouble.js";
import { gate } from "./dialogs.js";
import { draw } from "./plots.js";
import { tell } from "./times.js";

function prepare() {
  tell(document);
  gate(document);
  draw(document);
}

prepare();
document.addEventListener("htmx:after:swap", prepare);
