// Mouse, wheel, fingers and keys: what they do to the view and to the slider.

const PAN_PX = 60; // of an arrow key, on the screen
const KEYS = {
  ArrowUp: (view, ratio) => view.move(PAN_PX * ratio, 0),
  ArrowDown: (view, ratio) => view.move(-PAN_PX * ratio, 0),
  ArrowLeft: (view, ratio) => view.move(0, PAN_PX * ratio),
  ArrowRight: (view, ratio) => view.move(0, -PAN_PX * ratio),
  "+": (view) => view.step(1),
  "=": (view) => view.step(1),
  "-": (view) => view.step(-1),
  0: (view) => view.fit(),
  1: (view) => view.zoom(1),
};

export function followHands({ canvas, split, view, changed, slide, place }) {
  const fingers = new Map();
  const ratio = () => canvas.width / canvas.clientWidth;
  const point = (event) => {
    const box = canvas.getBoundingClientRect();
    return { y: (event.clientY - box.top) * ratio(), x: (event.clientX - box.left) * ratio() };
  };
  const middle = (points) => ({ y: points.reduce((sum, each) => sum + each.y, 0) / points.length, x: points.reduce((sum, each) => sum + each.x, 0) / points.length });
  const spread = (points) => (points.length < 2 ? 0 : Math.hypot(points[0].y - points[1].y, points[0].x - points[1].x));

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, point(event));
    canvas.classList.add("moving");
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!view() || !fingers.has(event.pointerId)) return;
    const before = [...fingers.values()].slice(0, 2);
    fingers.set(event.pointerId, point(event));
    const after = [...fingers.values()].slice(0, 2);
    const [from, to] = [middle(before), middle(after)];
    view().move(to.y - from.y, to.x - from.x);
    if (spread(before) > 0) view().zoom((view().scale * spread(after)) / spread(before), to);
    changed();
  });
  for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, (event) => {
    fingers.delete(event.pointerId);
    canvas.classList.toggle("moving", fingers.size > 0);
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (!view()) return;
    const lines = event.deltaMode === 1 ? 16 : 1;
    const speed = event.ctrlKey ? 0.01 : 0.0022; // a pinch of a touch pad comes as a wheel with Ctrl
    view().zoom(view().scale * Math.exp(-event.deltaY * lines * speed), point(event));
    changed();
  }, { passive: false });
  canvas.addEventListener("dblclick", (event) => {
    view()?.step(event.shiftKey ? -2 : 2, point(event));
    changed();
  });
  canvas.addEventListener("keydown", (event) => {
    const act = KEYS[event.key];
    if (!act || !view() || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act(view(), ratio());
    changed();
  });

  split.addEventListener("pointerdown", (event) => split.setPointerCapture(event.pointerId));
  split.addEventListener("pointermove", (event) => {
    if (split.hasPointerCapture(event.pointerId)) slide(point(event).x / canvas.width);
  });
  split.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 0.1 : 0.01;
    const next = { ArrowLeft: place() - step, ArrowRight: place() + step, Home: 0, End: 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    slide(next);
  });
}
