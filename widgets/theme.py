"""How the panel looks: JupyterLab's own colours where it is one, so that light and dark follow by themselves."""

from __future__ import annotations

from html import escape

STYLE = """<style>
.wb-panel { --wb-good: #0072B2; --wb-bad: #D55E00; --wb-mild: var(--jp-ui-font-color2, #666);
  --wb-line: var(--jp-border-color2, #d0d0d0); --wb-soft: var(--jp-layout-color2, #f3f3f3);
  --wb-text: var(--jp-ui-font-color1, #222); color: var(--wb-text); font-size: 13px; }
.wb-panel .widget-html-content { line-height: 1.35; color: var(--wb-text); }
.wb-tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 8px; margin: 6px 0; }
.wb-tile { border: 1px solid var(--wb-line); border-radius: 6px; padding: 7px 10px; background: var(--jp-layout-color1, #fff); }
.wb-tile h4 { margin: 0; font-size: 11px; font-weight: 600; color: var(--wb-mild); display: flex; justify-content: space-between; }
.wb-tile h4 em { font-style: normal; font-weight: 400; }
.wb-tile b { display: block; font-size: 19px; font-weight: 600; font-variant-numeric: tabular-nums; margin: 1px 0; }
.wb-tile p { margin: 0; font-size: 11.5px; color: var(--wb-mild); font-variant-numeric: tabular-nums; }
.wb-tile .wb-good { color: var(--wb-good); font-weight: 600; }
.wb-tile .wb-bad { color: var(--wb-bad); font-weight: 600; }
.wb-state { font-size: 12px; color: var(--wb-mild); margin: 4px 0 0; }
.wb-state b { color: var(--wb-text); }
.wb-state .wb-preview { background: #E69F00; color: #000; border-radius: 3px; padding: 1px 6px; font-weight: 600; }
.wb-help { color: var(--wb-mild); margin: 2px 0 6px; max-width: 46em; }
.wb-title { font-size: 15px; font-weight: 600; }
.wb-error { border-left: 4px solid var(--wb-bad); background: var(--wb-soft); padding: 6px 10px; white-space: pre-wrap;
  max-height: 12em; overflow: auto; }
.wb-note { border-left: 4px solid #E69F00; background: var(--wb-soft); padding: 4px 10px; margin: 4px 0; max-height: 8em; overflow: auto; }
.wb-done { border-left: 4px solid #009E73; background: var(--wb-soft); padding: 4px 10px; }
.wb-layers { width: 100%; }
.wb-layers input { width: 100%; box-sizing: border-box; padding: 4px 6px; margin-bottom: 4px; border: 1px solid var(--wb-line);
  border-radius: 4px; background: var(--jp-layout-color1, #fff); color: var(--wb-text); }
.wb-layers-scroll { max-height: 430px; overflow: auto; border: 1px solid var(--wb-line); border-radius: 4px; }
.wb-layers table { border-collapse: collapse; width: 100%; font-size: 12px; }
.wb-layers th { position: sticky; top: 0; background: var(--wb-soft); text-align: left; padding: 3px 6px; font-weight: 600; z-index: 1; }
.wb-layers td { padding: 2px 6px; white-space: nowrap; border-top: 1px solid var(--wb-line); }
.wb-layers .wb-name { max-width: 16em; overflow: hidden; text-overflow: ellipsis; font-family: var(--jp-code-font-family, monospace); }
.wb-layers .wb-number, .wb-layers th:nth-child(n+3) { text-align: right; font-variant-numeric: tabular-nums; }
.wb-layers tr { cursor: pointer; }
.wb-layers tbody tr:hover { background: var(--wb-soft); }
.wb-layers tbody tr:focus { outline: 2px solid var(--wb-good); outline-offset: -2px; }
.wb-layers tr.wb-chosen { background: color-mix(in srgb, var(--wb-good) 20%, transparent); }
.wb-bar { display: inline-block; width: 34px; height: 8px; margin-right: 5px; border: 1px solid var(--wb-line);
  background: linear-gradient(to right, var(--wb-good) var(--part), transparent var(--part)); }
.wb-layers-foot { font-size: 11px; color: var(--wb-mild); margin-top: 3px; }
.wb-figure { width: 100%; min-height: 40px; }
</style>"""


def tile(title: str, value: str, line: str, how: str, verdict: str = "") -> str:
    """Return one tile as HTML; `verdict` is "good", "bad" or "" and colours the line's first part."""
    first, _, rest = line.partition("|")
    marked = f"<span class='wb-{verdict}'>{escape(first)}</span>" if verdict else escape(first)
    return (
        f"<div class='wb-tile'><h4>{escape(title)}<em>{escape(how)}</em></h4>"
        f"<b>{escape(value)}</b><p>{marked} {escape(rest)}</p></div>"
    )


def tiles(made: list[str]) -> str:
    """Return a row of tiles."""
    return f"<div class='wb-tiles'>{''.join(made)}</div>"


def note(text: str, kind: str = "note") -> str:
    """Return a strip with untrusted text; `kind` is "note", "error" or "done"."""
    return f"<div class='wb-{kind}'>{escape(text)}</div>" if text else ""


def button_style(primary: bool = False) -> str:
    """Return the style of a button."""
    return "primary" if primary else ""
