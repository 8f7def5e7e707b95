"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Missing values stay at the end whichever way a table is sorted.
  const byValue = (sign, numeric) => (a, b) => {
    if (a.value === "" || b.value === "") return (a.value === "") - (b.value === "");
    const order = numeric ? a.value - b.value : a.value.localeCompare(b.value, undefined, { numeric: true });
    return sign * order;
  };

  const sortTable = (button) => {
    const table = button.closest("table");
    const head = button.closest("th");
    const now = head.getAttribute("aria-sort");
    const turned = now === "ascending" ? "descending" : "ascending";
    const direction = now === "none" ? button.dataset.first : turned;
    for (const other of all("th[aria-sort]", table)) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", direction);
    const column = Number(button.dataset.column);
    const rows = [...table.tBodies[0].rows].map((row) => ({ row, value: row.cells[column].dataset.value }));
    rows.sort(byValue(direction === "ascending" ? 1 : -1, column > 0));
    table.tBodies[0].append(...rows.map((item) => item.row));
  };
  for (const button of all(".sort")) button.addEventListener("click", () => sortTable(button));

  for (const select of all(".reference")) {
    const tables = all(".test", select.closest(".tests"));
    const show = () => tables.forEach((table, place) => { table.hidden = place !== Number(select.value); });
    select.addEventListener("change", show);
    show();
  }

  const mean = (values) => {
    const known = values.filter((value) => value !== null);
    return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
  };

  // What a card is ordered by, smallest first; null goes last.
  const orderKey = (values, order, judge, first, second, higher) => {
    const up = higher ? 1 : -1;
    if (order === "spread") {
      const known = values[first] !== null && values[second] !== null;
      return known ? -up * (values[first] - values[second]) : null;
    }
    const value = judge < 0 ? mean(values) : values[judge];
    return value === null ? null : value * up * (order === "worst" ? 1 : -1);
  };

  for (const gallery of all(".gallery")) {
    const higher = gallery.dataset.higher === "true";
    const holder = gallery.querySelector(".cards");
    const form = gallery.querySelector("form");
    const value = (name) => form.querySelector(`.${name}`).value;
    const arrange = () => {
      const order = value("order");
      form.querySelector(".judged").hidden = order === "name" || order === "spread";
      for (const label of all(".compared", form)) label.hidden = order !== "spread";
      const cards = all(".card", holder).map((card) => ({
        card,
        key: order === "name" ? 0 : orderKey(
          JSON.parse(card.dataset.values), order,
          Number(value("judge")), Number(value("first")), Number(value("second")), higher),
      }));
      cards.sort((a, b) => {
        if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
        return a.key - b.key || a.card.dataset.name.localeCompare(b.card.dataset.name, undefined, { numeric: true });
      });
      holder.append(...cards.map((item) => item.card));
    };
    form.addEventListener("change", arrange);
    form.addEventListener("submit", (event) => event.preventDefault());
    arrange();
  }

  const dialog = document.querySelector("dialog");
  const picture = dialog.querySelector("img");
  let shown = null;
  const show = (button) => {
    shown = button;
    const photo = button.closest(".card").dataset.name;
    picture.src = button.querySelector("img").src;
    picture.alt = `${button.dataset.title}, ${photo}`;
    dialog.querySelector(".what").textContent = `${photo} · ${button.dataset.title}`;
    dialog.querySelector(".detail").textContent = button.dataset.detail;
  };
  const go = (step) => {
    const buttons = all(".open", shown.closest(".gallery"));
    show(buttons[(buttons.indexOf(shown) + step + buttons.length) % buttons.length]);
  };
  for (const button of all(".open")) {
    button.addEventListener("click", () => { show(button); dialog.showModal(); });
  }
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.querySelector(".back").addEventListener("click", () => go(-1));
  dialog.querySelector(".on").addEventListener("click", () => go(1));
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") go(1);
    if (event.key === "ArrowLeft") go(-1);
  });
  // The picture last seen is the one to go on from.
  dialog.addEventListener("close", () => { shown.scrollIntoView({ block: "nearest" }); shown.focus(); });
})();
