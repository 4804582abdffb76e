(() => {
  'use strict';
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const root = document.documentElement;

  // --- light and dark ---------------------------------------------------------------------
  const systemDark = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : systemDark.matches);
  const themeButton = one('#theme');
  const labelTheme = () => {
    const next = isDark() ? 'Light' : 'Dark';
    themeButton.textContent = next;
    themeButton.setAttribute('aria-label', `${next} colours: switch`);
  };
  themeButton.hidden = false;
  labelTheme();
  themeButton.addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    labelTheme();
  });
  systemDark.addEventListener('change', labelTheme);

  // --- archive search (index page) ----------------------------------------------------------
  const search = one('#search');
  if (search) {
    const entries = all('[data-find]');
    const found = one('#found');
    const apply = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const entry of entries) {
        entry.hidden = !words.every(word => entry.dataset.find.includes(word));
        shown += entry.hidden ? 0 : 1;
      }
      found.textContent = `${shown} of ${entries.length} reports`;
    };
    search.addEventListener('input', apply);
    apply();
  }

  // --- tooltip: text only, nothing from the data is ever parsed as HTML ---------------------
  const tip = document.createElement('div');
  tip.className = 'tip';
  tip.hidden = true;
  document.body.append(tip);
  const element = (tag, text) => {
    const made = document.createElement(tag);
    made.textContent = text;
    return made;
  };
  const showTip = (x, y, head, lines) => {
    tip.replaceChildren();
    if (head) tip.append(element('b', head));
    for (const { label, text, colour } of lines) {
      const line = document.createElement('p');
      const name = element('span', label);
      if (colour) name.style.color = `var(--${colour})`;
      line.append(name, element('span', text));
      tip.append(line);
    }
    tip.hidden = false;
    const width = tip.offsetWidth;
    const height = tip.offsetHeight;
    const left = x + 16 + width > innerWidth ? x - width - 16 : x + 16;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, Math.min(innerHeight - height - 8, y - height / 2))}px`;
  };
  const hideTip = () => { tip.hidden = true; };
  const formatNumber = (value, decimals, signed) => {
    if (value == null || Number.isNaN(value)) return '—';
    const options = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
    const text = value.toLocaleString('en-GB', options);
    return ((signed && value > 0 ? '+' : '') + text).replace('-', '−');
  };

  // --- data: one copy of each frame, stored by column ---------------------------------------
  const readJson = id => JSON.parse(document.getElementById(id).textContent);
  const frames = {};
  const frame = name => {
    if (!frames[name]) {
      const columns = readJson(`frame-${name}`);
      const names = Object.keys(columns);
      const length = names.length ? columns[names[0]].length : 0;
      frames[name] = Array.from({ length }, (_, i) =>
        Object.fromEntries(names.map(column => [column, columns[column][i]])));
    }
    return frames[name];
  };

  // --- charts ---------------------------------------------------------------------------------
  const charts = [];
  window.reportCharts = charts;
  let printing = false;
  const offline = { load() { throw Error('pages fetch nothing'); }, sanitize() { throw Error('pages fetch nothing'); } };

  // The plot gets what axes and labels leave of the width; the size settles one pulse later.
  const fit = async chart => {
    const width = chart.element.clientWidth;
    if (!width || width === chart.width || chart.busy) return;
    chart.width = width;
    chart.busy = true;
    const drawn = () => Number(one('svg', chart.element).getAttribute('width'));
    for (let i = 0; i < 4 && Math.abs(drawn() - width) > 1; i += 1) {
      const plot = Math.floor(width - (drawn() - chart.view.width()));
      await chart.view.width(Math.max(120, plot)).runAsync();
    }
    chart.busy = false;
    if (chart.element.clientWidth !== width) fit(chart);
  };
  const resizes = new ResizeObserver(entries => {
    if (printing) return;
    for (const entry of entries) {
      const chart = charts.find(candidate => candidate.element === entry.target);
      if (chart) fit(chart);
    }
  });

  const tooltip = (handler, event, item, value) => {
    if (value == null || value === '') return hideTip();
    const lines = Object.entries(value).map(([label, text]) => ({ label, text: String(text).replace('-', '−') }));
    return showTip(event.clientX, event.clientY, '', lines);
  };

  const mount = async container => {
    const spec = readJson(`spec-${container.dataset.chart}`);
    const cursor = container.dataset.cursor ? JSON.parse(container.dataset.cursor) : null;
    const rows = {};
    for (const name of container.dataset.frames.split(' ')) rows[name] = frame(name);
    if (cursor) rows.last = frame(cursor.frame).slice(-1);
    for (const entry of spec.data || []) {
      if (rows[entry.name]) entry.values = rows[entry.name].map(row => ({ ...row }));
    }
    const host = document.createElement('div');
    const { view } = await window.vegaEmbed(host, spec, {
      mode: 'vega', ast: true, renderer: 'svg', actions: false, defaultStyle: false, hover: false, tooltip, loader: offline,
    });
    container.replaceChildren(host);
    const chart = { element: container, view, width: 0 };
    charts.push(chart);
    await fit(chart);
    resizes.observe(container);
    const svg = one('svg', container);
    svg.setAttribute('role', 'img');
    svg.setAttribute('aria-label', container.dataset.label);
    svg.removeAttribute('aria-roledescription');
    if (cursor) addCrosshair(chart, cursor, spec);
  };

  // Bisecting on time needs no invisible marks; arrow keys do what the pointer does.
  const addCrosshair = (chart, cursor, spec) => {
    const rows = frame(cursor.frame);
    const times = rows.map(row => row.t);
    const scaleName = spec.scales.find(scale => scale.type === 'utc').name;
    const { element: container, view } = chart;
    let last = -1;
    const place = index => {
      if (index === last) return;
      last = index;
      view.data('hover', index < 0 ? [] : [{ ...rows[index] }]).run();
    };
    const nearest = clientX => {
      const svg = one('svg', container);
      const box = svg.getBoundingClientRect();
      const zoom = svg.getAttribute('width') / box.width;
      const x = (clientX - box.left) * zoom - view.origin()[0] - (view.padding().left || 0);
      if (x < -2 || x > view.width() + 2) return -1;
      const time = Number(view.scale(scaleName).invert(x));
      let low = 0;
      let high = times.length - 1;
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (times[middle] <= time) low = middle; else high = middle;
      }
      return time - times[low] < times[high] - time ? low : high;
    };
    const show = (index, x, y) => {
      place(index);
      if (index < 0) { hideTip(); return; }
      const row = rows[index];
      const when = `${new Date(row.t).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
      showTip(x, y, when, cursor.lines.map(line => ({
        label: line.label, colour: line.colour, text: formatNumber(row[line.field], line.decimals, line.signed),
      })));
    };
    const clear = () => { place(-1); hideTip(); };
    let queued = 0;
    const move = event => {
      if (queued) return;
      const { clientX, clientY, buttons, pointerType } = event;
      queued = requestAnimationFrame(() => {
        queued = 0;
        if (buttons && pointerType === 'mouse') hideTip(); else show(nearest(clientX), clientX, clientY);
      });
    };
    container.addEventListener('pointermove', move);
    container.addEventListener('pointerdown', move);
    container.addEventListener('pointerleave', clear);
    container.addEventListener('blur', clear);
    container.tabIndex = 0;
    container.setAttribute('role', 'group');
    container.setAttribute('aria-label', `${container.dataset.label} Arrow keys move the cursor.`);
    let position = -1;
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30, Home: -Infinity, End: Infinity };
    container.addEventListener('keydown', event => {
      if (event.key === 'Escape') { position = -1; clear(); return; }
      if (!(event.key in steps)) return;
      event.preventDefault();
      const from = position < 0 ? times.length >> 1 : position;
      position = Math.max(0, Math.min(times.length - 1, from + steps[event.key]));
      const box = container.getBoundingClientRect();
      show(position, box.left + view.origin()[0] + view.scale(scaleName)(times[position]), box.top + 60);
    });
  };

  const containers = all('[data-chart]');
  const started = new Map();
  const start = container => {
    if (!started.has(container)) {
      const { key } = container.dataset;
      started.set(container, mount(container).catch(error => console.error('chart stays static:', key, error)));
    }
    return started.get(container);
  };
  const near = new IntersectionObserver(entries => {
    for (const entry of entries) {
      if (entry.isIntersecting) { near.unobserve(entry.target); start(entry.target); }
    }
  }, { rootMargin: '600px' });
  containers.forEach(container => near.observe(container));
  addEventListener('load', () => (window.requestIdleCallback || setTimeout)(async () => {
    await Promise.all(containers.map(start));
    root.dataset.ready = 'true';
  }));

  // --- paper: charts are laid out again for the width of a page ------------------------------
  const PAPER = { full: 750, half: 360, height: 0.66 };
  const heights = view => {
    const { signals } = view.getState({ signals: name => /^(concat_\d+_)?height$/.test(name) });
    return Object.fromEntries(Object.entries(signals).filter(([, value]) => value > 60));
  };
  const scaleHeights = (chart, factor) => {
    chart.heights = chart.heights || heights(chart.view);
    for (const [name, value] of Object.entries(chart.heights)) chart.view.signal(name, Math.round(value * factor));
  };
  addEventListener('beforeprint', () => {
    printing = true;
    for (const chart of charts) {
      scaleHeights(chart, PAPER.height);
      const width = chart.element.dataset.half ? PAPER.half : PAPER.full;
      const margin = one('svg', chart.element).getAttribute('width') - chart.view.width();
      chart.view.width(width - margin).run();
      chart.width = 0;
    }
  });
  addEventListener('afterprint', () => {
    printing = false;
    for (const chart of charts) { scaleHeights(chart, 1); fit(chart); }
  });
})();
