// Elements out of names, attributes and texts: what comes from data only ever becomes a text node.

const SVG = "http://www.w3.org/2000/svg";

export function h(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function replace(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
}

// One child per item: what stays is updated where it is, so focus, scrolling and open details stay too.
export function keyed(container, items, keyOf, create) {
  const known = (container.keyedChildren ??= new Map());
  const wanted = new Set();
  let position = container.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    if (wanted.has(key)) continue;
    wanted.add(key);
    let child = known.get(key);
    if (child === undefined) {
      child = create(item);
      known.set(key, child);
    }
    child.update(item);
    if (child.root === position) position = position.nextSibling;
    else container.insertBefore(child.root, position);
  }
  for (const [key, child] of known) {
    if (!wanted.has(key)) {
      child.root.remove();
      known.delete(key);
    }
  }
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
