// A field to draw in: white strokes on black, sent as 64 × 64 grey values when the pen is lifted.
const ready = new WeakSet();

export default function (component) {
  const { parentElement, setTriggerValue } = component;
  const canvas = parentElement.querySelector("canvas");
  if (ready.has(canvas)) return;
  ready.add(canvas);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const clear = () => { context.fillStyle = "#000"; context.fillRect(0, 0, 64, 64); };
  clear();
  let last = null;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * 64 / box.width, (event.clientY - box.top) * 64 / box.height];
  };
  const stroke = (to) => {
    Object.assign(context, { strokeStyle: "#fff", lineWidth: 8, lineCap: "round", lineJoin: "round" });
    context.beginPath();
    context.moveTo(...last);
    context.lineTo(...to);
    context.stroke();
    last = to;
  };
  const send = () => {
    const pixels = context.getImageData(0, 0, 64, 64).data;
    let text = "";
    for (let i = 0; i < pixels.length; i += 4) text += String.fromCharCode(pixels[i]);
    setTriggerValue("drawn", btoa(text));
  };
  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = at(event);
    stroke(last);
  };
  canvas.onpointermove = (event) => { if (last) stroke(at(event)); };
  canvas.onpointerup = () => { if (last) { last = null; send(); } };
  canvas.onpointercancel = () => { last = null; };
  parentElement.querySelector("button").onclick = () => { clear(); send(); };
}
