"""A grid as a page for a browser: one file that shows the pictures beside it, with no server and no network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from lora_tui.text import _

_STYLE = """
:root{color-scheme:light dark;font:14px system-ui,sans-serif}
body{margin:1rem}table{border-collapse:collapse}th{font-weight:600;padding:.2rem .4rem;text-align:left;
position:sticky;background:Canvas}thead th{top:0;z-index:1}tbody th{left:0}
td{padding:2px}td img{display:block;width:var(--side);cursor:zoom-in}td.no{width:var(--side);max-width:var(--side);
overflow-wrap:anywhere;opacity:.7;font-size:12px;vertical-align:top}td.on img{outline:3px solid Highlight}
td p{margin:0;font-size:11px;width:var(--side)}td.best{outline:2px solid #2a2}
label{margin-right:1rem}#full{position:fixed;inset:0;background:#000c;display:none;place-items:center;z-index:2}
#full img{max-width:98vw;max-height:90vh}#full p{position:absolute;bottom:0;margin:.4rem;color:#fff}
"""

_SCRIPT = """
const data=JSON.parse(document.getElementById('data').textContent);
const at=data.axes.map(()=>0),[X,Y]=data.axes;let here=[0,0],full=false;
const byPlace=new Map(data.cells.map(c=>[c.place.join(),c]));
const cell=(x,y)=>byPlace.get([x,y,...at.slice(2)].join());
const body=document.getElementById('grid'),bar=document.getElementById('pages'),big=document.getElementById('full');
const best=new Set(data.scores.cells);
const told=s=>[['likeness',data.words.like],['prompt_plain',data.words.prompt]].filter(([n])=>n in s)
 .map(([n,w])=>w+' '+s[n].toFixed(2)).concat(s.copied?[data.words.copy]:[],s.blank?[data.words.blank]:[]).join('  ');
const el=(n,t)=>{const e=document.createElement(n);if(t!==undefined)e.textContent=t;return e};
data.axes.slice(2).forEach((axis,i)=>{const l=el('label',axis.title+' '),s=el('select');
 axis.values.forEach((v,n)=>{const o=el('option',v);o.value=n;s.append(o)});
 s.onchange=()=>{at[i+2]=+s.value;draw()};l.append(s);bar.append(l)});
const size=document.getElementById('size');
size.oninput=()=>document.documentElement.style.setProperty('--side',size.value+'px');size.oninput();
function draw(){body.replaceChildren();const head=el('thead'),hr=el('tr');hr.append(el('th'));
 X.values.forEach(v=>hr.append(el('th',v)));head.append(hr);const rows=el('tbody');
 Y.values.forEach((v,y)=>{const tr=el('tr');tr.append(el('th',v));
  X.values.forEach((_,x)=>{const td=el('td'),c=cell(x,y);
   if(c&&c.state==='drawn'){const i=el('img');i.loading='lazy';i.src=c.file;i.alt=Object.values(c.axes).join(', ');
    i.onclick=()=>{here=[x,y];show(true)};td.append(i);
    if(c.scores)td.append(el('p',told(c.scores)));if(best.has(c.key))td.className='best'}
   else{td.className='no';td.textContent=c?(c.why||data.words.waiting):''}
   td.dataset.at=x+','+y;tr.append(td)});rows.append(tr)});body.append(head,rows);mark()}
function mark(){document.querySelectorAll('td.on').forEach(t=>t.classList.remove('on'));
 const t=document.querySelector('td[data-at="'+here+'"]');
 if(t){t.classList.add('on');t.scrollIntoView({block:'nearest'})}}
function show(on,place=here){full=on;big.style.display=on?'grid':'none';if(!on)return;const c=cell(...place);
 big.querySelector('img').src=c&&c.state==='drawn'?c.file:'';
 const told=c?[...Object.entries(c.axes).map(([k,v])=>k+' '+v),c.settings.prompt]:[];
 big.querySelector('p').textContent=told.join('   ')}
big.onclick=()=>show(false);
document.onkeydown=e=>{const m={ArrowLeft:[-1,0],ArrowRight:[1,0],ArrowUp:[0,-1],ArrowDown:[0,1]}[e.key];
 if(m){here=[X,Y].map((axis,i)=>Math.min(Math.max(here[i]+m[i],0),axis.values.length-1));
  mark();if(full)show(true);e.preventDefault()}
 else if(e.key==='Enter')show(!full);else if(e.key==='Escape')show(false);
 else if(e.key==='b'&&full)show(true,[0,here[1]])};
document.onkeyup=e=>{if(e.key==='b'&&full)show(true)};draw();
"""


def page_of(table: Mapping[str, Any]) -> str:
    """The page for a grid's table, see :mod:`lora_tui.grids.outputs`; its pictures are named from there."""
    told = {**table, "words": _words()}
    data = json.dumps(told, ensure_ascii=False).replace("<", "\\u003c")
    title = escape(str(table["title"]))
    keys = escape(_("arrows move, Enter shows a picture alone, b held down shows the first column in its place"))
    return (
        f'<!doctype html><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>'
        f'<p><span id="pages"></span><label>{escape(_("size"))} '
        f'<input id="size" type="range" min="48" max="768" value="192"></label></p><p>{keys}</p>{_said(table)}'
        '<table id="grid"></table><div id="full"><img alt=""><p></p></div>'
        f'<script type="application/json" id="data">{data}</script><script>{_SCRIPT}</script>\n'
    )


def _words() -> dict[str, str]:
    """What the script says."""
    return {
        "waiting": _("not drawn"), "like": _("likeness"), "prompt": _("prompt"), "copy": _("copy!"),
        "blank": _("blank!"),
    }  # fmt: skip


def _said(table: Mapping[str, Any]) -> str:
    """The recommendation and its reasons; nothing where there is none."""
    scores = table["scores"]
    reasons = "".join(f"<li>{escape(reason)}" for reason in scores["reasons"])
    return f"<p><b>{escape(scores['recommended'])}</b></p><ul>{reasons}</ul>" if reasons else ""
