'use strict';
// Shows how long ago the upstream confirmed the data, updated every second. The page cannot
// contain the age, because its bytes change only with the films. The server sends it in `Age`.
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
    // Without an answer, the script counts from the last one.
    await read().catch(() => {});
  }
  if (confirmed !== undefined) show();
}

tick();
setInterval(tick, 1000);
