// Something in motion: a case to choose, a slider through time, and views that follow it.
const VIEWS = { chart: makeChart, map: makeMap, scene: makeScene };

function makePlayer(spec) {
  const chooser = element("select", { "aria-label": spec.choose });
  spec.items.forEach((item, index) => chooser.append(element("option", { value: index, text: item.name })));
  const play = element("button", { type: "button", "aria-label": "play" }, "▶");
  const back = element("button", { type: "button", "aria-label": "one step back" }, "◀|");
  const on = element("button", { type: "button", "aria-label": "one step on" }, "|▶");
  const slider = element("input", { type: "range", min: 0, step: 1, value: 0, "aria-label": "time" });
  const clock = element("output");
  const controls = element("div", { class: "controls" }, chooser, back, play, on, slider, clock);
  const groups = element("div", { class: "controls" });
  const stage = element("div", { class: "views" });
  const node = element("div", { class: "player wide" }, controls, groups, stage);
  const state = { item: null, views: [], frame: 0, timer: null, chosen: {} };

  function show(frame) {
    const times = state.item.times;
    state.frame = Math.max(0, Math.min(frame, times.length - 1));
    slider.value = state.frame;
    clock.textContent = `t = ${short(times[state.frame])} of ${short(times[times.length - 1])}`;
    slider.setAttribute("aria-valuetext", clock.textContent);
    for (const view of state.views) view.show(state.frame, times[state.frame]);
  }

  function build() {
    // Of views in one group one is shown; the rest is not even decoded.
    const named = {};
    for (const view of state.item.views) if (view.group) (named[view.group] ||= []).push(view.title);
    state.views = [];
    const nodes = [];
    for (const view of state.item.views) {
      if (view.group && view.title !== (named[view.group].includes(state.chosen[view.group]) ? state.chosen[view.group] : named[view.group][0])) continue;
      const made = VIEWS[view.kind](view);
      state.views.push(made);
      nodes.push(made.node);
    }
    stage.replaceChildren(...nodes);
    groups.replaceChildren(
      ...Object.entries(named).filter(([, titles]) => titles.length > 1).map(([group, titles]) => {
        const choice = element("select", { "aria-label": group }, ...titles.map((title) => element("option", { value: title, text: title })));
        choice.value = titles.includes(state.chosen[group]) ? state.chosen[group] : titles[0];
        choice.addEventListener("change", () => {
          state.chosen[group] = choice.value;
          build();
          groups.querySelector(`select[aria-label="${group}"]`).focus();
        });
        return choice;
      }),
    );
    show(state.frame);
  }

  function choose(index) {
    state.item = spec.items[index];
    slider.max = state.item.times.length - 1;
    build();
  }

  function pause() {
    clearInterval(state.timer);
    state.timer = null;
    play.textContent = "▶";
    play.setAttribute("aria-label", "play");
  }

  function start() {
    // From the end it begins anew; the whole takes about six seconds.
    if (state.frame === state.item.times.length - 1) show(0);
    const last = state.item.times.length - 1;
    const every = Math.max(40, Math.min(250, 6000 / state.item.times.length));
    state.timer = setInterval(() => {
      if (state.frame >= last) pause();
      else show(state.frame + 1);
    }, every);
    play.textContent = "❚❚";
    play.setAttribute("aria-label", "pause");
  }

  const toggle = () => (state.timer === null ? start() : pause());
  const step = (by) => {
    pause();
    show(state.frame + by);
  };
  play.addEventListener("click", toggle);
  back.addEventListener("click", () => step(-1));
  on.addEventListener("click", () => step(1));
  slider.addEventListener("input", () => {
    pause();
    show(Number(slider.value));
  });
  slider.addEventListener("keydown", (event) => {
    if (event.key !== " ") return;
    event.preventDefault();
    toggle();
  });
  chooser.addEventListener("change", () => {
    pause();
    choose(Number(chooser.value));
  });
  choose(0);
  // The end says most, before anything is touched.
  show(state.item.times.length - 1);
  return { node };
}
