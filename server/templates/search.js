'use strict';
// Searches while a person types: hides the films that do not match. The server does the same for
// the form without a script. Where the page has only the films of an earlier search, the script
// first fetches those that the other fields choose.
{
  const form = document.getElementById('search');
  const field = form?.elements.q;
  const main = document.getElementById('main');
  let whole = !field?.value;

  const address = search => {
    const chosen = [...new FormData(form)].filter(([name, value]) =>
      value && (name !== 'q' || search) && !(name === 'sort' && value === 'year'));
    const order = new URLSearchParams(location.search).get('order');
    if (order) chosen.push(['order', order]);
    const query = String(new URLSearchParams(chosen));
    return location.pathname + (query && '?' + query);
  };

  const fetchAll = async () => {
    const answer = await fetch(address(false));
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    main.replaceChildren(...page.getElementById('main').childNodes);
    whole = true;
  };

  const show = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const film of main.querySelectorAll('.one')) {
      const texts = [...film.querySelectorAll('bdi, [lang], .director')];
      const found = texts.map(text => text.textContent.toLowerCase()).join('\n');
      film.hidden = !words.every(word => found.includes(word));
      count += !film.hidden;
    }
    document.getElementById('count').textContent = `${count} film${count === 1 ? '' : 's'}`;
    document.getElementById('none').hidden = count > 0;
    history.replaceState(null, '', address(true));
  };

  field?.addEventListener('input', async () => {
    if (!whole) await fetchAll().catch(() => {});
    if (whole) show();
  });
}
