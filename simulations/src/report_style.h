#pragma once

#include <string_view>

// The style sheet of report.html. Written out in the page, so that it needs no network.
namespace demur::sim {

inline constexpr std::string_view kReportStyle = R"css(
:root{color-scheme:light dark;--bg:#fbfaf7;--card:#fff;--ink:#1c1b19;--soft:#6d6a63;--line:#e6e2d9;
--fed:#1f6feb;--dp:#8250df;--central:#3b3a37;--oracle:#b7791f;--base:#9b978d;--good:#1a7f4b;--warn:#b3261e;
--tint:#f3f0e8}
@media (prefers-color-scheme:dark){:root{--bg:#141413;--card:#1d1c1a;--ink:#ece9e2;--soft:#a09b90;
--line:#34322e;--fed:#6ea8fe;--dp:#b794f6;--central:#d6d2c8;--oracle:#e0b050;--base:#7d796f;
--good:#56c288;--warn:#ff8a80;--tint:#262421}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);
font:16px/1.55 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;
font-variant-numeric:tabular-nums}
main{max-width:1120px;margin:0 auto;padding:48px 24px 80px}
header{margin-bottom:28px}
.kicker{font-size:13px;letter-spacing:.08em;text-transform:uppercase;color:var(--soft)}
h1{font-size:34px;line-height:1.15;letter-spacing:-.02em;margin:.2em 0 .3em;text-wrap:balance}
h2{font-size:19px;letter-spacing:-.01em;margin:0 0 4px}
.lede{font-size:17px;color:var(--soft);max-width:64ch;margin:0}
section{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:22px 24px;
margin:18px 0}
section>p.sub{margin:0 0 14px;color:var(--soft);font-size:14px;max-width:72ch}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:14px;margin:22px 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:16px 18px}
.tile b{display:block;font-size:30px;line-height:1.1;letter-spacing:-.02em;font-weight:650}
.tile span{display:block;font-size:13px;color:var(--soft)}
.tile b.fed{color:var(--fed)}.tile b.dp{color:var(--dp)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14.5px}
th,td{padding:7px 10px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left;padding-left:0}
thead th{font-weight:600;font-size:12.5px;color:var(--soft);border-bottom:1.5px solid var(--line)}
tbody tr:last-child td{border-bottom:0}
tr.fed td,tr.dp td{background:var(--tint);font-weight:600}
td small{display:block;color:var(--soft);font-size:11.5px;font-weight:400}
td .swatch{display:inline-block;width:9px;height:9px;border-radius:50%;margin-right:8px;
background:var(--base)}
td .swatch.fed{background:var(--fed)}td .swatch.dp{background:var(--dp)}
td .swatch.central{background:var(--central)}td .swatch.oracle{background:var(--oracle)}
td.best{color:var(--good)}
svg{width:100%;height:auto;display:block}
svg text{font:12px ui-sans-serif,system-ui,sans-serif;fill:var(--soft)}
svg .series{fill:var(--base)}svg .strong{font-weight:600;fill:var(--ink)}
svg .value{fill:var(--ink);font-variant-numeric:tabular-nums}
svg .grid{stroke:var(--line);stroke-width:1}
svg .curve{fill:none;stroke:var(--base);stroke-width:2.5;stroke-linejoin:round;stroke-linecap:round}
svg .level{stroke:var(--base);stroke-width:1.3;stroke-dasharray:5 4}
svg .bar{fill:var(--base);opacity:.85}
svg .whisker{stroke:var(--ink);stroke-width:1.4}
svg .curve.fed,svg .level.fed{stroke:var(--fed)}svg .bar.fed{fill:var(--fed)}
svg text.fed{fill:var(--fed)}
svg .curve.dp,svg .level.dp{stroke:var(--dp)}svg .bar.dp{fill:var(--dp)}svg text.dp{fill:var(--dp)}
svg .level.central{stroke:var(--central)}svg .bar.central{fill:var(--central)}
svg text.central{fill:var(--central)}
svg .level.oracle{stroke:var(--oracle)}svg .bar.oracle{fill:var(--oracle)}
svg text.oracle{fill:var(--oracle)}
.privacy{border-left:5px solid var(--dp)}
.privacy.none{border-left-color:var(--warn)}
.privacy strong.big{font-size:24px;letter-spacing:-.01em;display:block;margin-bottom:8px}
dl{display:grid;grid-template-columns:minmax(120px,max-content) 1fr;gap:6px 20px;margin:0;
font-size:14.5px}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
code{font:13px ui-monospace,SFMono-Regular,Menlo,monospace}
details summary{cursor:pointer;font-weight:600}
details dl{margin-top:14px}
ul{margin:.4em 0;padding-left:1.2em;font-size:14.5px}
footer{color:var(--soft);font-size:13px;margin-top:26px}
@media print{body{background:#fff}section,.tile{break-inside:avoid}}
)css";

}  // namespace demur::sim
