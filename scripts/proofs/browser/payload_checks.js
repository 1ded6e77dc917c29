// Evaluates to what a payload has done to the page: a list of sentences.
(() => {
  const problems = window.__hit ? ["a script of a payload ran"] : [];
  const own = new Set(["http:", "https:"]);
  const add = (element, reason) => problems.push(`${reason}: ${element.outerHTML.slice(0, 200)}`);
  for (const element of document.querySelectorAll("*")) {
    const name = element.localName;
    if (["iframe", "object", "embed", "base", "audio", "video", "marquee", "math", "style", "template", "frame"].includes(name)) {
      add(element, "an element that the page never has");
    }
    if (name === "script" && element.src !== `${location.origin}/static/app.js`) add(element, "a script");
    if (name === "meta" && element.httpEquiv) add(element, "a meta element");
    if (name === "img" && !element.src.startsWith(`${location.origin}/v1/`)) add(element, "a foreign image");
    if (name === "link" && !element.href.startsWith(location.origin) && element.rel !== "icon") add(element, "a foreign link");
    if (name === "a" && element.href && !own.has(new URL(element.href).protocol)) add(element, "a link that is not http");
    if (name === "a" && element.href && new URL(element.href).origin !== location.origin) add(element, "a foreign link");
    for (const attribute of element.attributes) if (/^on/i.test(attribute.name)) add(element, "an event handler");
  }
  return problems;
})()
