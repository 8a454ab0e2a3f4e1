// The picture as a file, at any size.
import * as server from "/page/server.js";

const LOOK_MS = 300;

export function offerDownload({ dialog, button, progress, status, sides, complain, look, now }) {
  const { side, scale, height, width, format, cancel } = dialog.querySelector("form").elements;
  const note = dialog.querySelector(".note");
  const save = dialog.querySelector("[value=save]");
  let saving = null;

  function sized(by) {
    const { picture, about } = now();
    const factor = { scale: () => Number(scale.value.replace(",", ".")), height: () => height.value / picture.height, width: () => width.value / picture.width }[by]();
    if (by !== "scale") scale.value = Number(factor.toPrecision(5));
    if (by !== "height") height.value = Math.round(picture.height * factor);
    if (by !== "width") width.value = Math.round(picture.width * factor);
    const pixels = height.value * width.value;
    const { output_px: most, longest_px: longest } = about.limits;
    const long = Math.max(height.value, width.value) > longest;
    note.textContent = pixels > most ? `at most ${(most / 1e6).toFixed(0)} megapixels are drawn` : long ? `at most ${longest.toLocaleString("en")} px a side are drawn` : `${(pixels / 1e6).toFixed(1)} megapixels`;
    save.disabled = !(pixels >= 1 && pixels <= most && !long);
  }

  scale.addEventListener("input", () => sized("scale"));
  height.addEventListener("input", () => sized("height"));
  width.addEventListener("input", () => sized("width"));
  button.addEventListener("click", () => {
    if (saving) return saving.abort();
    const { picture, view, about } = now();
    const most = Math.min(Math.sqrt(about.limits.output_px / (picture.height * picture.width)), about.limits.longest_px / Math.max(picture.height, picture.width));
    scale.value = Number(Math.min(most * 0.999, Math.max(1, view.scale)).toPrecision(4));
    for (const [index, option] of [...side.options].reverse().entries()) {
      option.textContent = sides[index].select.selectedOptions[0].textContent;
      option.disabled = !sides[index].draws;
    }
    sized("scale");
    return dialog.showModal();
  });
  cancel.addEventListener("click", () => dialog.close(""));
  dialog.addEventListener("close", async () => {
    if (dialog.returnValue !== "save") return;
    const { picture } = now();
    saving = new AbortController();
    button.textContent = "Cancel";
    complain(null);
    const looking = setInterval(look, LOOK_MS);
    try {
      const size = { height: height.value, width: width.value };
      const file = await server.whole(picture.picture, size, sides[side.value === "left" ? 0 : 1].drawn, format.value, saving.signal);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(file);
      link.download = `${picture.name.replace(/\.[^.]*$/, "")}-${width.value}x${height.value}.${format.value}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
      status.textContent = `${link.download}: ${(file.size / 1e6).toFixed(1)} MB`;
    } catch (error) {
      if (error.name !== "AbortError") complain(error);
    } finally {
      clearInterval(looking);
      progress.hidden = true;
      saving = null;
      button.textContent = "Download …";
    }
  });
}
