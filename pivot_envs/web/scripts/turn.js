// One turn in one call: act, let virtual time pass, observe. And the page's digest.
(() => {
  const pivot = window.__pivot;
  if (pivot.turn) return;

  const attempt = (action) => {
    try {
      pivot.act[action.name](action.arguments);
    } catch (error) {
      if (!(error instanceof pivot.Refusal)) throw error;
      return error.message;
    }
    return null;
  };

  const drain = () => {
    const { notes } = pivot;
    pivot.notes = [];
    return notes;
  };

  const report = (error, longest, probe) => ({
    error,
    notes: drain(),
    text: pivot.observe(longest),
    title: document.title,
    url: location.href,
    pending: pivot.pending,
    stored: pivot.isStored(),
    probe: (0, eval)(`(${probe})`),
  });

  pivot.look = (longest, probe, error = null, settles = true) => {
    if (settles) pivot.settle();
    return JSON.stringify(report(error, longest, probe));
  };

  pivot.turn = (action, longest, probe) => {
    const error = attempt(action);
    pivot.settle();
    return JSON.stringify(report(error, longest, probe));
  };

  // Repeats a document's first look and the turns after it; in between, elements are only numbered.
  pivot.replay = (actions, longest, probe) => {
    pivot.settle();
    for (const action of actions) {
      pivot.number();
      attempt(action);
      pivot.settle();
    }
    const shown = report(null, longest, probe);
    return JSON.stringify({ ...shown, digest: digest() });
  };

  const hash = (text) => {
    // Two runs of cyrb53, 106 bits.
    const run = (seed) => {
      let high = 0xdeadbeef ^ seed;
      let low = 0x41c6ce57 ^ seed;
      for (let index = 0; index < text.length; index++) {
        const code = text.charCodeAt(index);
        high = Math.imul(high ^ code, 2654435761);
        low = Math.imul(low ^ code, 1597334677);
      }
      high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
      low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
      return (2097152 * (low >>> 0) + (high >>> 11)).toString(16).padStart(14, '0');
    };
    return run(0) + run(1);
  };

  const storageOf = (storage) => {
    try {
      return Object.entries(window[storage]).sort();
    } catch {
      return []; // pages without an origin have none
    }
  };
  const storage = () => JSON.stringify([storageOf('localStorage'), storageOf('sessionStorage')]);
  pivot.storageAtStart = storage();
  pivot.isStored = () => usesDatabase || storage() !== '[[],[]]';
  pivot.store = (entries) => {
    for (const [index, name] of ['localStorage', 'sessionStorage'].entries())
      for (const [key, value] of entries[index]) window[name].setItem(key, value);
    return storage();
  };
  let usesDatabase = false;
  if (window.indexedDB) {
    const { open } = IDBFactory.prototype;
    IDBFactory.prototype.open = function (...args) {
      usesDatabase = true;
      return open.apply(this, args);
    };
  }

  const visible = (document) => {
    const parts = [document.title, document.body?.outerHTML];
    const all = document.querySelectorAll('*');
    for (let index = 0; index < all.length; index++) {
      const element = all[index];
      const tag = element.tagName;
      if (tag === 'INPUT' || tag === 'TEXTAREA')
        parts.push(index, element.value, element.checked, element.selectionStart, element.selectionEnd);
      else if (tag === 'SELECT') parts.push([...element.options].map((each) => each.selected));
      else if (tag === 'CANVAS') parts.push(picture(element));
      else if (tag === 'IFRAME' && element.contentDocument) parts.push(...visible(element.contentDocument));
      if (element.scrollTop || element.scrollLeft) parts.push(index, element.scrollTop, element.scrollLeft);
      if (element === document.activeElement) parts.push('focus', index);
    }
    return parts;
  };

  const picture = (canvas) => {
    try {
      return canvas.toDataURL();
    } catch {
      return 'picture of another origin';
    }
  };

  // [what the agent's actions made of the page, and with clock and randomness]
  const digest = () => {
    const page = [visible(document), storageOf('localStorage'), storageOf('sessionStorage')];
    const { pathname, search, hash: place, protocol } = location;
    page.push(protocol === 'file:' ? place : pathname + search + place, String(getSelection()));
    return [hash(JSON.stringify(page)), hash(JSON.stringify(pivot.clockState()))];
  };
  pivot.digest = () => JSON.stringify(digest());
})();
