'use strict';
// Runs an example of the reference in place: shows request, status, headers and the beginning of the
// body. Without this script, examples are links.
{
  const most = 20000;
  const wait = 3000;

  // A stream such as /events never ends, so this reads no more than a person looks at.
  const read = async (answer, stop) => {
    const [reader, decoder] = [answer.body.getReader(), new TextDecoder()];
    const timer = setTimeout(() => stop.abort(), wait);
    let text = '';
    try {
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        text += decoder.decode(part.value, { stream: true });
        if (text.length > most) {
          stop.abort();
          return text.slice(0, most) + '\n…';
        }
      }
    } catch (error) {
      if (error.name !== 'AbortError') throw error;
      text += '\n… (goes on)';
    } finally {
      clearTimeout(timer);
    }
    return text;
  };

  const run = async (href, shown) => {
    shown.textContent = `GET ${href}\n…`;
    const stop = new AbortController();
    try {
      const answer = await fetch(href, { cache: 'no-store', signal: stop.signal });
      const headers = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join('\n');
      const status = `${answer.status} ${answer.statusText}`.trim();
      shown.textContent = `GET ${href}\n\n${status}\n${headers}\n\n${await read(answer, stop)}`;
    } catch (error) {
      shown.textContent = `GET ${href}\n\nNo answer: ${error.message}`;
    }
  };

  for (const link of document.querySelectorAll('a.example')) {
    const [button, shown] = ['button', 'pre'].map(name => document.createElement(name));
    button.type = 'button';
    button.textContent = 'Run';
    button.setAttribute('aria-label', `Run ${link.textContent}`);
    shown.className = 'answer';
    shown.tabIndex = 0;
    shown.setAttribute('role', 'status');
    shown.setAttribute('aria-label', `Answer to ${link.textContent}`);
    button.addEventListener('click', () => {
      if (!shown.isConnected) button.after(shown);
      run(link.getAttribute('href'), shown);
    });
    link.after(' ', button);
  }
}
