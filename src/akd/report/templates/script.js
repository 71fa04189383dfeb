// Reading a value off a curve. Without this script the page is whole, only less talkative.
"use strict";
for (const plot of document.querySelectorAll(".plot")) {
  const [x, y, [left, right, top, bottom]] = ["x", "y", "box"].map((name) => plot.dataset[name].split(",").map(Number));
  const output = plot.parentElement.querySelector("output");
  const curves = [...plot.querySelectorAll(".run:not(.run-9)")].map((group) => ({
    name: group.dataset.label,
    points: (group.firstChild.getAttribute("d").match(/-?[\d.]+ -?[\d.]+/g) || []).map((pair) => pair.split(" ").map(Number)),
  }));
  const value = ([low, high, log], share) => (log ? low * (high / low) ** share : low + (high - low) * share);
  const text = (number) => Number(number.toPrecision(3)).toLocaleString("en-GB");
  const hair = document.createElementNS(plot.namespaceURI, "path");
  hair.setAttribute("class", "hair");
  plot.prepend(hair);

  const clear = () => {
    hair.removeAttribute("d");
    output.textContent = "";
  };
  plot.addEventListener("pointerleave", clear);
  plot.addEventListener("pointermove", (event) => {
    const frame = plot.getBoundingClientRect();
    const at = ((event.clientX - frame.left) / frame.width) * plot.viewBox.baseVal.width;
    const near = (points) => points.reduce((best, point) => (Math.abs(point[0] - at) < Math.abs(best[0] - at) ? point : best));
    const found = curves.filter((curve) => curve.points.length).map((curve) => ({ name: curve.name, point: near(curve.points) }));
    if (!found.length) return clear();
    const across = found[0].point[0];
    hair.setAttribute("d", `M${across} ${top}V${bottom}`);
    const where = text(value(x, (across - left) / (right - left)));
    const read = (point) => text(value(y, (bottom - point[1]) / (bottom - top)));
    const told = found.map(({ name, point }) => (found.length > 1 ? `${name} ${read(point)}` : read(point)));
    output.textContent = `at ${where}: ${told.join(", ")}`;
  });
}
