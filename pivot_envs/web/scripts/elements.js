// What can be used in a page, and the words for it: role, name, value, state, place.
(() => {
  const pivot = window.__pivot;
  if (pivot.elements) return;
  const LONGEST_NAME = 100;
  const LONGEST_VALUE = 200;
  const MOST_OPTIONS = 50;
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

  pivot.elements = { clean, describe, geometry, handleOf, isGroup, isUsable, roleOf, LONGEST_NAME };
})();
