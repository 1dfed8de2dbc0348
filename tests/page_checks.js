// What is wrong with a page that stands in a browser, as sentences. Nothing of it is part of the page.
() => {
  const found = [];
  const named = (node) => `${node.tagName.toLowerCase()}${node.id ? "#" + node.id : ""} "${(node.textContent || "").replace(/\s+/g, " ").trim().slice(0, 30)}"`;
  const shown = (node) => { const box = node.getBoundingClientRect(); return box.width > 1 && box.height > 1 && getComputedStyle(node).visibility !== "hidden"; };

  // colours: as numbers, one painted over the other
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (text) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1); const c = canvas.getImageData(0, 0, 1, 1).data; return [c[0], c[1], c[2], c[3] / 255]; };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => { const v = c[i] / 255; return sum + weight * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); }, 0);
  const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  const behind = (node) => { const stack = []; for (let up = node; up; up = up.parentElement) stack.push(rgba(getComputedStyle(up).backgroundColor));
    return stack.reverse().reduce((below, top) => over(top, below), matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0, 1] : [255, 255, 255, 1]); };
  // shapes that were painted in a chart before a text, and lie below its middle
  const painted = (text, paper) => { const box = text.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
    for (const shape of text.ownerSVGElement.querySelectorAll("path")) {
      if (!(shape.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING)) continue;
      const style = getComputedStyle(shape), at = new DOMPoint(x, y).matrixTransform(shape.getScreenCTM().inverse());
      if (style.fill === "none" || !shape.getBBox().width || !shape.isPointInFill(at)) continue;
      const fill = rgba(style.fill); fill[3] *= style.fillOpacity * style.opacity; paper = over(fill, paper);
    } return paper; };

  let texts = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !shown(node)) continue;
    texts += 1;
    const style = getComputedStyle(node), chart = node.namespaceURI.endsWith("svg");
    const paper = chart ? painted(node, behind(node)) : behind(node), ink = over(rgba(chart ? style.fill : style.color), paper);
    const ratio = contrast(ink, paper), box = node.getBoundingClientRect();
    if (ratio < 4.5) found.push(`contrast ${ratio.toFixed(2)}: ${named(node)}`);
    if (chart && parseFloat(style.fontSize) * Math.hypot(node.getScreenCTM().a, node.getScreenCTM().b) < 8) found.push(`small text: ${named(node)}`);
    if (chart) { const all = node.ownerSVGElement.getBoundingClientRect();
      if (box.left < all.left - 1 || box.right > all.right + 1 || box.top < all.top - 1 || box.bottom > all.bottom + 1) found.push(`cut off: ${named(node)}`); }
  }
  if (texts < 50) found.push(`only ${texts} texts were looked at`);

  for (const node of document.body.querySelectorAll("*")) {
    const box = node.getBoundingClientRect();
    if (!shown(node) || node.closest(".unseen") || node.closest("thead")?.matches(".cards thead") && innerWidth < 992) continue;
    if (node.closest("svg") && node.tagName !== "svg") continue;
    if (box.right > innerWidth + 0.5 || box.left < -0.5) found.push(`beyond the window: ${named(node)}`);
    if (node.clientWidth && node.scrollWidth > node.clientWidth + 1) found.push(`overflows by ${node.scrollWidth - node.clientWidth}: ${named(node)}`);
  }

  let level = 0;
  for (const node of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
    const here = Number(node.tagName[1]);
    if (here > level + 1) found.push(`heading of level ${here} after ${level}: ${named(node)}`);
    level = here;
  }
  if (document.querySelectorAll("h1").length !== 1) found.push("not one h1");
  for (const name of ["main", "header", "footer"]) if (document.querySelectorAll(`body > ${name}`).length !== 1) found.push(`not one ${name}`);
  if (!document.documentElement.lang || !document.title) found.push("no language or title");
  for (const node of document.querySelectorAll("img")) if (!node.alt || !node.naturalWidth) found.push(`picture without alternative, or broken: ${node.alt}`);
  for (const node of document.querySelectorAll("svg")) if (node.getAttribute("role") !== "img" || !node.getAttribute("aria-label")) found.push(`chart without label: ${named(node)}`);
  for (const node of document.querySelectorAll("table")) {
    if (!node.caption?.textContent.trim()) found.push(`table without caption: ${named(node)}`);
    const heads = [...node.querySelectorAll("thead th")].map((head) => head.textContent.trim());
    for (const head of node.querySelectorAll("th")) if (!head.scope) found.push(`heading without scope: ${named(head)}`);
    for (const row of node.querySelectorAll("tbody tr, tfoot tr")) {
      const labels = [...row.querySelectorAll("td")].map((one) => one.dataset.label);
      if (row.children.length !== heads.length || labels.some((label, i) => label !== heads[i + 1])) found.push(`row of other columns: ${named(row)}`);
    }
  }
  for (const node of document.querySelectorAll("section")) if (!document.getElementById(node.getAttribute("aria-labelledby"))) found.push(`section without name: ${named(node)}`);
  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  for (const id of new Set(ids)) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push(`id twice: ${id}`);
  for (const use of document.querySelectorAll("use")) if (!document.querySelector(use.getAttribute("href"))) found.push(`refers to nothing: ${use.getAttribute("href")}`);
  return found;
}
