// Keys and dragging with synthetic events: what the engine does by default for real ones is done
// here, because synthetic events have no default actions.
(() => {
  const pivot = window.__pivot;
  if (pivot.key) return;
  const CODES = {
    Enter: 13, Tab: 9, Escape: 27, Backspace: 8, Delete: 46, ' ': 32, ArrowLeft: 37, ArrowUp: 38,
    ArrowRight: 39, ArrowDown: 40, Home: 36, End: 35, PageUp: 33, PageDown: 34,
    Shift: 16, Control: 17, Alt: 18, Meta: 91,
  };
  // Signs have the key code of the key that they are on, on a keyboard for American English.
  const SIGNS = [
    [186, ';:'], [187, '=+'], [188, ',<'], [189, '-_'], [190, '.>'], [191, '/?'], [192, '`~'],
    [219, '[{'], [220, '\\|'], [221, ']}'], [222, '\'"'],
  ];
  const DIGIT_SIGNS = ')!@#$%^&*(';
  const NAMES = { Space: ' ', Esc: 'Escape', Del: 'Delete', Return: 'Enter', Ctrl: 'Control' };
  const MODIFIERS = { Control: 'ctrlKey', Shift: 'shiftKey', Alt: 'altKey', Meta: 'metaKey' };
  let clipboard = '';

  const isText = (element) =>
    element.tagName === 'TEXTAREA' ||
    (element.tagName === 'INPUT' &&
      !/^(checkbox|radio|button|submit|reset|image|file|range|color)$/.test(element.type));
  const isWritable = (element) =>
    (isText(element) && !element.readOnly && !element.disabled) || element.isContentEditable;

  const codeOf = (key) => {
    if (CODES[key]) return CODES[key];
    if (/^[a-z0-9]$/i.test(key)) return key.toUpperCase().charCodeAt(0);
    if (key.length !== 1) return 0;
    if (DIGIT_SIGNS.includes(key)) return 48 + DIGIT_SIGNS.indexOf(key);
    return SIGNS.find(([, signs]) => signs.includes(key))?.[0] || 0;
  };

  const send = (element, type, key, modifiers) => {
    const number = type === 'keypress' && key.length === 1 ? key.charCodeAt(0) : codeOf(key);
    const event = new KeyboardEvent(type, {
      key, bubbles: true, cancelable: true, composed: true, keyCode: number, which: number,
      charCode: type === 'keypress' ? number : 0, ...modifiers,
      code: /^[a-z]$/i.test(key) ? 'Key' + key.toUpperCase() : /^\d$/.test(key) ? 'Digit' + key : key,
    });
    return element.dispatchEvent(event);
  };

  const erase = (element, forward = false) => {
    if (element.isContentEditable) {
      document.execCommand(forward ? 'forwardDelete' : 'delete');
      return;
    }
    let start = element.selectionStart ?? 0;
    let end = element.selectionEnd ?? element.value.length;
    if (start === end) forward ? end++ : start--;
    if (start < 0 || end > element.value.length) return;
    const type = element.tagName === 'TEXTAREA' ? HTMLTextAreaElement : HTMLInputElement;
    const { set } = Object.getOwnPropertyDescriptor(type.prototype, 'value');
    set.call(element, element.value.slice(0, start) + element.value.slice(end));
    if (element.selectionStart !== null) element.setSelectionRange(start, start);
    element.dispatchEvent(
      new InputEvent('input', { bubbles: true, inputType: 'deleteContentBackward' }),
    );
  };

  const submit = (element) => {
    const { form } = element;
    if (!form) return;
    const button = [...form.elements].find((each) => each.type === 'submit' || each.type === 'image');
    if (button) button.disabled || button.click();
    else form.requestSubmit();
  };

  const enter = (element) => {
    if (element.tagName === 'TEXTAREA') pivot.insert(element, '\n');
    else if (element.isContentEditable) document.execCommand('insertParagraph');
    else if (element.tagName === 'INPUT' && !/^(button|reset|submit|image|file)$/.test(element.type)) {
      pivot.emit(element, 'change');
      submit(element);
    } else if (/^(A|BUTTON|INPUT|SUMMARY)$/.test(element.tagName)) element.click();
  };

  const space = (element) => {
    if (/^(checkbox|radio|button|submit|reset)$/.test(element.type) || element.tagName === 'SUMMARY')
      element.click();
  };

  const tab = (backward) => {
    const stops = [...document.querySelectorAll('a[href],button,input,select,textarea,[tabindex],[contenteditable],summary')]
      .filter((each) => each.tabIndex >= 0 && !each.disabled && each.checkVisibility());
    const index = stops.indexOf(document.activeElement) + (backward ? -1 : 1);
    const target = stops.at(index % (stops.length || 1));
    target?.focus();
    if (target && isText(target)) target.select();
  };

  const arrow = (element, key) => {
    const step = key === 'ArrowRight' || key === 'ArrowDown' ? 1 : -1;
    if (element.tagName === 'SELECT') {
      const index = element.selectedIndex + step;
      if (index < 0 || index >= element.options.length) return;
      element.selectedIndex = index;
      pivot.emit(element, 'input');
      pivot.emit(element, 'change');
    } else if (element.type === 'range' || element.type === 'number') {
      const isUp = key === 'ArrowUp' || key === 'ArrowRight';
      if (element.type === 'number' && !/Up|Down/.test(key)) return;
      const before = element.value;
      isUp ? element.stepUp() : element.stepDown();
      if (element.value === before) return;
      pivot.emit(element, 'input');
      pivot.emit(element, 'change');
    } else if (element.type === 'radio') {
      const group = [...document.getElementsByName(element.name)].filter((each) => !each.disabled);
      const target = group.at((group.indexOf(element) + step) % group.length);
      target?.focus();
      target?.click();
    } else if (isText(element) && element.selectionStart !== null) {
      const end = element.value.length;
      const at = { ArrowLeft: element.selectionStart - 1, ArrowRight: element.selectionEnd + 1, ArrowUp: 0, ArrowDown: end, Home: 0, End: end }[key];
      if (at !== undefined) element.setSelectionRange(Math.max(0, Math.min(at, end)), Math.max(0, Math.min(at, end)));
    }
  };

  const selectedText = (element) =>
    isText(element) && element.selectionStart !== null
      ? element.value.slice(element.selectionStart, element.selectionEnd)
      : String(getSelection());

  const shortcut = (element, key) => {
    if (key === 'a') {
      if (isText(element)) element.select();
      else document.execCommand('selectAll');
    } else if (key === 'c' || key === 'x') {
      clipboard = selectedText(element) || clipboard;
      const type = key === 'c' ? 'copy' : 'cut';
      element.dispatchEvent(new ClipboardEvent(type, { bubbles: true, cancelable: true }));
      if (key === 'x' && isWritable(element) && selectedText(element)) erase(element);
    } else if (key === 'v' && isWritable(element)) {
      const clipboardData = new DataTransfer();
      clipboardData.setData('text/plain', clipboard);
      const init = { bubbles: true, cancelable: true, clipboardData };
      if (element.dispatchEvent(new ClipboardEvent('paste', init))) pivot.insert(element, clipboard);
    }
  };

  const defaultAction = (element, key, { shiftKey, ctrlKey, metaKey }) => {
    if (ctrlKey || metaKey) return shortcut(element, key.toLowerCase());
    if (key === 'Tab') return tab(shiftKey);
    if (key === 'Enter') return enter(element);
    if (key === 'Backspace' || key === 'Delete')
      return isWritable(element) ? erase(element, key === 'Delete') : undefined;
    if (/^(Arrow|Home|End)/.test(key)) return arrow(element, key);
    if (key.length === 1 && isWritable(element)) return pivot.insert(element, key);
    if (key === ' ') space(element);
  };

  const key = (name, { modifiers = {}, fills = false } = {}) => {
    const element = document.activeElement || document.body;
    const character = name === '\n' && fills ? 'Enter' : name;
    let goesOn = send(element, 'keydown', character, modifiers);
    const types = character.length === 1 || character === 'Enter';
    if (goesOn && types && !modifiers.ctrlKey && !modifiers.metaKey)
      goesOn = send(element, 'keypress', character, modifiers);
    if (goesOn) {
      // A page may have moved the focus away while text was typed.
      if (fills) isWritable(element) && pivot.insert(element, name);
      else defaultAction(element, character, modifiers);
    }
    send(document.activeElement || document.body, 'keyup', character, modifiers);
  };

  // "Control+a" -> the key "a" and {ctrlKey: true}.
  const parse = (text) => {
    const parts = text === '+' ? ['+'] : text.split(/\+(?!$)/).map((part) => NAMES[part] || part);
    const name = parts.pop();
    const modifiers = {};
    for (const part of parts) {
      if (!MODIFIERS[part]) throw new pivot.Refusal(`unknown modifier ${JSON.stringify(part)}`);
      modifiers[MODIFIERS[part]] = true;
    }
    if ([...name].length !== 1 && !CODES[name] && !/^F([1-9]|1[0-2])$/.test(name))
      throw new pivot.Refusal(
        `unknown key ${JSON.stringify(name)}; use one character or a name such as Enter, Tab, ` +
          'Escape, Backspace, ArrowDown, Control+a',
      );
    return { name, modifiers };
  };

  const press = ({ key: text }) => {
    const { name, modifiers } = parse(text);
    key(name, { modifiers });
  };

  const STEPS = 4;

  const caretAt = ({ x, y }) => document.caretRangeFromPoint(x, y);

  const selectBetween = (from, to) => {
    const start = caretAt(from);
    const end = caretAt(to);
    if (!start || !end) return;
    const { startContainer, startOffset } = start;
    getSelection().setBaseAndExtent(startContainer, startOffset, end.startContainer, end.startOffset);
  };

  const under = (place) => ({
    ...place,
    element: document.elementFromPoint(place.x, place.y) || document.documentElement,
  });

  const transfer = (from, to) => {
    const dataTransfer = new DataTransfer();
    const drop = (element, type, place) =>
      element.dispatchEvent(
        new DragEvent(type, {
          bubbles: true, cancelable: true, clientX: place.x, clientY: place.y, dataTransfer,
        }),
      );
    const source = from.element.closest('[draggable=true]');
    if (!drop(source, 'dragstart', from)) return;
    drop(to.element, 'dragenter', to);
    if (!drop(to.element, 'dragover', to)) drop(to.element, 'drop', to);
    drop(source, 'dragend', to);
  };

  const dragPlaces = ({ from_ref, from_x, from_y, to_ref, to_x, to_y, dx, dy }) => {
    const from = pivot.locate(from_ref, from_x, from_y);
    if (to_ref !== undefined) return [from, pivot.locate(to_ref, to_x, to_y)];
    if (dx === undefined && dy === undefined)
      throw new pivot.Refusal('drag needs to_ref, or dx and dy');
    return [from, under({ x: from.x + (dx ?? 0), y: from.y + (dy ?? 0) })];
  };

  const drag = (args) => {
    const isFree = args.to_ref === undefined;
    const [from, to] = dragPlaces(args);
    pivot.moveTo(from);
    const goesOn = pivot.down(from);
    if (from.element.closest?.('[draggable=true]')) return transfer(from, under(to));
    for (let step = 1; step <= STEPS; step++) {
      const share = step / STEPS;
      const x = from.x + (to.x - from.x) * share;
      const y = from.y + (to.y - from.y) * share;
      pivot.moveTo(step === STEPS && !isFree ? under(to) : under({ x, y }));
    }
    if (goesOn) selectBetween(from, to);
    const end = under(to);
    pivot.up(end);
    if (end.element === from.element) pivot.mouse(end.element, 'click', end);
  };

  // For trusted input: checks an action and returns [refusal, the places that it is about, whether
  // only a script can do it].
  const aim = ({ name, arguments: args }) => {
    if (name === 'press') parse(args.key);
    if (name === 'press') return [];
    if (name === 'drag') return dragPlaces(args);
    if (name === 'fill') pivot.checkField(args.ref);
    const place = pivot.locate(args.ref, args.x, args.y);
    if (name === 'click') pivot.checkClick(place);
    return [place];
  };
  pivot.aim = (action) => {
    try {
      const places = aim(action).map(({ x, y }) => [x, y]);
      const isPicked = action.name === 'fill' && pivot.isPicked(action.arguments.ref);
      return JSON.stringify([null, places, isPicked]);
    } catch (error) {
      if (!(error instanceof pivot.Refusal)) throw error;
      return JSON.stringify([error.message, [], false]);
    }
  };

  Object.assign(pivot, { key, erase });
  Object.assign(pivot.act, { press, drag });
})();
