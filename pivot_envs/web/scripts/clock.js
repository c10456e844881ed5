// Virtual time and seeded randomness: the page's clock stands still between actions, and `settle`
// runs what an action set going (fades, delayed menus) without waiting for it.
(() => {
  if (window.__pivot) return;
  const EPOCH = Date.UTC(2026, 0, 1);
  const ACTION_MS = 100; // virtual time that an action takes
  const NEAR_MS = 1000; // timers further away belong to the page, not to the action
  const LONGEST_MS = 3000; // virtual time after which what still runs is an endless animation
  const TICKING_MS = 500; // intervals as long as this are clocks, not animations
  const FRAME_MS = 16;

  const timers = new Map();
  let now = 0;
  let nextId = 1;
  let running = null;

  const add = (callback, delay, repeats, args) => {
    delay = Math.max(1, Number(delay) || 0);
    const endless = Boolean(running && running.endless) || (repeats && delay >= TICKING_MS);
    const timer = { id: nextId++, due: now + delay, delay, repeats, callback, args, endless };
    timers.set(timer.id, timer);
    return timer.id;
  };

  const remove = (id) => void timers.delete(Number(id));

  const earliest = (accepts) => {
    let found = null;
    for (const timer of timers.values())
      if (accepts(timer) && (!found || timer.due < found.due)) found = timer;
    return found;
  };

  const fire = (timer) => {
    now = Math.max(now, timer.due);
    if (timer.repeats) timer.due = now + timer.delay;
    else timers.delete(timer.id);
    running = timer;
    try {
      if (typeof timer.callback === 'function') timer.callback.apply(window, timer.args());
      else (0, eval)(String(timer.callback));
    } catch (error) {
      reportError(error);
    } finally {
      running = null;
    }
  };

  const runUntil = (time) => {
    for (let timer; (timer = earliest((each) => each.due <= time)); ) fire(timer);
    now = Math.max(now, time);
  };

  const settle = () => {
    runUntil(now + ACTION_MS);
    const end = now + LONGEST_MS;
    const isNear = (timer) => !timer.endless && timer.due < now + NEAR_MS;
    for (let timer; (timer = earliest(isNear)); ) {
      if (timer.due > end) {
        for (const each of timers.values()) if (isNear(each)) each.endless = true;
        break;
      }
      runUntil(timer.due);
    }
  };

  window.setTimeout = (callback, delay, ...args) => add(callback, delay, false, () => args);
  window.setInterval = (callback, delay, ...args) => add(callback, delay, true, () => args);
  window.requestAnimationFrame = (callback) => add(callback, FRAME_MS, false, () => [now]);
  window.requestIdleCallback = (callback) =>
    add(callback, 1, false, () => [{ didTimeout: false, timeRemaining: () => 50 }]);
  window.clearTimeout = window.clearInterval = remove;
  window.cancelAnimationFrame = window.cancelIdleCallback = remove;

  const NativeDate = Date;
  const wall = () => EPOCH + Math.floor(now);
  NativeDate.now = wall;
  const VirtualDate = new Proxy(NativeDate, {
    apply: () => new NativeDate(wall()).toString(),
    construct: (target, args, type) =>
      Reflect.construct(target, args.length ? args : [wall()], type === VirtualDate ? target : type),
  });
  NativeDate.prototype.constructor = VirtualDate;
  window.Date = VirtualDate;
  Performance.prototype.now = () => now;

  let state = 0x9e3779b9;
  const draw = () => {
    // Mulberry32.
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  Math.random = () => draw() / 2 ** 32;
  Crypto.prototype.getRandomValues = function (array) {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    for (let index = 0; index < bytes.length; index++) bytes[index] = draw() & 255;
    return array;
  };

  const clockState = () => {
    const waiting = [...timers.values()].map((timer) => timer.due - now).sort((a, b) => a - b);
    return [now, state, ...waiting];
  };

  Object.defineProperty(window, '__pivot', { value: { settle, clockState, now: () => now } });
})();
