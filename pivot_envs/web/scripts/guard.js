// What a page may not do to its surroundings: dialogs are answered and noted, windows neither open
// nor close, and handlers are remembered so that the observation knows what can be clicked.
(() => {
  const pivot = window.__pivot;
  if (pivot.notes) return;
  const MOST_NOTES = 5;
  const LONGEST_NOTE = 300;
  const EVENTS = new Set(
    'click mousedown mouseup dblclick pointerdown pointerup touchstart mousemove'.split(' '),
  );

  pivot.notes = [];
  pivot.note = (text) => {
    if (pivot.notes.length < MOST_NOTES) pivot.notes.push(text.slice(0, LONGEST_NOTE));
    else if (pivot.notes.length === MOST_NOTES) pivot.notes.push('more of the kind were left out');
  };
  const quote = (text) => JSON.stringify(String(text));
  window.alert = (text = '') => pivot.note(`dialog: alert ${quote(text)}`);
  window.confirm = (text = '') => {
    pivot.note(`dialog: confirm ${quote(text)}, accepted`);
    return true;
  };
  window.prompt = (text = '', value = '') => {
    pivot.note(`dialog: prompt ${quote(text)}, answered ${quote(value)}`);
    return String(value);
  };
  window.print = () => pivot.note('the page asked to be printed; ignored');
  window.open = (url) => {
    pivot.note(`popup: a window for ${quote(url)} was not opened`);
    return null;
  };
  window.close = () => pivot.note('the page tried to close itself; ignored');
  // `HOSTS` is what the environment allows, the page's own host where it names none; a closed page
  // (file:) may only move within itself.
  const allows = (host) => (HOSTS.length ? HOSTS.includes(host) : host === location.host);
  if (window === top && window.navigation)
    navigation.addEventListener('navigate', (event) => {
      const url = new URL(event.destination.url);
      const isInside = location.protocol === 'file:' ? event.hashChange : allows(url.host);
      if (isInside || event.destination.sameDocument) return;
      event.preventDefault();
      pivot.note(`the page tried to open ${url.href.slice(0, 100)}; refused`);
    });
  for (const name of ['RTCPeerConnection', 'webkitRTCPeerConnection', 'WebTransport'])
    delete window[name];
  window.addEventListener('error', (event) => {
    if (event.message) pivot.note(`page error: ${event.message}`);
  });
  window.addEventListener('unhandledrejection', (event) => {
    pivot.note(`page error: ${event.reason}`);
  });

  const handled = new WeakSet();
  const nativeAdd = EventTarget.prototype.addEventListener;
  EventTarget.prototype.addEventListener = function (type, ...rest) {
    if (EVENTS.has(type) && this instanceof Element) handled.add(this);
    return nativeAdd.call(this, type, ...rest);
  };
  pivot.hasHandler = (element) =>
    handled.has(element) || Boolean(element.onclick || element.onmousedown || element.onmouseup);

  // Requests that the page has in flight, so that a turn can wait for their answers.
  pivot.pending = 0;
  const leave = () => void (pivot.pending = Math.max(0, pivot.pending - 1));
  const nativeFetch = window.fetch;
  window.fetch = function (...args) {
    pivot.pending++;
    const reply = nativeFetch.apply(this, args);
    reply.then(leave, leave);
    return reply;
  };
  // An answer is there when its head is; its body comes later.
  for (const name of ['arrayBuffer', 'blob', 'bytes', 'formData', 'json', 'text']) {
    const nativeRead = Response.prototype[name];
    if (!nativeRead) continue;
    Response.prototype[name] = function (...args) {
      pivot.pending++;
      const body = nativeRead.apply(this, args);
      body.then(leave, leave);
      return body;
    };
  }
  const nativeSend = XMLHttpRequest.prototype.send;
  XMLHttpRequest.prototype.send = function (...args) {
    pivot.pending++;
    nativeAdd.call(this, 'loadend', leave, { once: true });
    return nativeSend.apply(this, args);
  };

  // Transitions and animations run on the engine's own clock, which no script can stop.
  const still = new CSSStyleSheet();
  still.replaceSync(
    '*,*::before,*::after{transition:none!important;animation:none!important;' +
      'scroll-behavior:auto!important;caret-color:transparent!important}',
  );
  nativeAdd.call(document, 'DOMContentLoaded', () => {
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, still];
  });
})();
