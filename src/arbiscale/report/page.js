"use strict";
(() => {
  const content = JSON.parse(document.getElementById("content").textContent);
  const one = (identity) => document.getElementById(identity);

  // Pictures are held once and shown in several places.
  for (const image of document.querySelectorAll("img[data-picture]")) {
    image.src = content.pictures[image.dataset.picture];
  }

  // Details: the picture enlarged behind a square window; frames: the same square, drawn on the picture.
  for (const part of document.querySelectorAll("[data-box]")) {
    const [left, top, right, bottom] = part.dataset.box.split(" ").map(Number);
    const picture = part.matches("img") ? part : part.parentElement.querySelector("img");
    const width = Number(picture.getAttribute("width"));
    const height = Number(picture.getAttribute("height"));
    if (part === picture) {
      part.style.width = `${(100 * width) / (right - left)}%`;
      part.style.left = `${(-100 * left) / (right - left)}%`;
      part.style.top = `${(-100 * top) / (bottom - top)}%`;
    } else {
      part.style.left = `${(100 * left) / width}%`;
      part.style.top = `${(100 * top) / height}%`;
      part.style.width = `${(100 * (right - left)) / width}%`;
      part.style.height = `${(100 * (bottom - top)) / height}%`;
    }
  }

  sortTables();
  if (content.strips.length) startSlider();

  function sortTables() {
    for (const table of document.querySelectorAll("table.sortable")) {
      const heads = [...table.querySelectorAll("thead th")];
      heads.forEach((head, column) => {
        head.querySelector("button").addEventListener("click", () => {
          const before = head.getAttribute("aria-sort");
          const falling = before === "ascending" || (column > 0 && before === null);
          heads.forEach((other) => other.removeAttribute("aria-sort"));
          head.setAttribute("aria-sort", falling ? "descending" : "ascending");
          for (const body of table.tBodies) sortBody(body, column, falling ? -1 : 1);
        });
      });
    }
  }

  function sortBody(body, column, sign) {
    const value = (row) => row.cells[column].dataset.value;
    const rows = [...body.rows].slice(1);
    rows.sort((a, b) => {
      if (value(a) === "" || value(b) === "") return (value(a) === "") - (value(b) === "");
      return sign * (Number(value(a)) - Number(value(b)));
    });
    body.append(...rows);
  }

  function startSlider() {
    const [strips, left, right, zoom] = ["strip", "left", "right", "zoom"].map(one);
    const [stage, handle, under, over] = ["stage", "handle", "under", "over"].map(one);
    let strip = null;

    const groups = new Map();
    content.strips.forEach((each, index) => {
      const kind = each.id.split("-")[0];
      const name = kind === "sheet" ? each.group : `${each.group}, ${kind}`;
      if (!groups.has(name)) {
        groups.set(name, document.createElement("optgroup"));
        groups.get(name).label = name;
        strips.append(groups.get(name));
      }
      const label = `${each.group} ${each.title}${kind === "sheet" ? "" : ` (${each.note})`}`;
      groups.get(name).append(new Option(label, index));
    });

    function choose(index) {
      const before = strip && { left: left.value, right: right.value };
      strip = content.strips[index];
      strips.value = index;
      for (const side of ["left", "right"]) {
        const rows = strip.tiles.map((tile) => new Option(tile.label, tile.row));
        one(side).replaceChildren(...rows);
        const kept = before && strip.tiles.some((tile) => tile.row === before[side]);
        one(side).value = kept ? before[side] : strip[side];
      }
      one("strip-note").textContent = [strip.note, strip.credit].filter(Boolean).join(". ");
      show();
    }

    function show() {
      const tile = (select) => strip.tiles.find((each) => each.row === select.value);
      for (const [select, image] of [[left, over], [right, under]]) {
        const shown = tile(select);
        image.src = content.pictures[shown.picture];
        image.alt = `${strip.title}, ${strip.group}: ${shown.label}`;
        one(`${select.id}-numbers`).textContent = shown.numbers.join(", ");
      }
      resize();
    }

    function resize() {
      const size = strip.tiles.find((each) => each.row === right.value); // both are shown at its size
      stage.style.aspectRatio = `${size.width} / ${size.height}`;
      const fit = `min(100%, ${3 * size.width}px, ${(80 * size.width) / size.height}vh)`;
      stage.style.width = zoom.value === "fit" ? fit : `${zoom.value * size.width}px`;
    }

    function place(percent) {
      const at = Math.min(100, Math.max(0, percent));
      stage.style.setProperty("--at", `${at}%`);
      handle.setAttribute("aria-valuenow", Math.round(at));
      handle.dataset.at = at;
    }

    function follow(event) {
      const box = stage.getBoundingClientRect();
      place((100 * (event.clientX - box.left)) / box.width);
    }

    stage.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      stage.setPointerCapture(event.pointerId);
      handle.focus({ preventScroll: true });
      follow(event);
      event.preventDefault();
    });
    stage.addEventListener("pointermove", (event) => {
      if (stage.hasPointerCapture(event.pointerId)) follow(event);
    });
    handle.addEventListener("keydown", (event) => {
      const at = Number(handle.dataset.at);
      const step = event.shiftKey ? 10 : 1;
      const places = {
        ArrowLeft: at - step, ArrowDown: at - step, ArrowRight: at + step, ArrowUp: at + step,
        PageDown: at - 10, PageUp: at + 10, Home: 0, End: 100,
      };
      if (event.key in places) {
        place(places[event.key]);
        event.preventDefault();
      }
    });
    strips.addEventListener("change", () => choose(Number(strips.value)));
    left.addEventListener("change", show);
    right.addEventListener("change", show);
    zoom.addEventListener("change", resize);
    one("pixelated").addEventListener("change", (event) => {
      stage.classList.toggle("pixelated", event.target.checked);
    });
    for (const button of document.querySelectorAll("button.to-slider")) {
      button.addEventListener("click", () => {
        choose(content.strips.findIndex((each) => each.id === button.dataset.strip));
        one("slider").scrollIntoView();
      });
    }
    place(50);
    choose(0);
  }
})();
