'use strict';
// Shows how long ago the upstream confirmed the data (`Age`). The page cannot contain that, because
// its bytes change only with the films.
const line = document.getElementById('age');
const units = [[172800, 86400, 'day'], [7200, 3600, 'hour'], [120, 60, 'minute'], [0, 1, 'second']];
const reread = 60000;
let confirmed;

function show() {
  const seconds = Math.max(0, Math.floor((Date.now() - confirmed) / 1000));
  const [, size, unit] = units.find(([least]) => seconds >= least);
  const count = Math.floor(seconds / size);
  line.textContent = `Last update: ${count} ${unit}${count === 1 ? '' : 's'} ago`;
}

async function read() {
  const answer = await fetch(location.pathname, { method: 'HEAD', cache: 'no-store' });
  const age = answer.headers.get('Age');
  if (age !== null) {
    confirmed = Date.now() - 1000 * age;
  } else if (answer.ok) {
    line.textContent = 'Last update: never, the upstream has not answered yet';
  }
}

async function tick() {
  if (document.hidden) return;
  if (!(Date.now() - tick.last < reread)) {
    tick.last = Date.now();
    // Without an answer, it counts from the last one.
    await read().catch(() => {});
  }
  if (confirmed !== undefined) show();
}

tick();
setInterval(tick, 1000);

// Shows new films. A hidden page frees its connection, and resumes later.
const base = document.querySelector('link[rel=icon]').href;
const news = document.createElement('p');
news.className = 'news';
news.setAttribute('aria-live', 'polite');
line.after(news);
let { last } = line.dataset;
let stream;

const find = (main, path) => main?.querySelector(`a[href='${CSS.escape(path)}']`);

// Tries again, because another reader may not have the film yet.
async function refresh(path, tries) {
  const address = new URL(location);
  address.searchParams.delete('q');
  const answer = await fetch(address, { cache: 'no-cache' });
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  const [main, fresh] = [document, page].map((it) => it.querySelector('main'));
  if (!find(fresh, path) && tries) setTimeout(() => refresh(path, tries - 1).catch(() => {}), 2000);
  if (!answer.ok || !fresh) return;
  const focused = document.activeElement;
  const href = main.contains(focused) && focused.getAttribute('href');
  main.replaceChildren(...fresh.childNodes);
  if (href) find(main, href)?.focus();
  document.getElementById('q')?.dispatchEvent(new Event('input'));
}

function follow() {
  if (document.hidden) stream = stream?.close();
  else if (!stream || stream.readyState === 2) {
    stream = new EventSource(new URL('events?since=' + last, base));
    stream.addEventListener('generation', (event) => {
      last = event.lastEventId;
      tick.last = undefined;
    });
    stream.addEventListener('release', (event) => {
      const { id, title } = JSON.parse(event.data);
      const link = document.createElement('a');
      link.href = new URL('movies/' + encodeURIComponent(id), base).pathname;
      link.textContent = title;
      news.replaceChildren('New: ', link);
      refresh(link.pathname, 3).catch(() => {});
    });
  }
}

document.addEventListener('visibilitychange', follow);
setInterval(follow, reread);
follow();
