// The page as indexed text: one line per block, `[ref] role "name" state` for what can be used.
(() => {
  const pivot = window.__pivot;
  if (pivot.observe) return;
  const { clean, describe, geometry, handleOf, isGroup, isUsable, roleOf, LONGEST_NAME } = pivot.elements;
  const MOST_NODES = 20000;
  const LONGEST_TEXT = 2000;
  const SKIPPED = new Set('SCRIPT STYLE NOSCRIPT TEMPLATE HEAD META LINK TITLE OPTION'.split(' '));
  const SHAPES = new Set('circle rect ellipse line polyline polygon path text'.split(' '));

  class Walk {
    constructor() {
      this.lines = [];
      this.refs = [];
      this.parts = [];
      this.origin = null;
      this.nodes = 0;
    }

    put(text, element) {
      if (!text) return;
      if (!this.parts.length) this.origin = element;
      this.parts.push(text);
    }

    flush() {
      while (this.parts[this.parts.length - 1] === '|') this.parts.pop();
      if (this.parts.length) this.lines.push({ text: this.parts.join(' '), element: this.origin });
      this.parts = [];
    }

    children(node, silent) {
      for (let child = node.firstChild; child; child = child.nextSibling) this.visit(child, silent);
    }

    visit(node, silent) {
      if (++this.nodes > MOST_NODES) return;
      if (node.nodeType === Node.TEXT_NODE) {
        if (!silent && node.parentElement?.checkVisibility({ visibilityProperty: true }))
          this.put(clean(node.data, LONGEST_TEXT), node.parentElement);
      } else if (node.nodeType === Node.ELEMENT_NODE) this.element(node, silent);
    }

    element(element, silent) {
      if (SKIPPED.has(element.tagName) || !element.checkVisibility()) return;
      if (element.getAttribute('aria-hidden') === 'true') return;
      const display = getComputedStyle(element).display;
      const isInline = display.startsWith('inline') || element instanceof SVGElement;
      if (display === 'table-cell') {
        if (this.parts.length) this.put('|', element);
      } else if (!isInline && !silent) this.flush();
      this.content(element, silent);
      if (element.tagName === 'BR' || (!isInline && display !== 'table-cell' && !silent))
        this.flush();
    }

    content(element, silent) {
      if (/^H[1-6]$/.test(element.tagName)) this.put('#'.repeat(element.tagName[1]), element);
      if (element.tagName === 'LI') this.put('-', element);
      if (isUsable(element) && element.checkVisibility({ visibilityProperty: true })) {
        silent = this.usable(element);
      } else if (element instanceof SVGElement && SHAPES.has(element.tagName)) {
        const text = element.tagName === 'text' ? `"${clean(element.textContent, LONGEST_NAME)}" ` : '';
        this.put(`${element.tagName} ${text}${geometry(element)}`, element);
        this.flush();
        return;
      } else if (element.tagName === 'IMG') {
        if (element.alt && !silent) this.put(`image ${JSON.stringify(element.alt)}`, element);
      } else if (element.tagName === 'LABEL' && element.control) silent = true;
      if (element.tagName === 'IFRAME') return this.frame(element);
      if (element.shadowRoot) this.children(element.shadowRoot, silent);
      this.children(element, silent);
    }

    // Writes a usable element and tells whether its text has been said with it.
    usable(element) {
      this.refs.push(element);
      const ref = this.refs.length;
      const role = roleOf(element);
      if (isGroup(element)) {
        const where = element instanceof SVGElement ? geometry(element) : '';
        const words = [`[${ref}]`, role, handleOf(element), where];
        this.put(words.filter(Boolean).join(' '), element);
        if (where) this.flush();
        return false;
      }
      this.put(`[${ref}] ${role} ${describe(element)}`.trim(), element);
      return true;
    }

    frame(element) {
      const inner = element.contentDocument;
      this.flush();
      if (inner?.body) this.children(inner.body, false);
      else this.put('frame from elsewhere, not shown', element);
      this.flush();
    }
  }

  // Finds the same elements in the same order, and says nothing of them.
  class Numbering extends Walk {
    put() {}

    flush() {}

    visit(node) {
      if (++this.nodes <= MOST_NODES && node.nodeType === Node.ELEMENT_NODE) this.element(node);
    }

    element(element) {
      if (SKIPPED.has(element.tagName) || !element.checkVisibility()) return;
      if (element.getAttribute('aria-hidden') !== 'true') this.content(element);
    }

    content(element) {
      if (isUsable(element) && element.checkVisibility({ visibilityProperty: true }))
        this.refs.push(element);
      else if (element instanceof SVGElement && SHAPES.has(element.tagName)) return;
      if (element.tagName === 'IFRAME') return this.frame(element);
      if (element.shadowRoot) this.children(element.shadowRoot);
      this.children(element);
    }
  }

  // Returns the lines that fit, beginning with the first one that is not scrolled out of sight.
  const clip = (lines, longest) => {
    let total = 0;
    for (const line of lines) total += line.text.length + 1;
    if (total <= longest) return lines.map((line) => line.text);
    let first = lines.findIndex((line) => line.element.getBoundingClientRect().bottom > 0);
    if (first < 0) first = lines.length - 1;
    const shown = [];
    let length = 0;
    let index = first;
    for (; index < lines.length; index++) {
      const { text } = lines[index];
      if (length + text.length > longest && shown.length) break;
      shown.push(text.slice(0, longest));
      length += text.length + 1;
    }
    if (first) shown.unshift(`[${first} lines above: scroll up to see them]`);
    if (index < lines.length) {
      shown.push(`[${lines.length - index} lines below: scroll down to see them]`);
    }
    return shown;
  };

  pivot.refs = [];
  pivot.number = () => {
    const walk = new Numbering();
    if (document.body) walk.children(document.body);
    pivot.refs = walk.refs;
  };
  pivot.observe = (longest) => {
    const walk = new Walk();
    if (document.body) walk.children(document.body, false);
    walk.flush();
    pivot.refs = walk.refs;
    const shown = clip(walk.lines, longest);
    if (walk.nodes > MOST_NODES) shown.push('[the page has more elements than can be shown]');
    return shown.join('\n');
  };
})();
