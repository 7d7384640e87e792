#include "bitstill/report/style.hpp"

#include "bitstill/base/text.hpp"
#include "bitstill/report/markup.hpp"

namespace bitstill {
namespace {

// Run colours --c0..7 are told apart with the common colour deficiencies; bar colours --p-* carry
// white text at 4.5:1 or more in both modes.
constexpr const char* kStyle = R"css(
:root{color-scheme:light dark;--page:#f6f6f3;--card:#fff;--ink:#1b1c1d;--soft:#5d6064;
--rule:#e4e3de;--axis:#a9a9a3;--hue:#2a68c8;--note:#fff5dc;
--c0:#2a6fd6;--c1:#d9591c;--c2:#128a5e;--c3:#b5378f;--c4:#b58900;--c5:#5b46b8;--c6:#c9302c;--c7:#0d8aa5;
--p-data:#74777c;--p-teacher:#7a4fb5;--p-gather:#5a3690;--p-quantize:#a86a00;--p-forward:#2f7fd0;--p-backward:#1f559c;
--p-exchange:#c23b3b;--p-update:#1b7f68}
@media (prefers-color-scheme:dark){:root{--page:#151617;--card:#1e2022;--ink:#eceae5;--soft:#a3a6aa;
--rule:#323437;--axis:#6b6e72;--hue:#7fb0f5;--note:#3a3120;
--c0:#5b9bf3;--c1:#f0834b;--c2:#3dbb8a;--c3:#e07cc2;--c4:#d9b23c;--c5:#a194f0;--c6:#f0716c;--c7:#4fc0d8;
--p-data:#6b6e73;--p-teacher:#8459c0;--p-gather:#6a45a0;--p-quantize:#a06600;--p-forward:#2d78c6;--p-backward:#2a5da3;
--p-exchange:#c04343;--p-update:#1b7f68}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Liberation Sans",sans-serif}
main{max-width:1280px;margin:0 auto;padding:40px 24px 64px}
header p,.lead{color:var(--soft);margin:6px 0 0}
h1{font-size:30px;line-height:1.2;letter-spacing:-.015em;margin:2px 0 0;overflow-wrap:anywhere}
h2{font-size:19px;letter-spacing:-.005em;margin:44px 0 4px}
.kicker{color:var(--hue);font-weight:600;font-size:13px;letter-spacing:.06em;text-transform:uppercase}
small{color:var(--soft);font-size:13px;font-weight:400}
.card{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:16px 18px;margin:0;min-width:0}
.note{background:var(--note);border-radius:8px;padding:8px 14px;margin:8px 0 0;list-style:none}
.notes{margin:18px 0 0;padding:0}
.tiles,.grid{display:grid;gap:14px;margin-top:14px}
.tiles{grid-template-columns:repeat(auto-fit,minmax(170px,1fr));margin-top:24px}
.tiles dt{color:var(--soft);font-size:13px}
.tiles dd{margin:2px 0 0;font-size:25px;font-weight:600;letter-spacing:-.015em;font-variant-numeric:tabular-nums}
.tiles dd small{display:block;letter-spacing:0;line-height:1.4;margin-top:2px}
.grid{grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr))}
.stack>*+*{margin-top:14px}.stack{margin-top:14px}
figcaption{font-weight:600;margin-bottom:8px}
figcaption small{margin-left:4px}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{font-family:inherit;fill:var(--ink)}
.costs{grid-template-columns:repeat(auto-fit,minmax(min(100%,500px),1fr))}
.middle,.narrow{display:none}
text.tick{font-size:12px;fill:var(--soft);font-variant-numeric:tabular-nums}
text.name{font-size:12.5px;font-weight:500;paint-order:stroke;stroke:var(--card);stroke-width:3px;stroke-linejoin:round}
text.inside{font-size:12px;fill:#fff;pointer-events:none}
line.grid{stroke:var(--rule);stroke-width:1}
line.base{stroke:var(--axis);stroke-width:1}
.curve{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.curve.dashed{stroke-dasharray:5 4.5}
.curve.thin{stroke-width:1.2}
.mark{fill:currentColor}.mark.hollow{fill:var(--card);stroke:currentColor;stroke-width:1.5}
.hit{fill:currentColor;fill-opacity:0}
.hit:hover{fill-opacity:.35}
.bar{fill:currentColor}.bar:hover{filter:brightness(1.12)}
.dot{fill:currentColor;stroke:var(--card);stroke-width:1.5}.dot:hover{stroke:var(--ink)}
.heat{fill:currentColor}.heat:hover{stroke:var(--ink)}
.h1{fill-opacity:.1}.h2{fill-opacity:.2}.h3{fill-opacity:.3}.h4{fill-opacity:.4}.h5{fill-opacity:.5}
.h6{fill-opacity:.6}.h7{fill-opacity:.7}.h8{fill-opacity:.85}.h9{fill-opacity:1}
text.cell{font-size:12px;pointer-events:none;font-variant-numeric:tabular-nums}
.interval{stroke:currentColor;stroke-width:1.5;opacity:.75}
.frontier{fill:none;stroke:var(--axis);stroke-width:1.5;stroke-dasharray:2 4;stroke-linecap:round}
.legend{display:flex;flex-wrap:wrap;gap:3px 18px;list-style:none;margin:0 0 10px;padding:0;font-size:13.5px}
.legend li{display:flex;align-items:center;gap:7px;min-width:0;overflow-wrap:anywhere}
.key{flex:none;width:18px;border-top:3px solid currentColor;border-radius:2px}
.key.dashed{border-top-style:dashed;border-radius:0}.key.thin{border-top-width:1.5px}
.blocks .key{width:12px;height:12px;border:0;border-radius:3px;background:currentColor}.blocks .key.thin{height:5px}
.sticky{position:sticky;top:0;z-index:1;background:var(--page);padding:9px 0;border-bottom:1px solid var(--rule)}
.sticky .legend{margin:0}
.scroll{overflow-x:auto}.card.scroll{margin-top:14px}
a{color:var(--hue)}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:14px}
th,td{text-align:right;padding:8px 10px;border-bottom:1px solid var(--rule);white-space:nowrap}
th{font-weight:600}thead th{color:var(--soft);font-size:13px}
tbody tr:last-child>*{border-bottom:0}
tbody th,thead th:first-child,.left{text-align:left}
.grid tbody th,.grid td.left{white-space:normal;overflow-wrap:anywhere;min-width:100px}
.summary tbody th{white-space:normal;overflow-wrap:anywhere;min-width:150px}
.summary td:nth-child(4){white-space:normal}.study td:nth-child(4){white-space:nowrap}
.summary th,.summary td{padding:9px 7px}.summary thead th{white-space:normal;vertical-align:bottom}
.swatch{display:inline-block;width:10px;height:10px;border-radius:50%;margin-right:8px;background:currentColor}
.settings td{text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:90px}
.settings th{font-weight:400;white-space:normal;overflow-wrap:anywhere;min-width:130px}
.settings thead th{text-align:left}
details{margin-top:10px}summary{cursor:pointer;color:var(--hue);font-size:14px}
summary:focus-visible{outline:2px solid var(--hue);outline-offset:3px;border-radius:3px}
details.card{margin-top:14px}details[open]>summary{margin-bottom:8px}
@media (max-width:1000px){.full{display:none}.middle{display:block}
.summary thead{position:absolute;clip-path:inset(50%);height:1px;overflow:hidden}
.summary tr,.summary tbody,.summary table{display:block}
.summary tr{padding:12px 0;border-bottom:1px solid var(--rule);display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:6px 16px}
.summary tr:last-child{border-bottom:0}
.summary tbody th,.summary td{border:0;padding:0;text-align:left;white-space:normal}
.summary tbody th{grid-column:1/-1}
.summary td::before{content:attr(data-label);display:block;color:var(--soft);font-size:12px;line-height:1.3}}
@media (max-width:600px){.roomy,.middle{display:none}.narrow{display:block}}
@media (max-width:720px){main{padding:24px 14px 40px}h1{font-size:25px}
.card{padding:14px}.sticky .legend{flex-wrap:nowrap;overflow-x:auto;white-space:nowrap}
.sticky .legend li{flex:none}}
@media print{body{background:#fff}.sticky{position:static}.card,figure{break-inside:avoid}}
)css";

}  // namespace

const char* page_style() {
  return kStyle;
}

std::string run_color(std::size_t i) {
  if (i < 8) return concat("var(--c", i, ")");
  return concat("hsl(", i * 137 % 360, " 55% 52%)");  // golden angle: far from the ones before
}

std::string phase_color(const std::string& phase) {
  static const char* const kPhases[] = {"data",    "teacher",  "gather",   "quantize",
                                        "forward", "backward", "exchange", "update"};
  for (const char* known : kPhases) {
    if (phase == known) return concat("var(--p-", phase, ")");
  }
  return "var(--p-data)";
}

std::string traffic_color(const std::string& kind) {
  if (kind == "gradients") return "var(--p-backward)";
  if (kind == "gathers") return "var(--p-gather)";
  if (kind == "statistics") return "var(--p-forward)";
  if (kind == "points") return "var(--p-quantize)";
  if (kind == "statistics") return "var(--p-forward)";
  if (kind == "control") return "var(--p-update)";
  return "var(--p-data)";
}

}  // namespace bitstill
