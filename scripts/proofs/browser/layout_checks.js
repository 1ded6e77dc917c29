// Evaluates to the layout problems of the page: a list of sentences. Looks at text as it is shown, not at the source.
(() => {
  const problems = [];
  const style = (element) => getComputedStyle(element);
  const name = (text) => `“${text.trim().replace(/\s+/g, " ").slice(0, 60)}”`;
  const isHiddenVisually = (element) => element.closest(".visually-hidden:not(:focus)");
  const isFloating = (element) => {
    for (let node = element; node; node = node.parentElement) if (["fixed", "sticky"].includes(style(node).position)) return true;
    return false;
  };
  const scope = document.querySelector("dialog[open]") ?? document.body;

  if (document.documentElement.scrollWidth > window.innerWidth) {
    problems.push(`The page is ${document.documentElement.scrollWidth} pixels wide in a window of ${window.innerWidth}.`);
  }

  // Cut a box by the scrolling boxes around it, so that only what can be seen counts.
  const clip = (box, element) => {
    let { left, top, right, bottom } = box;
    for (let node = element; node && node !== document.documentElement; node = node.parentElement) {
      if (style(node).overflowX === "visible" && style(node).overflowY === "visible") continue;
      if (node === document.body) continue;
      const outer = node.getBoundingClientRect();
      left = Math.max(left, outer.left); top = Math.max(top, outer.top);
      right = Math.min(right, outer.right); bottom = Math.min(bottom, outer.bottom);
    }
    return right - left > 1 && bottom - top > 1 ? { left, top, right, bottom } : null;
  };

  const boxes = [];
  const walker = document.createTreeWalker(scope, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (!node.data.trim() || !parent.checkVisibility({ visibilityProperty: true }) || isHiddenVisually(parent)) continue;
    if (parent.closest("option, script, style, noscript, svg")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const rect of range.getClientRects()) {
      if (rect.width < 2 || rect.height < 2) continue;
      const box = clip(rect, parent);
      const isScrolled = parent.closest(".scroll, pre, .pdf-box, .source-scroll");
      if (rect.right > window.innerWidth + 1 && !isScrolled) problems.push(`${name(node.data)} leaves the window at the right.`);
      if (rect.left < -1 && !isScrolled) problems.push(`${name(node.data)} leaves the window at the left.`);
      if (box) boxes.push({ ...box, node, text: node.data, isFloating: isFloating(parent) });
    }
  }

  // Text over text: lines of one paragraph touch, so some pixels are allowed.
  for (let i = 0; i < boxes.length; i += 1) {
    for (let j = i + 1; j < boxes.length; j += 1) {
      const [first, second] = [boxes[i], boxes[j]];
      if (first.node === second.node || first.isFloating !== second.isFloating) continue;
      const width = Math.min(first.right, second.right) - Math.max(first.left, second.left);
      const height = Math.min(first.bottom, second.bottom) - Math.max(first.top, second.top);
      if (width > 3 && height > 6) problems.push(`${name(first.text)} overlaps ${name(second.text)}.`);
    }
  }

  for (const element of scope.querySelectorAll("*")) {
    if (!element.checkVisibility({ visibilityProperty: true }) || isHiddenVisually(element) || element.closest("svg")) continue;
    const hides = (axis) => ["hidden", "clip"].includes(style(element)[axis]);
    const text = element.innerText ?? "";
    if (!text.trim()) continue;
    if (hides("overflowX") && element.scrollWidth > element.clientWidth + 1) problems.push(`${name(text)} is clipped at the right.`);
    if (hides("overflowY") && element.scrollHeight > element.clientHeight + 1) problems.push(`${name(text)} is clipped at the bottom.`);
  }

  // A placeholder and the label of a choice do not count as text nodes.
  const pen = document.createElement("canvas").getContext("2d");
  for (const field of scope.querySelectorAll("input[placeholder], textarea[placeholder], select")) {
    if (!field.checkVisibility() || field.value && field.placeholder) continue;
    const { font, paddingLeft, paddingRight } = style(field);
    pen.font = font;
    const text = field.placeholder ?? field.selectedOptions[0]?.text ?? "";
    const room = field.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight);
    if (field.tagName !== "TEXTAREA" && pen.measureText(text).width > room + 1) problems.push(`${name(text)} is clipped in its field.`);
  }
  return [...new Set(problems)];
})()
