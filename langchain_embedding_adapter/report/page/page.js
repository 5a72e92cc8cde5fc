
"use strict";
(() => {
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);

  // Light and dark: as the system says, until somebody chooses; the choice is kept where the browser lets us.
  const theme = byId("theme");
  const recall = () => { try { return localStorage.getItem("report-theme"); } catch { return null; } };
  const keep = (name) => { try { localStorage.setItem("report-theme", name); } catch { /* it is not kept, then */ } };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const tell = () => {
    theme.textContent = dark() ? "Light" : "Dark";
    theme.setAttribute("aria-label", dark() ? "Light theme" : "Dark theme");
  };
  const kept = recall();
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  tell();
  theme.hidden = false;
  theme.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; keep(root.dataset.theme); tell(); });
  system.addEventListener("change", tell);

  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      let done = true;
      try { await navigator.clipboard.writeText(code.textContent); } catch {
        getSelection().selectAllChildren(code);
        done = document.execCommand("copy");
      }
      button.textContent = done ? "Copied" : "Press Ctrl+C";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }

  const folded = () => [...document.querySelectorAll("details:not([open])")];
  let opened = [];
  addEventListener("beforeprint", () => { opened = folded(); for (const one of opened) one.open = true; });
  addEventListener("afterprint", () => { for (const one of opened) one.open = false; });

  const source = byId("explorer-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const explorer = byId("explorer"), list = byId("list"), body = list.tBodies[0], count = byId("count"), more = byId("more");
  const PAGE = 40;
  const first = (ranks) => { const known = ranks.filter((rank) => rank > 0); return known.length ? Math.min(...known) : Infinity; };
  const questions = data.questions.map(([text, change, right, baseRanks, adaptedRanks, baseHits, adaptedHits, style, document_, kind], id) => ({
    id, text, lower: text.toLocaleLowerCase(), change, right, baseRanks, adaptedRanks, baseHits, adaptedHits, style, document: document_, kind,
    base: first(baseRanks), adapted: adaptedRanks ? first(adaptedRanks) : 0,
  }));
  const alone = !questions.some((one) => one.adaptedHits);
  const judged = questions.some((one) => one.change !== null);
  list.classList.toggle("alone", alone);
  const state = { sort: alone ? "base" : judged ? "change" : "base", down: !alone && judged, shown: PAGE, open: null };

  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const number = (value) => value.toLocaleString("en");
  const rankText = (rank) => (rank === Infinity ? "–" : number(rank));
  const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + (Math.abs(value) / 1000).toFixed(2);

  const choices = (id, names, used) => {
    const select = byId(id);
    select.append(new Option("all", ""));
    for (const [place, name] of names.map((name, place) => [place, name]).filter(([place]) => used.has(place)).sort((a, b) => a[1].localeCompare(b[1]))) {
      select.append(new Option(name, String(place)));
    }
    select.parentElement.hidden = select.options.length < 3;
    return select;
  };
  const filters = [
    [choices("by-kind", data.kinds, new Set(questions.map((one) => one.kind))), "kind"],
    [choices("by-style", data.styles, new Set(questions.map((one) => one.style))), "style"],
    [choices("by-document", data.documents, new Set(questions.map((one) => one.document))), "document"],
  ];
  const search = byId("search"), byChange = byId("by-change");
  byChange.parentElement.hidden = alone || !judged;
  for (const one of list.querySelectorAll("[data-sort=change]")) one.parentElement.hidden = !judged;

  const matching = () => {
    const words = search.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    return questions.filter((one) =>
      words.every((word) => one.lower.includes(word)) &&
      (!byChange.value || (byChange.value === "better" ? one.change > 0 : byChange.value === "worse" ? one.change < 0 : one.change === 0)) &&
      filters.every(([select, field]) => !select.value || one[field] === Number(select.value)));
  };
  const sorted = (found) => {
    const way = state.down ? -1 : 1, key = state.sort;
    const compare = key === "text" ? (a, b) => a.lower.localeCompare(b.lower) : (a, b) => (a[key] === b[key] ? 0 : a[key] < b[key] ? -1 : 1);
    return found.sort((a, b) => way * compare(a, b) || a.id - b.id);
  };

  function rowOf(one) {
    const row = element("tr");
    const head = element("th");
    head.scope = "row";
    const button = element("button", "", one.text);
    button.type = "button";
    button.dir = "auto";
    button.setAttribute("aria-expanded", "false");
    button.dataset.question = one.id;
    head.append(button);
    row.append(head, element("td", "number", rankText(one.base)));
    if (!alone) row.append(element("td", "number", rankText(one.adapted)));
    if (judged && !alone) row.append(element("td", "number " + (one.change > 0 ? "up" : one.change < 0 ? "down" : ""), signed(one.change)));
    return row;
  }

  function show() {
    const found = sorted(matching());
    const shown = found.slice(0, state.shown);
    body.replaceChildren(...shown.map(rowOf));
    const left = data.total > questions.length ? ` (the ${number(questions.length)} that changed most, of ${number(data.total)})` : "";
    count.textContent = found.length === questions.length ? `${number(found.length)} questions${left}` : `${number(found.length)} of ${number(questions.length)} questions${left}`;
    more.hidden = shown.length === found.length;
    more.textContent = `Show ${number(Math.min(PAGE, found.length - shown.length))} more of ${number(found.length - shown.length)}`;
    for (const head of list.tHead.rows[0].cells) {
      const mine = head.firstElementChild.dataset.sort === state.sort;
      head.setAttribute("aria-sort", mine ? (state.down ? "descending" : "ascending") : "none");
    }
    const again = state.open !== null && body.querySelector(`[data-question="${state.open}"]`);
    if (again) open(again); else state.open = null;
  }

  function hits(flat, ranks, one) {
    const found = [];
    for (let at = 0; at < flat.length; at += 2) if (flat[at] >= 0) found.push({ passage: flat[at], score: flat[at + 1] / 1000, rank: at / 2 + 1 });
    const listed = new Set(found.map((hit) => hit.passage));
    one.right.forEach((passage, place) => {
      if (!listed.has(passage)) found.push({ passage, score: null, rank: ranks[place] || null, beyond: true });
    });
    return found;
  }

  function move(hit, others, isAdapted) {
    const other = others.find((one) => one.passage === hit.passage);
    if (!other || other.rank === null) return isAdapted ? "new" : "drops out";
    if (hit.rank === null) return "";
    if (other.rank === hit.rank) return "same place";
    if (!isAdapted) return `to ${number(other.rank)}`;
    return other.rank > hit.rank ? `up from ${number(other.rank)}` : `down from ${number(other.rank)}`;
  }

  function side(name, title, found, others, one) {
    const box = element("div", "side " + name);
    box.append(element("h4", "", title));
    const items = element("ol");
    for (const hit of found) {
      const item = element("li");
      item.dataset.passage = hit.passage;
      const right = one.right.includes(hit.passage);
      if (right) item.classList.add("right");
      if (hit.beyond) item.classList.add("beyond");
      const head = element("div", "head");
      head.append(element("span", "rank", hit.rank === null ? "further down" : `${number(hit.rank)}.`));
      if (right) head.append(element("span", "mark", "✔ right"));
      if (hit.score !== null) head.append(element("span", "score", hit.score.toFixed(3)));
      const [text, place] = data.passages[hit.passage];
      if (place >= 0 && data.documents.length > 1) {
        const from = element("span", "from", data.documents[place]);
        from.dir = "auto";
        head.append(from);
      }
      if (others) head.append(element("span", "move", move(hit, others, name === "adapted")));
      const words = element("div", "text", text);
      words.dir = "auto";
      item.append(head, words);
      items.append(item);
    }
    box.append(items);
    return box;
  }

  function draw(sides) {
    const svg = sides.querySelector("svg.moves");
    if (!svg) return;
    svg.replaceChildren();
    const frame = sides.getBoundingClientRect();
    for (const from of sides.querySelectorAll(".side.base li")) {
      const to = sides.querySelector(`.side.adapted li[data-passage="${from.dataset.passage}"]`);
      if (!to) continue;
      const a = from.getBoundingClientRect(), b = to.getBoundingClientRect();
      const x1 = a.right - frame.left, y1 = a.top + a.height / 2 - frame.top, x2 = b.left - frame.left, y2 = b.top + b.height / 2 - frame.top;
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", `M${x1} ${y1}C${x1 + 30} ${y1} ${x2 - 30} ${y2} ${x2} ${y2}`);
      if (from.classList.contains("right")) { path.setAttribute("class", "right"); svg.append(path); } else svg.prepend(path);
    }
  }

  function close() {
    for (const row of body.querySelectorAll("tr.detail")) row.remove();
    for (const row of body.querySelectorAll("tr.open")) {
      row.classList.remove("open");
      const button = row.querySelector("button");
      button.setAttribute("aria-expanded", "false");
      button.removeAttribute("aria-controls");
    }
    state.open = null;
  }

  function open(button) {
    close();
    const one = questions[Number(button.dataset.question)];
    state.open = one.id;
    const row = button.closest("tr");
    row.classList.add("open");
    button.setAttribute("aria-expanded", "true");
    button.setAttribute("aria-controls", "detail");
    const detail = element("tr", "detail");
    detail.id = "detail";
    const cell = element("td");
    cell.colSpan = row.cells.length;
    const about = [[data.kinds, one.kind], [data.styles, one.style], [data.documents, one.document]]
      .filter(([, place]) => place >= 0).map(([names, place]) => names[place]);
    if (about.length) cell.append(element("p", "about", about.join(" · ")));
    const sides = element("div", "sides");
    const base = hits(one.baseHits, one.baseRanks, one);
    if (one.adaptedHits) {
      const adapted = hits(one.adaptedHits, one.adaptedRanks, one);
      const lines = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      lines.setAttribute("class", "moves");
      lines.setAttribute("aria-hidden", "true");
      sides.append(lines, side("base", "Base", base, adapted, one), side("adapted", "Adapted", adapted, base, one));
    } else sides.append(side("base", "Base", base, null, one));
    const whole = element("button", "quiet", "Longer texts");
    whole.type = "button";
    whole.setAttribute("aria-pressed", "false");
    whole.addEventListener("click", () => {
      whole.setAttribute("aria-pressed", String(sides.classList.toggle("whole")));
      draw(sides);
    });
    cell.append(whole, sides);
    detail.append(cell);
    row.after(detail);
    draw(sides);
  }

  body.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-question]");
    if (!button) return;
    if (button.getAttribute("aria-expanded") === "true") close(); else open(button);
  });
  body.addEventListener("keydown", (event) => {
    const buttons = [...body.querySelectorAll("button[data-question]")], place = buttons.indexOf(document.activeElement);
    if (event.key === "Escape" && state.open !== null) {
      const button = body.querySelector("tr.open button");
      close();
      button.focus();
      return;
    }
    if (place < 0) return;
    const to = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (buttons[to]) buttons[to].focus();
  });
  list.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("[data-sort]");
    if (!button) return;
    const key = button.dataset.sort;
    state.down = state.sort === key ? !state.down : key === "change";
    state.sort = key;
    state.shown = PAGE;
    show();
  });
  const changed = () => { state.shown = PAGE; show(); };
  search.addEventListener("input", changed);
  for (const select of [byChange, ...filters.map(([select]) => select)]) select.addEventListener("change", changed);
  explorer.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => {
    const before = body.querySelectorAll("button[data-question]").length;
    state.shown += PAGE;
    show();
    const next = body.querySelectorAll("button[data-question]")[before];
    if (next) next.focus();
  });
  addEventListener("resize", () => { const sides = body.querySelector(".sides"); if (sides) draw(sides); });
  byId("no-script").hidden = true;
  explorer.hidden = false;
  show();
})();
