#pragma once

namespace cairn::cli {

// Style and script of the report page: no external font, image or library.
inline constexpr char kReportStyle[] = R"css(
:root {
  color-scheme: light dark;
  --page: #f6f5f1; --card: #ffffff; --ink: #1d2127; --soft: #5d6672; --line: #e3e1da;
  --c0: #1f6feb; --c1: #d9730d; --c2: #2a9d62; --c3: #a04bc9; --c4: #c2334d; --c5: #7a7f87;
  --good: #2a9d62; --bad: #c2334d; --tip: #1d2127; --tip-ink: #ffffff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12151a; --card: #1a1f27; --ink: #e9ecf1; --soft: #98a2b0; --line: #2b323d;
    --c0: #5ba0ff; --c1: #f0984a; --c2: #55c98c; --c3: #c88bea; --c4: #f0708a; --c5: #9aa2ad;
    --good: #55c98c; --bad: #f0708a; --tip: #e9ecf1; --tip-ink: #12151a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1180px; margin: 0 auto; padding: 40px 24px 64px; }
header { display: flex; gap: 18px; align-items: flex-start; margin-bottom: 28px; }
header svg { width: 52px; height: 52px; flex: none; margin-top: 4px; }
h1 { font-size: 32px; line-height: 1.15; margin: 0 0 6px; letter-spacing: -0.02em; }
h2 { font-size: 18px; margin: 0 0 4px; letter-spacing: -0.01em; }
p { margin: 0; }
.soft { color: var(--soft); }
.small { font-size: 14px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 16px; }
.card, .tile {
  background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 20px 22px;
  min-width: 0;
}
.tile b { display: block; font-size: 30px; line-height: 1.2; letter-spacing: -0.02em;
  font-variant-numeric: tabular-nums; }
.tile:first-child b { color: var(--c0); }
.tile p { font-size: 14px; color: var(--soft); }
.charts { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 16px;
  margin: 16px 0; grid-auto-rows: auto; }
.main { grid-row: span 2; display: flex; flex-direction: column; }
.main:nth-last-child(-n + 2), .wide { grid-column: 1 / -1; }
.card > svg { display: block; width: 100%; height: auto; margin-top: 12px; overflow: visible; }
.tick, .marktext, .value { font-size: 14px; fill: var(--soft); font-variant-numeric: tabular-nums; }
.value { fill: var(--ink); font-weight: 600; }
.axis { font-size: 14px; fill: var(--ink); }
.side .tick, .side .axis, .side .marktext, .side .value { font-size: 20px; }
.side .ytitle { display: none; }
.marktext { fill: var(--ink); paint-order: stroke; stroke: var(--card); stroke-width: 6px; }
.grid { stroke: var(--line); stroke-width: 1; }
.mark { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 4 4; }
.curve { fill: none; stroke: var(--c); stroke-width: 2.2; stroke-linejoin: round; }
.curve.ours { stroke-width: 3.6; }
.dot { fill: var(--card); stroke: var(--c); stroke-width: 2.6; }
.dot:hover, .dot:focus { fill: var(--c); outline: none; }
.bar { fill: var(--c); }
.bar:hover, .bar:focus { opacity: 0.75; outline: none; }
.c0 { --c: var(--c0); } .c1 { --c: var(--c1); } .c2 { --c: var(--c2); }
.c3 { --c: var(--c3); } .c4 { --c: var(--c4); } .c5 { --c: var(--c5); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; font-size: 14px; margin-top: 10px; }
.legend span { display: inline-flex; align-items: center; gap: 8px; }
.legend i { width: 14px; height: 14px; border-radius: 4px; background: var(--c); flex: none; }
.scroll { overflow-x: auto; margin-top: 12px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 10px; text-align: right; white-space: nowrap; }
th { color: var(--soft); font-weight: 500; border-bottom: 1px solid var(--line); }
td { border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
.row { display: flex; gap: 18px; align-items: flex-start; padding: 14px 0;
  border-bottom: 1px solid var(--line); }
.row:last-child { border-bottom: 0; padding-bottom: 0; }
.hits { display: grid; grid-template-columns: repeat(10, minmax(0, 1fr)); gap: 8px; flex: 1;
  min-width: 0; }
figure { margin: 0; min-width: 0; font-size: 12px; line-height: 1.3; }
figure img { width: 100%; aspect-ratio: 1; object-fit: contain; display: block; border-radius: 8px;
  background: #000; image-rendering: pixelated; border: 2px solid transparent; }
figure.same img { border-color: var(--good); }
figure.other img { border-color: var(--bad); }
figcaption { margin-top: 3px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.query { width: 104px; flex: none; font-weight: 600; overflow-wrap: anywhere; }
.query figcaption { font-size: 14px; white-space: normal; }
.chips { display: flex; flex-wrap: wrap; gap: 8px; min-width: 0; }
.chip { border: 1px solid var(--line); border-radius: 999px; padding: 3px 12px; max-width: 100%;
  overflow-wrap: anywhere; background: var(--page); }
.chip small { color: var(--soft); margin-left: 6px; font-variant-numeric: tabular-nums; }
.word { width: 160px; }
footer { margin-top: 24px; font-size: 14px; color: var(--soft); overflow-wrap: anywhere; }
#tip { position: fixed; z-index: 9; pointer-events: none; opacity: 0; transition: opacity 0.1s;
  background: var(--tip); color: var(--tip-ink); border-radius: 8px; padding: 8px 12px;
  font-size: 13px; line-height: 1.4; white-space: pre; font-variant-numeric: tabular-nums; }
@media (max-width: 860px) {
  .charts { grid-template-columns: minmax(0, 1fr); }
  .main { grid-row: auto; }
  .hits { grid-template-columns: repeat(5, minmax(0, 1fr)); }
}
@media (max-width: 560px) {
  main { padding: 24px 14px 40px; }
  header svg { width: 40px; height: 40px; }
  h1 { font-size: 25px; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 10px; }
  .tile, .card { padding: 14px 14px; }
  .tile b { font-size: 23px; }
  .tick, .axis, .marktext, .value { font-size: 19px; }
  .ytitle { display: none; }
  .tile:first-child { grid-column: 1 / -1; }
  .row { flex-direction: column; gap: 10px; }
  .hits { width: 100%; }
  .query, .word { width: auto; }
  .query img { width: 96px; }
}
)css";

inline constexpr char kReportScript[] = R"js(
const tip = document.getElementById('tip');
const show = (target, x, y) => {
  tip.textContent = target.dataset.tip;
  tip.style.opacity = 1;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(8, Math.min(x + 14, innerWidth - box.width - 8)) + 'px';
  tip.style.top = (y - box.height - 12 < 8 ? y + 18 : y - box.height - 12) + 'px';
};
const hide = () => { tip.style.opacity = 0; };
addEventListener('pointermove', (event) => {
  const target = event.target.closest('[data-tip]');
  if (target) show(target, event.clientX, event.clientY); else hide();
});
addEventListener('focusin', (event) => {
  if (!event.target.dataset.tip) return hide();
  const box = event.target.getBoundingClientRect();
  show(event.target, box.x + box.width / 2, box.y);
});
addEventListener('scroll', hide, {passive: true});
)js";

}  // namespace cairn::cli
