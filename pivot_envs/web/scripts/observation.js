// The page as indexed text: one line per block, `[ref] role "name" state` for what can be used.
(() => {
  const pivot = window.__pivot;
  if (pivot.observe) return;
  const MOST_NODES = 20000;
  const LONGEST_NAME = 100;
  const LONGEST_VALUE = 200;
  const LONGEST_TEXT = 2000;
  const MOST_OPTIONS = 50;
  const SKIPPED = new Set('SCRIPT STYLE NOSCRIPT TEMPLATE HEAD META LINK TITLE OPTION'.split(' '));
  const SHAPES = new Set('circle rect ellipse line polyline polygon path text'.split(' '));
  const ROLES = {
    A: 'link', BUTTON: 'button', TEXTAREA: 'textbox', SUMMARY: 'button', IMG: 'image',
    CANVAS: 'canvas', LABEL: 'label', VIDEO: 'video', AUDIO: 'audio', svg: 'drawing',
  };
  const INPUT_ROLES = {
    checkbox: 'checkbox', radio: 'radio', range: 'slider', number: 'spinbutton', submit: 'button',
    button: 'button', reset: 'button', image: 'button', file: 'file', color: 'color',
    search: 'searchbox',
  };
  const WIDGETS = new Set(
    ('button link checkbox radio switch tab menuitem menuitemcheckbox menuitemradio option ' +
      'textbox searchbox combobox slider spinbutton treeitem gridcell').split(' '),
  );
  // Classes by which pages show a state that they do not declare.
  const STATE_CLASSES = ['selected', 'active', 'checked', 'current'];
  const MOST_CLASSES = 3;
  const STATES = ['checked', 'selected', 'expanded', 'pressed'];

  const clean = (text, longest) => {
    text = text.replace(/\s+/g, ' ').trim();
    return text.length > longest ? text.slice(0, longest - 1) + '…' : text;
  };

  // Keeps both ends of what a field holds.
  const cleanValue = (text) => {
    text = text.replace(/\s+/g, ' ').trim();
    const half = LONGEST_VALUE / 2;
    return text.length > LONGEST_VALUE ? `${text.slice(0, half)} … ${text.slice(-half)}` : text;
  };

  const roleOf = (element) => {
    const given = element.getAttribute('role');
    if (given && given !== 'presentation' && given !== 'none') return given;
    const tag = element.tagName;
    if (tag === 'INPUT') return INPUT_ROLES[element.type] || 'textbox';
    if (tag === 'SELECT') return element.multiple ? 'listbox' : 'combobox';
    return ROLES[tag] || (element.isContentEditable ? 'textbox' : tag.toLowerCase());
  };

  // jQuery UI's marks of what can be dragged or chosen; its handlers are those of the container.
  const JQUERY_UI = /\bui-(sortable-handle|draggable-handle|resizable-(e|s|se)|menu-item-wrapper)\b/;

  const isUsable = (element) => {
    switch (element.tagName) {
      case 'INPUT': return element.type !== 'hidden';
      case 'BUTTON': case 'SELECT': case 'TEXTAREA': case 'SUMMARY': return true;
      case 'A': if (element.hasAttribute('href')) return true; break;
      case 'LABEL': if (element.control && !element.control.checkVisibility()) return true; break;
      case 'BODY': case 'HTML': return false;
    }
    if (WIDGETS.has(element.getAttribute('role'))) return true;
    if (element.isContentEditable && !element.parentElement?.isContentEditable) return true;
    if (element.draggable && element.tagName !== 'IMG' && element.tagName !== 'A') return true;
    if (JQUERY_UI.test(element.getAttribute('class'))) return true;
    return pivot.hasHandler(element) || element.tabIndex >= 0;
  };

  // A label says its own words, not the options or the text of the field that it holds.
  const labelText = (label) => {
    if (!label.querySelector('select, textarea')) return label.textContent;
    const copy = label.cloneNode(true);
    for (const field of copy.querySelectorAll('select, textarea')) field.remove();
    return copy.textContent;
  };

  // Tells whether an element holds more than its own short name.
  const isGroup = (element) => {
    if (/^(A|BUTTON|SUMMARY|LABEL|INPUT|SELECT|TEXTAREA|text)$/.test(element.tagName)) return false;
    if (!element.childElementCount || element.isContentEditable) return false;
    if (element.hasAttribute('aria-label')) return false;
    const text = element.textContent.trim();
    return !text || text.length > LONGEST_NAME || [...element.querySelectorAll('*')].some(isUsable);
  };

  const nameOf = (element) => {
    const tag = element.tagName;
    const labelledBy = element.getAttribute('aria-labelledby');
    const said =
      element.getAttribute('aria-label') ||
      (labelledBy &&
        labelledBy.split(/\s+/).map((id) => document.getElementById(id)?.textContent).join(' '));
    if (said) return clean(said, LONGEST_NAME);
    if (tag === 'INPUT' && /^(submit|button|reset)$/.test(element.type) && element.value)
      return clean(element.value, LONGEST_NAME);
    if (element.labels && element.labels.length)
      return clean([...element.labels].map(labelText).join(' '), LONGEST_NAME);
    const isField = /^(INPUT|SELECT|TEXTAREA)$/.test(tag) || element.isContentEditable;
    const text = isField || tag === 'svg' ? '' : clean(element.textContent, LONGEST_NAME);
    return (
      text ||
      clean(
        element.getAttribute('placeholder') || element.getAttribute('alt') || element.title ||
          element.querySelector?.('img[alt]')?.alt || '',
        LONGEST_NAME,
      )
    );
  };

  const handleOf = (element) => {
    const classes = [...element.classList];
    const own = classes.filter((name) => !name.startsWith('ui-')).slice(0, MOST_CLASSES);
    const shown = own.length || element.id ? own : classes.slice(0, 2);
    return (element.id ? '#' + element.id : '') + shown.map((name) => '.' + name).join('');
  };

  const hex = (colour) => {
    const [red, green, blue, alpha] = (colour.match(/[\d.]+/g) || []).map(Number);
    if (alpha === 0 || blue === undefined) return '';
    return '#' + [red, green, blue].map((part) => part.toString(16).padStart(2, '0')).join('');
  };

  const geometry = (element) => {
    const box = element.getBoundingClientRect();
    const outer = (element.ownerSVGElement || element).getBoundingClientRect();
    const x = Math.round(box.x + box.width / 2 - outer.x);
    const y = Math.round(box.y + box.height / 2 - outer.y);
    const fill = element.getAttribute('fill') || hex(getComputedStyle(element).fill);
    const size = `${Math.round(box.width)}x${Math.round(box.height)}`;
    return `${fill ? `fill=${fill} ` : ''}at ${x},${y} size ${size}`;
  };

  const valueOf = (element) => {
    const tag = element.tagName;
    if (tag === 'SELECT') {
      const chosen = [...element.selectedOptions].map((option) => option.label);
      const all = [...element.options].map((option) => option.label);
      const rest = all.length > MOST_OPTIONS ? ` | … ${all.length - MOST_OPTIONS} more` : '';
      const options = all.slice(0, MOST_OPTIONS).join(' | ') + rest;
      return `value=${JSON.stringify(chosen.join(', '))} options: ${options}`;
    }
    if (tag === 'TEXTAREA' || (tag === 'INPUT' && !/^(submit|button|reset|image|checkbox|radio|file)$/
      .test(element.type)))
      return element.value ? `value=${JSON.stringify(cleanValue(element.value))}` : '';
    if (element.isContentEditable)
      return `value=${JSON.stringify(cleanValue(element.textContent))}`;
    return '';
  };

  const describe = (element) => {
    const words = [];
    const push = (word) => word && words.push(word);
    const name = nameOf(element);
    const value = valueOf(element);
    push(name ? JSON.stringify(name) : handleOf(element));
    push(value);
    if (/^(checkbox|radio)$/.test(element.type)) push(element.checked ? 'checked' : '');
    else
      for (const state of STATES)
        if (element.getAttribute('aria-' + state) === 'true') push(state);
    if (name) for (const state of STATE_CLASSES) if (element.classList.contains(state)) push(state);
    if (element.tagName === 'TEXTAREA') push('multiline');
    if (element.tagName === 'SUMMARY' && element.parentElement?.open) push('expanded');
    if (element.type === 'range') push(`min=${element.min || 0} max=${element.max || 100}`);
    if (element.disabled || element.getAttribute('aria-disabled') === 'true') push('disabled');
    if (element.readOnly && 'value' in element) push('readonly');
    if (element === element.ownerDocument.activeElement) push('focused');
    if (element instanceof SVGElement) push(geometry(element));
    else if (!name && !value && element.tagName !== 'INPUT') {
      const colour = hex(getComputedStyle(element).backgroundColor);
      push(colour && `color=${colour}`);
    }
    return words.join(' ');
  };

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
