'use strict';
// Shows when the upstream last confirmed the data, and counts on by itself. The page itself cannot
// say so: its bytes stay the same for as long as the films do. `Age` is what the server knows.
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
    // Without an answer the count goes on from the last one.
    await read().catch(() => {});
  }
  if (confirmed !== undefined) show();
}

tick();
setInterval(tick, 1000);
