// Acting on the page with synthetic events (`input="js"`). Every action returns nothing, or throws
// a Refusal whose message tells the agent what was wrong.
(() => {
  const pivot = window.__pivot;
  if (pivot.act) return;

  class Refusal extends Error {}
  pivot.Refusal = Refusal;

  const find = (ref) => {
    const element = pivot.refs[ref - 1];
    if (!element) {
      const known = pivot.refs.length ? `1 to ${pivot.refs.length}` : 'none';
      throw new Refusal(`there is no [${ref}]; the refs on this page are ${known}`);
    }
    if (!element.isConnected) throw new Refusal(`[${ref}] is no longer on the page`);
    return element;
  };

  const firstBox = (element) => {
    const boxes = element.getClientRects();
    return boxes.length ? boxes[0] : element.getBoundingClientRect();
  };

  // Returns the point of an action, in the viewport, and the element that lies there.
  const locate = (ref, x, y) => {
    const element = find(ref);
    if (element.disabled) throw new Refusal(`[${ref}] is disabled`);
    let box = firstBox(element);
    if (box.bottom > innerHeight || box.top < 0 || box.right > innerWidth || box.left < 0) {
      element.scrollIntoView({ block: 'nearest', inline: 'nearest' });
      box = firstBox(element);
    }
    const place = { x: box.x + (x ?? box.width / 2), y: box.y + (y ?? box.height / 2) };
    const document = element.ownerDocument;
    const hit = element.getRootNode().elementFromPoint?.(place.x, place.y);
    if (!hit || hit === element || hit.contains(element)) return { ...place, element };
    if (element.contains(hit)) return { ...place, element: hit };
    if (x !== undefined || y !== undefined || hit.closest('label')?.control === element)
      return { ...place, element: x === undefined && y === undefined ? element : hit };
    if (element instanceof SVGElement && hit instanceof SVGElement) return { ...place, element };
    const inside = document.elementsFromPoint(place.x, place.y).find((each) => element.contains(each));
    if (!inside) return { ...place, element };
    const tag = hit.tagName.toLowerCase() + (hit.id ? '#' + hit.id : '');
    throw new Refusal(`[${ref}] is covered by ${tag}`);
  };
  pivot.find = find;
  pivot.locate = locate;

  let hovered = null;
  let buttons = 0;
  const mouse = (element, type, place, more = {}) => {
    const init = {
      bubbles: !/(enter|leave)$/.test(type), cancelable: true, composed: true, view: window,
      clientX: place.x, clientY: place.y, screenX: place.x, screenY: place.y, buttons,
      detail: /^(click|mousedown|mouseup)$/.test(type) ? 1 : 0, ...more,
    };
    if (type.startsWith('pointer'))
      Object.assign(init, { pointerId: 1, pointerType: 'mouse', isPrimary: true });
    const Type = type.startsWith('pointer') ? PointerEvent : MouseEvent;
    return element.dispatchEvent(new Type(type, init));
  };

  const ancestors = (element) => {
    const found = [];
    for (; element; element = element.parentElement) found.push(element);
    return found;
  };

  const moveTo = (place) => {
    const { element } = place;
    if (hovered !== element) {
      const old = hovered && hovered.isConnected ? hovered : null;
      const before = ancestors(old);
      const after = ancestors(element);
      if (old) {
        mouse(old, 'mouseout', place, { relatedTarget: element });
        for (const each of before)
          if (!after.includes(each)) mouse(each, 'mouseleave', place, { relatedTarget: element });
      }
      mouse(element, 'pointerover', place);
      mouse(element, 'mouseover', place, { relatedTarget: old });
      for (const each of after.reverse())
        if (!before.includes(each)) mouse(each, 'mouseenter', place, { relatedTarget: old });
      hovered = element;
    }
    mouse(element, 'pointermove', place);
    mouse(element, 'mousemove', place);
  };

  const isEditor = (element) =>
    element.isContentEditable && !element.parentElement?.isContentEditable;

  const focusable = (element) =>
    ancestors(element).find((each) => (each.tabIndex >= 0 || isEditor(each)) && !each.disabled);

  const down = (place) => {
    buttons = 1;
    mouse(place.element, 'pointerdown', place);
    const goesOn = mouse(place.element, 'mousedown', place);
    if (!goesOn) return false;
    const target = focusable(place.element);
    if (target) target.focus({ preventScroll: true });
    else document.activeElement?.blur?.();
    return true;
  };

  const up = (place) => {
    buttons = 0;
    mouse(place.element, 'pointerup', place);
    mouse(place.element, 'mouseup', place);
  };

  // Opens in this page what asks for a window of its own.
  const keepHere = (element) => {
    const link = element.closest?.('a[target], area[target]') || element.form;
    if (link?.target && link.target !== '_self') link.target = '_self';
  };

  const checkClick = ({ element }) => {
    if (element.type === 'file') throw new Refusal('files cannot be uploaded here');
    keepHere(element);
  };

  const click = ({ ref, x, y }) => {
    const place = locate(ref, x, y);
    checkClick(place);
    moveTo(place);
    down(place);
    up(place);
    const init = { x: place.x, y: place.y };
    // Only click() itself does what a click does by default: toggle, submit, follow.
    if (x === undefined && y === undefined && place.element.click && !(place.element instanceof SVGElement))
      withPlace(init, () => place.element.click());
    else mouse(place.element, 'click', place);
  };

  // element.click() carries no coordinates; handlers that read them get those of the centre.
  const withPlace = (place, run) => {
    const add = (event) => {
      for (const [name, value] of [['clientX', place.x], ['clientY', place.y],
        ['pageX', place.x + scrollX], ['pageY', place.y + scrollY]])
        Object.defineProperty(event, name, { value });
    };
    window.addEventListener('click', add, { capture: true, once: true });
    try {
      run();
    } finally {
      window.removeEventListener('click', add, { capture: true });
    }
  };

  const valueSetter = (element) => {
    const type = element.tagName === 'TEXTAREA' ? HTMLTextAreaElement : HTMLInputElement;
    return Object.getOwnPropertyDescriptor(type.prototype, 'value').set;
  };

  const PICKED = /^(date|time|month|week|datetime-local|color|range)$/;
  const NOT_TYPED = /^(checkbox|radio|button|submit|reset|image|file)$/;
  const LONGEST_TYPED = 200;

  const emit = (element, type, init = {}) =>
    element.dispatchEvent(new Event(type, { bubbles: true, ...init }));

  const insert = (element, text) => {
    const before = new InputEvent('beforeinput', {
      bubbles: true, cancelable: true, inputType: 'insertText', data: text,
    });
    if (!element.dispatchEvent(before)) return;
    if (element.isContentEditable) {
      document.execCommand('insertText', false, text);
      return;
    }
    const canSelect = element.selectionStart !== null;
    const start = canSelect ? element.selectionStart : element.value.length;
    const end = canSelect ? element.selectionEnd : element.value.length;
    const value = element.value.slice(0, start) + text + element.value.slice(end);
    if (element.maxLength >= 0 && value.length > element.maxLength) return;
    valueSetter(element).call(element, value);
    if (canSelect) element.setSelectionRange(start + text.length, start + text.length);
    element.dispatchEvent(
      new InputEvent('input', { bubbles: true, inputType: 'insertText', data: text }),
    );
  };
  pivot.insert = insert;

  const checkField = (ref) => {
    const element = find(ref);
    const isField = /^(INPUT|TEXTAREA)$/.test(element.tagName) && !NOT_TYPED.test(element.type);
    if (element.tagName === 'SELECT') throw new Refusal(`[${ref}] is a list of options: use select`);
    if (element.type === 'file') throw new Refusal('files cannot be uploaded here');
    if (!isField && !element.isContentEditable)
      throw new Refusal(`[${ref}] is no field that text can be written into`);
    if (element.disabled || element.readOnly)
      throw new Refusal(`[${ref}] is ${element.disabled ? 'disabled' : 'readonly'}`);
    return element;
  };
  const isPicked = (ref) => PICKED.test(find(ref).type);

  const fill = ({ ref, text }) => {
    const element = checkField(ref);
    const place = locate(ref);
    moveTo(place);
    down(place);
    up(place);
    element.focus({ preventScroll: true });
    if (PICKED.test(element.type)) {
      valueSetter(element).call(element, text);
      if (text && element.value === '')
        throw new Refusal(`[${ref}] of type ${element.type} does not take ${JSON.stringify(text)}`);
      emit(element, 'input');
    } else {
      if (element.isContentEditable) getSelection().selectAllChildren(element);
      else element.select();
      if (element.value || element.isContentEditable) pivot.erase(element);
      if (text.length > LONGEST_TYPED) insert(element, text);
      else for (const letter of text) pivot.key(letter, { fills: true });
    }
    if (!element.isContentEditable) emit(element, 'change');
  };

  const select = ({ ref, option }) => {
    const element = find(ref);
    if (element.tagName !== 'SELECT') throw new Refusal(`[${ref}] is no list of options`);
    if (element.disabled) throw new Refusal(`[${ref}] is disabled`);
    const clean = (text) => text.replace(/\s+/g, ' ').trim();
    const wanted = clean(option);
    const options = [...element.options];
    const found =
      options.find((each) => clean(each.label) === wanted) ||
      options.find((each) => each.value === option);
    if (!found) throw new Refusal(`[${ref}] has no option ${JSON.stringify(option)}`);
    if (found.disabled) throw new Refusal(`the option ${JSON.stringify(option)} is disabled`);
    element.focus({ preventScroll: true });
    if (element.multiple) found.selected = !found.selected;
    else element.value === found.value && found.selected ? 0 : (found.selected = true);
    emit(element, 'input');
    emit(element, 'change');
    if (element.multiple || element.size > 1) found.click();
  };

  const scrollerOf = (element) => {
    for (; element && element !== document.body; element = element.parentElement) {
      const { overflowY } = getComputedStyle(element);
      if (/(auto|scroll)/.test(overflowY) && element.scrollHeight > element.clientHeight + 1)
        return element;
      if (element.tagName === 'TEXTAREA' && element.scrollHeight > element.clientHeight) return element;
    }
    return document.scrollingElement || document.documentElement;
  };

  const scroll = ({ ref, dy }) => {
    const scroller = scrollerOf(ref === undefined ? null : find(ref));
    const before = scroller.scrollTop;
    scroller.scrollTop += dy;
    if (scroller.scrollTop === before) {
      pivot.note(dy ? 'nothing scrolled: this is the end' : 'nothing scrolled: dy is 0');
      return;
    }
    const isPage = scroller === document.scrollingElement;
    (isPage ? document : scroller).dispatchEvent(new Event('scroll', { bubbles: isPage }));
  };

  Object.assign(pivot, { mouse, moveTo, down, up, emit, checkClick, checkField, isPicked });
  pivot.act = { click, fill, select, scroll };
})();
