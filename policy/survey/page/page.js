'use strict';
// Draws the map that is in the page as JSON. Nothing of it is ever parsed as HTML: all
// text is set as text. Of large maps, only the rows that are on the screen are drawn.
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const $ = (id) => document.getElementById(id);
  const words = ['never', 'sometimes', 'always'];
  const FEW = 6000; // cells that are all drawn at once

  const make = (tag, className, ...children) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.append(...children);
    return made;
  };
  // rich is a text in which what is between backticks is code.
  const rich = (tag, className, text) => make(tag, className, ...text.split('`').map((part, i, all) => (i % 2 && i < all.length - 1 ? make('code', '', part) : part)));
  const answerOf = (tool, caller) => data.answers[data.patterns[tool.cells][caller]];
  const outcomeOf = (tool, caller) => answerOf(tool, caller).outcome;

  data.upstreams.forEach((u, i) => u.tools.forEach((t) => {
    t.upstream = i;
    t.found = [u.name + '/' + t.name, t.published, t.title, t.effect, t.kind].join(' ').toLowerCase();
  }));
  data.callers.forEach((c) => { c.found = (c.name + ' ' + c.about).toLowerCase(); });
  const total = data.upstreams.reduce((n, u) => n + u.tools.length, 0);

  // What is shown: the callers in columns, and rows, each an upstream or one of its tools.
  const closed = new Set(total > 80 && data.upstreams.length > 1 ? data.upstreams.keys() : []);
  let columns = [];
  let rows = [];
  let height = 28;
  let drawn = new Map(); // rows on the screen, by place
  let active = { row: 0, column: 0 };
  let opened = null; // the cell that the details are of

  const wanted = (found, text) => text.toLowerCase().split(/\s+/).every((word) => found.includes(word));

  // shows reports whether a tool is of those that the list asks for.
  const shows = (tool, show) => {
    const seen = new Set(columns.map((c) => data.patterns[tool.cells][c]));
    const outcomes = new Set([...seen].map((i) => data.answers[i].outcome));
    switch (show) {
      case 'differ': return seen.size > 1;
      case 'when': return outcomes.has(1);
      case 'nobody': return !outcomes.has(1) && !outcomes.has(2);
      case 'somebody': return outcomes.has(1) || outcomes.has(2);
    }
    return true;
  };

  const arrange = () => {
    const callers = $('callers').value;
    const tools = $('tools').value.trim();
    const show = $('show').value;
    columns = [...data.callers.keys()].filter((i) => wanted(data.callers[i].found, callers));
    rows = [];
    let shown = 0;
    data.upstreams.forEach((u, i) => {
      const matching = u.tools.filter((t) => wanted(t.found, tools) && shows(t, show));
      if (!matching.length) return;
      shown += matching.length;
      const counts = columns.map((c) => {
        const n = [0, 0, 0];
        matching.forEach((t) => n[outcomeOf(t, c)]++);
        return n;
      });
      rows.push({ upstream: i, tools: matching, counts });
      if (!closed.has(i) || tools) matching.forEach((tool) => rows.push({ upstream: i, tool }));
    });
    $('count').textContent = shown === total && columns.length === data.callers.length
      ? data.counted : 'Showing ' + shown + ' of ' + total.toLocaleString('en') + ', for ' + columns.length + ' of ' + data.callers.length + ' callers';
    $('empty').hidden = rows.length > 0 && columns.length > 0;
    $('grid').hidden = !$('empty').hidden;
    active.row = Math.min(active.row, rows.length - 1);
    active.column = Math.min(active.column, columns.length - 1);
  };

  // head draws the names of the callers, with how much each may use.
  const head = () => {
    const group = make('colgroup');
    const style = getComputedStyle(document.documentElement);
    const width = (name) => style.getPropertyValue(name);
    group.append(make('col'), ...columns.map(() => make('col')));
    [...group.children].forEach((col, i) => { col.style.width = width(i ? '--cell' : '--names'); });
    $('grid').style.width = 'calc(' + width('--names') + ' + ' + columns.length + ' * ' + width('--cell') + ')';
    const corner = make('th', 'corner', data.upstreams.length > 1 ? 'by upstream' : 'tools');
    corner.rowSpan = 2;
    const sorts = make('tr', '', corner);
    const names = make('tr');
    let last = null;
    columns.forEach((c, i) => {
      const caller = data.callers[c];
      if (!last || last.sort !== caller.sort) {
        last = make('th', 'sort' + (i ? ' first' : ''), data.sorts[caller.sort]);
        last.sort = caller.sort;
        last.colSpan = 0;
        last.scope = 'colgroup';
        last.title = data.sorts[caller.sort];
        sorts.append(last);
      }
      last.colSpan = (last.count = (last.count || 0) + 1);
      names.append(callerHead(caller, i, last.count === 1 && i));
    });
    [...sorts.cells].slice(1).forEach((cell) => { // where there is room
      if (cell.colSpan * parseFloat(width('--cell')) < cell.textContent.length * 6) cell.textContent = '';
    });
    $('grid').replaceChildren(group, make('thead', '', sorts, names), make('tbody'));
    $('grid').setAttribute('aria-rowcount', rows.length + 2);
    $('grid').setAttribute('aria-colcount', columns.length + 1);
  };

  const callerHead = (caller, column, first) => {
    const sum = [0, 0, 0];
    rows.forEach((r) => r.counts && r.counts[column].forEach((n, o) => { sum[o] += n; }));
    const share = make('div', 'share', make('i'), make('i'));
    [2, 1].forEach((o, i) => { share.children[i].style.width = 100 * sum[o] / Math.max(1, sum[0] + sum[1] + sum[2]) + '%'; });
    const cell = make('th', 'caller' + (first ? ' first' : ''), make('div', 'name', caller.name), share);
    cell.scope = 'col';
    cell.tabIndex = -1;
    cell.dataset.column = column;
    cell.dataset.row = -1;
    cell.setAttribute('aria-label', caller.name + ': ' + sum[2] + ' always, ' + sum[1] + ' under a condition, ' + sum[0] + ' never');
    return cell;
  };

  const line = (place) => {
    const row = rows[place];
    const made = row.tool ? toolLine(row) : upstreamLine(row);
    made.dataset.row = place;
    made.setAttribute('aria-rowindex', place + 3);
    [...made.children].forEach((cell, i) => {
      cell.tabIndex = -1;
      cell.dataset.row = place;
      cell.dataset.column = i - 1;
    });
    return made;
  };

  const sortStarts = (i) => i > 0 && data.callers[columns[i]].sort !== data.callers[columns[i - 1]].sort;

  const toolLine = ({ tool }) => {
    const name = make('span', 'name', tool.name);
    const label = make('div', 'label', name);
    if (tool.kind !== 'tool') label.append(make('span', 'tag', tool.kind));
    else if (tool.effect) label.append(make('span', 'tag ' + tool.effect, tool.effect));
    const heading = make('th', '', label);
    heading.scope = 'row';
    const made = make('tr', 'tool', heading);
    columns.forEach((c, i) => {
      const outcome = words[outcomeOf(tool, c)];
      const cell = make('td', outcome + (sortStarts(i) ? ' first' : ''));
      cell.setAttribute('aria-label', outcome);
      made.append(cell);
    });
    return made;
  };

  const upstreamLine = (row) => {
    const shut = closed.has(row.upstream) && !$('tools').value.trim();
    const heading = make('th', '', make('div', 'label', make('span', 'arrow', '▼'), make('span', 'name', data.upstreams[row.upstream].name), make('span', 'tag', String(row.tools.length))));
    heading.scope = 'row';
    heading.setAttribute('aria-expanded', String(!shut));
    const made = make('tr', 'upstream' + (shut ? ' closed' : ''), heading);
    row.counts.forEach((n, i) => {
      const cell = make('td', sortStarts(i) ? 'first' : '', tank(n));
      cell.setAttribute('aria-label', n[2] + ' always, ' + n[1] + ' under a condition, ' + n[0] + ' never');
      made.append(cell);
    });
    return made;
  };

  // tank is filled by how much may be used.
  const tank = ([none, some, all]) => {
    const made = make('span', 'tank' + (some + all ? '' : ' none'), make('i', 'gap'), make('i', 'some' + (some ? ' thin' : '')), make('i', 'all' + (all ? ' thin' : '')));
    const sum = Math.max(1, none + some + all);
    [some, all].forEach((n, i) => { made.children[i + 1].style.height = 100 * n / sum + '%'; });
    return made;
  };

  // draw has the rows on the screen be those that should be.
  const draw = (everything) => {
    const body = $('grid').tBodies[0];
    const view = $('scroller');
    let first = 0;
    let end = rows.length;
    if (!everything && rows.length * columns.length > FEW) {
      const around = 12;
      first = Math.max(0, Math.floor(view.scrollTop / height) - around);
      end = Math.min(rows.length, Math.ceil((view.scrollTop + view.clientHeight) / height) + around);
    }
    const before = body.firstChild || body.appendChild(space());
    const after = body.childNodes.length > 1 ? body.lastChild : body.appendChild(space());
    drawn.forEach((tr, place) => {
      if (place >= first && place < end) return;
      if (tr.contains(document.activeElement)) view.focus({ preventScroll: true });
      tr.remove();
      drawn.delete(place);
    });
    let next = before.nextSibling;
    for (let place = first; place < end; place++) {
      const there = drawn.get(place);
      if (there) {
        next = there.nextSibling;
        continue;
      }
      const made = line(place);
      drawn.set(place, made);
      body.insertBefore(made, next);
    }
    before.firstChild.style.height = first * height + 'px';
    after.firstChild.style.height = (rows.length - end) * height + 'px';
    before.hidden = first === 0;
    after.hidden = end === rows.length;
    mark();
  };

  const space = () => {
    const cell = make('td');
    cell.colSpan = columns.length + 1;
    const made = make('tr', 'space', cell);
    made.setAttribute('aria-hidden', 'true');
    return made;
  };

  const measure = () => {
    height = parseFloat(getComputedStyle(document.documentElement).getPropertyValue('--row'));
  };

  // tall has the names of the callers fit, if they are not very long.
  const tall = () => {
    const longest = columns.reduce((n, c) => Math.max(n, data.callers[c].name.length), 0);
    document.documentElement.style.setProperty('--head', Math.max(90, Math.min(innerHeight < 600 || innerWidth < 700 ? 150 : 236, 64 + 7.7 * longest)) + 'px');
  };

  const redraw = () => {
    measure();
    arrange();
    tall();
    drawn = new Map();
    head();
    draw();
  };

  const cellAt = (row, column) => {
    if (row < 0) return $('grid').tHead.rows[1].cells[column] || null;
    const tr = drawn.get(row);
    return tr ? tr.cells[column + 1] : null;
  };

  // mark has the active cell be the one that Tab leads to, and shows which one is open.
  const mark = () => {
    $('grid').querySelectorAll('[tabindex="0"], .open').forEach((cell) => { cell.tabIndex = -1; cell.classList.remove('open'); });
    const cell = cellAt(active.row, active.column);
    if (cell) cell.tabIndex = 0;
    if (opened && rows[opened.row] && opened.column >= 0 && opened.row >= 0) cellAt(opened.row, opened.column)?.classList.add('open');
  };

  // hot shows in which row and column a cell is.
  const hot = (row, column) => {
    $('grid').querySelectorAll('.hot').forEach((part) => part.classList.remove('hot'));
    if (row === null) return;
    if (column >= 0) {
      $('grid').querySelectorAll('col')[column + 1]?.classList.add('hot');
      cellAt(-1, column)?.classList.add('hot');
    }
    drawn.get(row)?.classList.add('hot');
  };

  const go = (row, column) => {
    active = { row: Math.max(-1, Math.min(rows.length - 1, row)), column: Math.max(-1, Math.min(columns.length - 1, column)) };
    if (active.row < 0 && active.column < 0) active.column = 0;
    if (active.row >= 0 && !drawn.has(active.row)) {
      $('scroller').scrollTop = Math.max(0, active.row * height - $('scroller').clientHeight / 3);
      draw();
    }
    mark();
    cellAt(active.row, active.column)?.focus();
    hot(active.row, active.column);
  };

  // Details: what they say depends on what was chosen.
  const fold = (place) => {
    const { upstream } = rows[place];
    if (!closed.delete(upstream)) closed.add(upstream);
    opened = null;
    $('detail').hidden = true;
    const top = $('scroller').scrollTop;
    redraw();
    $('scroller').scrollTop = top;
    draw();
    go(rows.findIndex((r) => r.upstream === upstream), -1);
  };

  const open = (row, column) => {
    if (row >= 0 && column < 0 && !rows[row].tool) return fold(row);
    opened = { row, column };
    const parts = row < 0 ? ofCaller(columns[column]) : !rows[row].tool ? ofUpstream(rows[row], column)
      : column < 0 ? ofTool(rows[row].tool) : ofCell(rows[row].tool, columns[column]);
    const closing = make('button', 'closing', '×');
    closing.type = 'button';
    closing.setAttribute('aria-label', 'Close the details');
    closing.addEventListener('click', shut);
    const [title, ...rest] = parts;
    $('detail').replaceChildren(make('div', 'top', make('h2', 'text', title), closing), ...rest);
    $('detail').scrollTop = 0;
    $('detail').hidden = false;
    $('tip').hidden = true;
    mark();
    cellAt(row, column)?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  };

  const shut = () => {
    if ($('detail').hidden) return;
    $('detail').hidden = true;
    const back = opened;
    opened = null;
    mark();
    if (back) go(back.row, back.column);
  };

  const originOf = (tool) => data.upstreams[tool.upstream].name + '/' + tool.name;

  const aboutTool = (tool) => [tool.kind, tool.title, tool.effect && tool.effect + ' (as policies see it)', tool.published && 'published as ' + tool.published].filter(Boolean).join(' · ');

  const verdict = (answer) => make('p', 'verdict', make('span', 'mark ' + words[answer.outcome]), rich('span', 'text', answer.sentence));

  const policyList = (title, all) => {
    if (!all || !all.length) return [];
    const list = make('ul', 'policies', ...all.map((i) => {
      const { id, at } = data.policies[i];
      return make('li', '', make('span', 'text', id), make('code', 'text', at));
    }));
    return [make('h3', '', title), list];
  };

  const ofCell = (tool, c) => {
    const caller = data.callers[c];
    const answer = answerOf(tool, c);
    const cedar = answer.outcome === 1 && answer.cedar ? [make('h3', '', 'The condition in Cedar'), make('pre', 'text', answer.cedar)] : [];
    return [
      caller.name + ' and ' + originOf(tool), ...about(caller.about), ...about(aboutTool(tool)),
      verdict(answer), ...cedar, ...policyList('Permitted by', answer.permits), ...policyList('Forbids that matter', answer.forbids),
    ];
  };

  // grouped puts what has the same answer together, the most that is allowed first.
  const grouped = (all, answer, name) => {
    const groups = new Map();
    all.forEach((one) => {
      const a = answer(one);
      const key = a.outcome + a.sentence;
      if (!groups.has(key)) groups.set(key, { answer: a, names: [] });
      groups.get(key).names.push(name(one));
    });
    const most = 200;
    return make('ul', 'groups', ...[...groups.values()].sort((a, b) => b.answer.outcome - a.answer.outcome).slice(0, most).map((g) =>
      make('li', '', verdict(g.answer), make('p', 'of text', g.names.slice(0, most).join(', ') + (g.names.length > most ? ', and ' + (g.names.length - most) + ' more' : '')))));
  };

  const about = (text) => (text ? [make('p', 'about text', text)] : []);

  const ofTool = (tool) => [originOf(tool), ...about(aboutTool(tool)), make('h3', '', 'Who may use it'), grouped(columns, (c) => answerOf(tool, c), (c) => data.callers[c].name)];

  const ofCaller = (c) => {
    const items = rows.filter((r) => r.tools).map((r) => {
      const n = [0, 0, 0];
      r.tools.forEach((t) => n[outcomeOf(t, c)]++);
      const text = n[0] === r.tools.length ? 'nothing' : [n[2] && n[2] + ' always', n[1] && n[1] + ' under a condition'].filter(Boolean).join(', ') + ' of ' + r.tools.length;
      return make('li', '', make('p', 'verdict', tank(n), make('span', 'text', data.upstreams[r.upstream].name)), make('p', 'of', text));
    });
    return [data.callers[c].name, ...about(data.callers[c].about), make('h3', '', 'What they may use'), make('ul', 'groups', ...items)];
  };

  const ofUpstream = (row, column) => [
    data.callers[columns[column]].name + ' and ' + data.upstreams[row.upstream].name, ...about(data.callers[columns[column]].about),
    grouped(row.tools, (t) => answerOf(t, columns[column]), (t) => t.name),
  ];

  // tip says in a sentence what the cell below the pointer means.
  const tip = (cell, event) => {
    const row = Number(cell.dataset.row);
    const column = Number(cell.dataset.column);
    let title = '';
    let text = '';
    if (row < 0) {
      [title, text] = [data.callers[columns[column]].name, data.callers[columns[column]].about];
    } else if (!rows[row].tool) {
      if (column < 0) return;
      title = data.callers[columns[column]].name + ' and ' + data.upstreams[rows[row].upstream].name;
      text = cell.getAttribute('aria-label');
    } else if (column < 0) {
      [title, text] = [originOf(rows[row].tool), aboutTool(rows[row].tool)];
    } else {
      title = data.callers[columns[column]].name + ' and ' + originOf(rows[row].tool);
      text = answerOf(rows[row].tool, columns[column]).sentence;
      if (text.length > 400) text = text.slice(0, 400) + '…';
    }
    const t = $('tip');
    t.replaceChildren(make('b', 'text', title), make('br'), rich('span', 'text', text));
    t.hidden = false;
    const box = t.getBoundingClientRect();
    const left = event.clientX + 14 + box.width > innerWidth ? event.clientX - box.width - 10 : event.clientX + 14;
    const top = event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 18;
    t.style.left = Math.max(4, left) + 'px';
    t.style.top = Math.max(4, top) + 'px';
  };

  const cellOf = (event) => event.target.closest && event.target.closest('[data-column]');

  const keys = {
    ArrowUp: () => go(active.row - 1, active.column),
    ArrowDown: () => go(active.row + 1, active.column),
    ArrowLeft: () => go(active.row, active.column - 1),
    ArrowRight: () => go(active.row, active.column + 1),
    Home: (e) => go(e.ctrlKey ? 0 : active.row, -1),
    End: (e) => go(e.ctrlKey ? rows.length - 1 : active.row, columns.length - 1),
    PageUp: () => go(Math.max(0, active.row - page()), active.column),
    PageDown: () => go(active.row + page(), active.column),
    Enter: () => open(active.row, active.column),
    ' ': () => open(active.row, active.column),
  };
  const page = () => Math.max(1, Math.floor($('scroller').clientHeight / height) - 7);

  const listen = () => {
    const view = $('scroller');
    let waiting = 0;
    view.addEventListener('scroll', () => {
      $('tip').hidden = true;
      waiting = waiting || requestAnimationFrame(() => { waiting = 0; draw(); });
    }, { passive: true });
    view.addEventListener('keydown', (e) => {
      if (!keys[e.key] || e.altKey || e.metaKey) return;
      e.preventDefault();
      keys[e.key](e);
      if (!$('detail').hidden && e.key !== 'Enter' && e.key !== ' ' && (active.column >= 0 || rows[active.row].tool)) open(active.row, active.column);
    });
    view.addEventListener('click', (e) => {
      const cell = cellOf(e);
      if (!cell) return;
      active = { row: Number(cell.dataset.row), column: Number(cell.dataset.column) };
      mark();
      open(active.row, active.column);
    });
    if (matchMedia('(hover: hover)').matches) {
      view.addEventListener('mousemove', (e) => {
        const cell = cellOf(e);
        if (!cell) {
          $('tip').hidden = true;
          return hot(null);
        }
        hot(Number(cell.dataset.row), Number(cell.dataset.column));
        tip(cell, e);
      });
      view.addEventListener('mouseleave', () => { $('tip').hidden = true; hot(null); });
    }
    addEventListener('keydown', (e) => {
      if (e.key === 'Escape') {
        $('tip').hidden = true;
        shut();
      }
      if (e.key === '/' && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
        e.preventDefault();
        $('tools').focus();
      }
    });
    ['tools', 'callers', 'show'].forEach((id) => $(id).addEventListener('input', () => {
      opened = null;
      $('detail').hidden = true;
      $('scroller').scrollTop = 0;
      redraw();
    }));
    $('fold').addEventListener('click', () => {
      const all = closed.size < data.upstreams.length;
      data.upstreams.forEach((u, i) => (all ? closed.add(i) : closed.delete(i)));
      redraw();
      named();
    });
    addEventListener('resize', () => { measure(); redraw(); });
    addEventListener('beforeprint', printed);
    addEventListener('afterprint', () => {
      document.documentElement.style.removeProperty('--cell');
      $('conditions').replaceChildren();
      redraw();
    });
  };

  const named = () => {
    $('fold').textContent = closed.size < data.upstreams.length ? 'Collapse all' : 'Expand all';
    $('fold').hidden = data.upstreams.length < 2;
  };

  // printed draws everything, as narrow as it has to be, and lists the conditions.
  const printed = () => {
    const wide = Math.max(9, Math.min(20, Math.floor(830 / Math.max(1, columns.length))));
    document.documentElement.style.setProperty('--cell', wide + 'px');
    document.documentElement.style.setProperty('--names', '190px');
    measure();
    drawn = new Map();
    head();
    draw(true);
    document.documentElement.style.removeProperty('--names');
    const list = make('ul');
    const most = 2000;
    rows.filter((r) => r.tool).forEach(({ tool }) => {
      const said = new Map();
      columns.forEach((c) => {
        const a = answerOf(tool, c);
        if (a.outcome === 1) said.set(a.sentence, [...(said.get(a.sentence) || []), data.callers[c].name]);
      });
      said.forEach((names, sentence) => {
        if (list.children.length < most) list.append(make('li', 'text', make('b', '', originOf(tool)), ' ', rich('span', '', sentence), ' — ' + names.join(', ')));
      });
    });
    $('conditions').replaceChildren(...(list.children.length ? [make('h2', '', 'Conditions'), list] : []));
  };

  $('made').textContent = data.made;
  data.notes.forEach((n) => $('notes').append(make('p', 'note', n)));
  Object.entries({ '': 'Everything', differ: 'Where callers differ', when: 'With a condition for somebody', somebody: 'What somebody may use', nobody: 'What nobody may use' })
    .forEach(([value, text]) => { const o = make('option', '', text); o.value = value; $('show').append(o); });
  named();
  listen();
  redraw();
  document.body.dataset.ready = 'true';
})();
