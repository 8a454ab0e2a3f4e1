// What the server answers; its refusals become errors of one line.

export class Refused extends Error {
  constructor(status, line) {
    super(line);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "the server does not answer; start arbiscale page again");
  }
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, body.error ?? `the server says ${answer.status}`);
}

const json = async (path, options) => (await ask(path, options)).json();

const query = (values) =>
  new URLSearchParams(Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== ""));

export const models = () => json("/models");
export const work = () => json("/work");
export const model = (name) => json(`/model?${query({ model: name })}`);

/** Keep a file; {picture, height, width}. */
export function keep(file) {
  const headers = { "X-File-Name": encodeURIComponent(file.name || "picture") };
  return json("/pictures", { method: "POST", body: file, headers });
}

/** A part of a picture, as the browser draws it. */
export async function view(picture, region, drawn, signal) {
  const answer = await ask(`/pictures/${picture}/view?${query({ ...region, ...drawn, format: "jpg" })}`, { signal });
  return createImageBitmap(await answer.blob());
}

/** All of a picture, as a file. */
export async function whole(picture, size, drawn, format, signal) {
  return (await ask(`/pictures/${picture}?${query({ ...size, ...drawn, format })}`, { signal })).blob();
}
