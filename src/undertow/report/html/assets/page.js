// The page itself: sections, theme, and news of a run that goes on.
function makeTable(spec) {
  const numeric = spec.columns.map((_, column) => spec.rows.length > 0 && spec.rows.every((row) => row[column] === "-" || /^[-\d.,e+]+$|^(nan|inf|-inf)$/.test(row[column])));
  const cell = (tag, text, column) => element(tag, { class: numeric[column] ? "number" : null, scope: tag === "th" ? "col" : null, text });
  const head = element("tr", {}, ...spec.columns.map((text, column) => cell("th", text, column)));
  const rows = spec.rows.map((row) => element("tr", {}, ...row.map((text, column) => cell("td", text, column))));
  const table = element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows));
  const box = element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "table" }, table);
  return { node: element("div", { class: "wide" }, box, ...(spec.note ? [element("p", { class: "note", text: spec.note })] : [])) };
}

function makeFacts(spec) {
  const rows = spec.pairs.map(([name, value]) => element("tr", {}, element("th", { scope: "row", text: name }), element("td", { text: value })));
  const table = element("div", { class: "scroll" }, element("table", { class: "facts" }, element("tbody", {}, ...rows)));
  if (!spec.summary) return { node: element("div", { class: "wide" }, table) };
  return { node: element("details", { class: "wide" }, element("summary", { text: spec.summary }), table) };
}

const BLOCKS = { table: makeTable, facts: makeFacts, chart: makeChart, scatter: makeScatter, player: makePlayer };

function makeSection(section) {
  const blocks = section.blocks.map((block) => BLOCKS[block.kind](block).node);
  return element("section", { id: section.name, "aria-labelledby": `${section.name}-title` },
    element("h2", { id: `${section.name}-title`, text: section.title }),
    ...(section.note ? [element("p", { class: "note", text: section.note })] : []),
    element("div", { class: "blocks" }, ...blocks));
}

const status = document.querySelector(".status");
document.querySelector("h1").textContent = page.title;
document.querySelector(".subtitle").textContent = page.subtitle;
status.textContent = page.status;
document.querySelector("nav").append(...page.sections.map((each) => element("a", { href: `#${each.name}`, text: each.title })));
document.querySelector("main").append(...page.sections.map(makeSection));

const tools = document.querySelector(".tools");
const dark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
const theme = element("button", { type: "button", onclick: () => {
  document.documentElement.dataset.theme = dark() ? "light" : "dark";
  theme.textContent = dark() ? "light" : "dark";
} }, dark() ? "light" : "dark");
theme.setAttribute("aria-label", "switch between light and dark");
tools.append(theme);

if (page.live) {
  const known = {};
  const wait = (busy) => {
    renew.disabled = busy;
    renew.textContent = busy ? "evaluating …" : "evaluate the newest checkpoint";
  };
  const renew = element("button", { type: "button", onclick: () => {
    wait(true);
    fetch(page.live.renew, { method: "POST", headers: { "X-Undertow-Token": page.live.token } })
      .then((answer) => answer.ok || wait(false), () => wait(false));
  } });
  wait(false);
  tools.prepend(renew);
  const ask = async () => {
    try {
      const news = await (await fetch(page.live.news)).json();
      status.textContent = news.status;
      wait(news.busy);
      if (news.version !== page.live.version) location.reload();
      for (const section of news.sections) {
        const text = JSON.stringify(section);
        if (known[section.name] !== text) document.getElementById(section.name).replaceWith(makeSection(section));
        known[section.name] = text;
      }
    } catch {
      status.textContent = `${page.status} · nobody answers: the server has stopped`;
    }
    setTimeout(ask, 1000 * page.live.seconds);
  };
  for (const section of page.sections) known[section.name] = JSON.stringify(section);
  setTimeout(ask, 1000 * page.live.seconds);
}
