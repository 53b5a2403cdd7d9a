"use strict";
// Without this script everything is there; with it, long tables sort and filter.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const value = (row, column) => row.cells[column].textContent.trim();
  table.querySelectorAll("thead th").forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.textContent = "";
    heading.append(button);
    button.addEventListener("click", () => {
      const up = heading.getAttribute("aria-sort") !== "ascending";
      table.querySelectorAll("thead th").forEach((each) => each.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].sort((first, second) => {
        const [a, b] = [value(first, column), value(second, column)];
        const [x, y] = [Number(a), Number(b)];
        const numbers = a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y);
        return (numbers ? x - y : a.localeCompare(b)) * (up ? 1 : -1);
      });
      body.append(...rows);
    });
  });
  const label = document.createElement("label");
  label.textContent = "rows that contain ";
  const field = document.createElement("input");
  field.type = "search";
  label.append(field);
  table.parentElement.before(label);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of body.rows) {
      const found = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => found.includes(word));
    }
  });
}
