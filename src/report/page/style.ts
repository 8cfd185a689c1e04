/** The style of the page: system fonts, light and dark, one column on a phone, black on white on paper. */

const LIGHT = `--bg:#fff;--fg:#1b1f24;--muted:#57606a;--line:#d9dee4;--soft:#f5f7f9;--accent:#0a58a6;
--s1:#b3261e;--s2:#a85b00;--s3:#6b6b00;--s4:#00775a;--s5:#0b63b5;--s6:#7a3fa0;--s7:#a0326e;--s8:#57606a;`;
const DARK = `--bg:#14181d;--fg:#e6eaee;--muted:#9aa5b1;--line:#343c46;--soft:#1c2229;--accent:#79b8ff;
--s1:#ff8a80;--s2:#ffb057;--s3:#d6d34a;--s4:#45d0a2;--s5:#6cb2ff;--s6:#cf9bf2;--s7:#ff8fc0;--s8:#aab4c0;`;

export const STYLE: string = `
:root{color-scheme:light dark;${LIGHT}}
@media (prefers-color-scheme:dark){:root{${DARK}}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}
main,header,footer{max-width:70rem;margin:0 auto;padding:0 1rem}
header{padding-top:1.5rem}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 .5rem;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:2.5rem 0 .5rem;padding-top:.5rem;border-top:1px solid var(--line)}
p{max-width:46rem;margin:.5rem 0}
a{color:var(--accent)}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1rem;list-style:none;padding:0;margin:1rem 0 0}
code,.hash{font-family:ui-monospace,monospace;font-size:.875em;overflow-wrap:anywhere}
.word{white-space:nowrap}
.scroll{overflow-x:auto;margin:1rem 0;max-width:100%}
.scroll:focus-visible,summary:focus-visible,a:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
table{border-collapse:collapse;min-width:min(100%,20rem);font-variant-numeric:tabular-nums;font-size:.9375rem}
caption{text-align:left;font-weight:600;padding:.25rem 0}
th,td{padding:.3rem .75rem .3rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
th[scope=row]{font-weight:500;white-space:nowrap}
thead th{color:var(--muted);font-weight:500;white-space:nowrap}
.n{text-align:right;padding-left:.5rem;white-space:nowrap}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,21rem),1fr));gap:1rem 2rem;align-items:start}
figure{margin:1rem 0;break-inside:avoid;min-width:0}
figcaption{font-weight:600;font-size:.9375rem;margin-bottom:.25rem}
.plot{overflow-x:auto}
.plot svg{display:block;max-width:100%;height:auto}
.wide .plot svg{max-width:none}
.notes{background:var(--soft);border-left:3px solid var(--accent);padding:.5rem 1rem;margin:1rem 0}
.notes ul{margin:.25rem 0;padding-left:1.25rem}
details{margin:1rem 0}
summary{cursor:pointer;color:var(--accent)}
footer{color:var(--muted);font-size:.875rem;padding-top:1rem;padding-bottom:2rem}
@media print{
:root{color-scheme:light;${LIGHT}}
body{font-size:10pt}
nav{display:none}
.scroll,.plot{overflow:visible}
tr{break-inside:avoid}
h2{break-after:avoid}
details::details-content{content-visibility:visible;block-size:auto}
}
`;
