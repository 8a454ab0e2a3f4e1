// Which part of a picture is on the screen, in whole pixels of the screen.

const STEP = Math.log(2) / 2;

/** A picture of (height, width) seen through a window of (height, width) screen pixels. */
export class Viewport {
  constructor(picture, limits) {
    this.picture = picture;
    this.limits = limits;
    this.window = { height: 1, width: 1 };
    this.centre = { y: picture.height / 2, x: picture.width / 2 };
    this.scale = 1;
  }

  get fitting() {
    const { picture, window } = this;
    return Math.min(window.height / picture.height, window.width / picture.width) * 0.94;
  }

  get least() {
    return Math.min(1, this.fitting);
  }

  /** The side limit of the server, a little below. */
  get most() {
    return (0.99 * this.limits.side_px) / Math.max(this.picture.height, this.picture.width);
  }

  /** The whole picture at this scale, and where its corner is on the screen. */
  get placed() {
    const { picture, window, centre, scale } = this;
    const height = Math.max(1, Math.round(picture.height * scale));
    const width = Math.max(1, Math.round(picture.width * scale));
    const top = Math.round(window.height / 2 - (centre.y / picture.height) * height);
    const left = Math.round(window.width / 2 - (centre.x / picture.width) * width);
    return { height, width, top, left };
  }

  /** The part that is on the screen, as the server names it; null = nothing is. */
  get seen() {
    const { height, width, top, left } = this.placed;
    const first = { y: Math.max(0, -top), x: Math.max(0, -left) };
    const last = { y: Math.min(height, this.window.height - top), x: Math.min(width, this.window.width - left) };
    if (last.y <= first.y || last.x <= first.x) return null;
    return { height, width, top: first.y, left: first.x, rows: last.y - first.y, columns: last.x - first.x };
  }

  resize(height, width) {
    const fitted = Math.abs(this.scale / this.fitting - 1) < 0.01;
    this.window = { height, width };
    if (fitted) this.scale = this.fitting;
    this.hold();
  }

  fit() {
    this.centre = { y: this.picture.height / 2, x: this.picture.width / 2 };
    this.scale = this.fitting;
  }

  move(down, right) {
    this.centre = { y: this.centre.y - down / this.scale, x: this.centre.x - right / this.scale };
    this.hold();
  }

  /** Another scale; what is at a point of the screen stays there. */
  zoom(scale, at = { y: this.window.height / 2, x: this.window.width / 2 }) {
    const next = Math.min(this.most, Math.max(this.least, scale));
    const away = { y: at.y - this.window.height / 2, x: at.x - this.window.width / 2 };
    const by = 1 / this.scale - 1 / next;
    this.centre = { y: this.centre.y + away.y * by, x: this.centre.x + away.x * by };
    this.scale = next;
    this.hold();
  }

  step(steps, at) {
    this.zoom(this.scale * Math.exp(STEP * steps), at);
  }

  /** The picture's centre stays where the picture is. */
  hold() {
    const { centre, picture } = this;
    centre.y = Math.min(picture.height, Math.max(0, centre.y));
    centre.x = Math.min(picture.width, Math.max(0, centre.x));
  }

  /** The scale as a share of its logarithmic range up to a depth that a slider can reach, and back. */
  get share() {
    return Math.log(this.scale / this.least) / Math.log(this.deepest / this.least);
  }

  set share(share) {
    this.zoom(this.least * (this.deepest / this.least) ** share);
  }

  get deepest() {
    return Math.min(this.most, 64);
  }
}
