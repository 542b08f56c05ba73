"""Nearly 400 texts, each of which would run `xss(0)`, or show something else than itself, on a page that took it for
more than a text. Written by hand, and by combining what browsers know: elements, handlers, ways out of a place.
"""

from __future__ import annotations

from tests.journeys.console.hostile_contexts import ADDRESSES, CHARACTERS, DATA, MUTATED, TEMPLATES

_RUN = "xss(0)"

# Elements that run what they hold or fetch.
_SCRIPTS = [
    f"<script>{_RUN}</script>",
    f"<SCRIPT>{_RUN}</SCRIPT>",
    f"<script >{_RUN}</script >",
    f"<script/x>{_RUN}</script>",
    f"<script\n>{_RUN}</script\n>",
    f"<script\t>{_RUN}//",
    f"<scr<script>ipt>{_RUN}</scr</script>ipt>",
    f"<script type=module>{_RUN}</script>",
    "<script src=data:text/javascript,xss(0)></script>",
    "<script src=//127.0.0.1:9/x.js></script>",
    "<script src='data:,xss(0)'/>",
    f"<script nonce>{_RUN}</script>",
    f"<script nonce=''>{_RUN}</script>",
    f"<script async defer>{_RUN}</script>",
    f"<script>/*</script>*/{_RUN}</script>",
    f"<script><!--\n{_RUN}\n--></script>",
    f"<svg><script>{_RUN}</script></svg>",
    "<svg><script>xss&lpar;0&rpar;</script></svg>",
    "<svg><script href=data:,xss(0) />",
    "<svg><script xlink:href=data:,xss(0)></script>",
    f"<math><script>{_RUN}</script></math>",
    "<iframe src=javascript:parent.xss(0)></iframe>",
    "<iframe srcdoc='<script>parent.xss(0)</script>'></iframe>",
    "<iframe srcdoc=&lt;script&gt;parent.xss(0)&lt;/script&gt;>",
    "<frameset><frame src=javascript:parent.xss(0)>",
    "<object data=javascript:xss(0)></object>",
    "<object data='data:text/html,<script>parent.xss(0)</script>'>",
    "<embed src=javascript:xss(0)>",
    "<embed src='data:image/svg+xml,<svg onload=xss(0)>'>",
    "<link rel=import href=data:text/html,<script>xss(0)</script>>",
    "<link rel=stylesheet href=//127.0.0.1:9/x.css>",
    "<base href=//127.0.0.1:9/>",
    "<meta http-equiv=refresh content='0;url=javascript:xss(0)'>",
    "<meta http-equiv=refresh content='0;url=data:text/html,x'>",
    "<meta http-equiv=Set-Cookie content='a=b'>",
    "<style>@import '//127.0.0.1:9/x.css';</style>",
    "<style>*{background:url(javascript:xss(0))}</style>",
    "<style>body{display:none}</style>",
    "<form action=javascript:xss(0)><button autofocus>x",
    "<form id=x></form><button form=x formaction=javascript:xss(0)>",
    "<isindex action=javascript:xss(0) type=image>",
    "<portal src=javascript:xss(0)>",
    "<applet code=x archive=//127.0.0.1:9/>",
    "<noscript><p title='</noscript><img src onerror=xss(0)>'>",
    "<template><script>xss(0)</script></template>",
    "<template shadowrootmode=open><script>xss(0)</script></template>",
]

# Each handler on an element that calls it without anybody's help.
_HANDLED = [
    f"<{element} {event}={_RUN}>"
    for element, event in [
        *(
            ("img src", "onerror"),
            ("img src=x", "onerror"),
            ("image src=x", "onerror"),
            ("input type=image src", "onerror"),
        ),
        *(("svg", "onload"), ("svg/", "onload"), ("body", "onload"), ("body", "onpageshow"), ("iframe", "onload")),
        *(
            ("video src", "onerror"),
            ("audio src", "onerror"),
            ("video><source", "onerror"),
            ("object data=x", "onerror"),
        ),
        *(("input autofocus", "onfocus"), ("select autofocus", "onfocus"), ("textarea autofocus", "onfocus")),
        *(("button autofocus", "onfocus"), ("a href autofocus", "onfocus"), ("x tabindex=1 autofocus", "onfocus")),
        *(("x contenteditable autofocus", "onfocus"), ("keygen autofocus", "onfocus"), ("details open", "ontoggle")),
        *(("marquee", "onstart"), ("marquee loop=1", "onfinish"), ("marquee", "onbounce"), ("script src=x", "onerror")),
        *(
            ("link rel=stylesheet href=x", "onerror"),
            ("style", "onload"),
            ("embed src=x", "onload"),
            ("body", "onresize"),
        ),
        *(("x style=animation:spin+1s", "onanimationstart"), ("x style=transition:all+1s", "ontransitionend")),
        *(
            ("body", "onhashchange"),
            ("body", "onscroll"),
            ("body", "onfocus"),
            ("frameset", "onload"),
            ("svg", "onfocusin"),
        ),
        *(("x id=x tabindex=1", "onfocusin"), ("input", "onblur"), ("form", "onformdata"), ("dialog open", "onclose")),
        *(
            ("video autoplay", "onplay"),
            ("video", "onloadstart"),
            ("audio autoplay", "oncanplay"),
            ("div", "onpointerenter"),
        ),
        *(("div", "onmouseover"), ("div", "onwheel"), ("div", "oncopy"), ("div", "onbeforeinput"), ("a", "onclick")),
        *(("x hidden=until-found", "onbeforematch"), ("x popover", "onbeforetoggle"), ("slot", "onslotchange")),
    ]
]

# The same one, written so that a filter of names or characters does not know it.
_SPELLED = [
    *(
        f"<img{space}src=x{space}onerror=xss(0)>"
        for space in ("/", "\t", "\n", "\r", "\f", "//", " / ", "/x/", '"">', "\u00a0 ")
    ),
    *(
        f"<img src=x onerror{mark}xss(0)>"
        for mark in (" =", "= ", "\n=", "=\t", "=&#120;ss(0)//", "=\\u0078ss(0)//", "=`", '="', "='")
    ),
    "<IMG SRC=X ONERROR=xss(0)>",
    "<iMg sRc=x OnErRoR=xss(0)>",
    '<img src="x" onerror="xss(0)">',
    "<img src='x' onerror='xss(0)'>",
    "<img src=x onerror=xss(0)//",
    "<img src=x onerror=xss(0)",
    "<img src=x onerror=&#x78;&#x73;&#x73;(0)>",
    "<img src=x onerror=&#0000120ss(0)>",
    "<img src=x onerror=xss&lpar;0&rpar;>",
    "<img src=x onerror=xss&#40;0&#41;>",
    "<img src=x onerror=top['x'+'ss'](0)>",
    "<img src=x onerror=window.xss`0`>",
    "<img src=x onerror=setTimeout('xss(0)')>",
    "<img src=x onerror=eval(atob('eHNzKDAp'))>",
    "<img src=x onerror=[0].map(xss)>",
    "<img src=x onerror=location='javascript:xss(0)'>",
    "<img src=x onerror=Function('xss(0)')()>",
    "<img src=x onerror=import('data:text/javascript,xss(0)')>",
    "<img src=`x` onerror=xss(0)>",
    "<img src=x:x onerror=xss(0)>",
    "<img srcset=x onerror=xss(0)>",
    "<img lowsrc=javascript:xss(0)>",
    "<img dynsrc=javascript:xss(0)>",
    "<<img src=x onerror=xss(0)>",
    "<img src=x onerror=xss(0)><!--",
    "<!--><img src=x onerror=xss(0)>-->",
    "<!--[if IE]><script>xss(0)</script><![endif]-->",
    "<![CDATA[<img src=x onerror=xss(0)>]]>",
    "<?xml version='1.0'?><img src=x onerror=xss(0)>",
    "<%<img src=x onerror=xss(0)>%>",
    "&lt;img src=x onerror=xss(0)&gt;",
    "&amp;lt;img src=x onerror=xss(0)&amp;gt;",
    "&#60;img src=x onerror=xss(0)&#62;",
    "%3Cimg src=x onerror=xss(0)%3E",
    "%253Cimg%2520src%253Dx%2520onerror%253Dxss(0)%253E",
    "\\x3cimg src=x onerror=xss(0)\\x3e",
    "\\u003cimg src=x onerror=xss(0)\\u003e",
    "+ADw-script+AD4-xss(0)+ADw-/script+AD4-",
]

# SVG and MathML, whose rules for names, links and animations are their own.
_FOREIGN = [
    "<svg><a href=javascript:xss(0)><text y=9>x</text></a></svg>",
    "<svg><a xlink:href=javascript:xss(0)><circle r=9 /></a></svg>",
    "<svg><animate onbegin=xss(0) attributeName=x dur=1s>",
    "<svg><animate onend=xss(0) attributeName=x dur=1ms>",
    "<svg><set onbegin=xss(0) attributeName=x>",
    "<svg><a><animate attributeName=href values=javascript:xss(0) /></a>",
    "<svg><set attributeName=onmouseover to=xss(0)>",
    "<svg><use href='data:image/svg+xml,<svg id=x onload=xss(0)>#x'>",
    "<svg><foreignObject><img src=x onerror=xss(0)></foreignObject>",
    "<svg><desc><img src=x onerror=xss(0)></desc></svg>",
    "<svg><title><img src=x onerror=xss(0)></title></svg>",
    "<svg><style><img src=x onerror=xss(0)></style></svg>",
    "<svg><image href=x onerror=xss(0) />",
    "<svg><handler type='text/javascript' ev:event=load>xss(0)",
    "<svg xmlns=http://www.w3.org/2000/svg onload=xss(0)>",
    "<svg><feImage href=x onerror=xss(0)>",
    "<svg><discard onbegin=xss(0)>",
    "<svg><animateMotion onbegin=xss(0) dur=1s path=M0,0>",
    "<math href=javascript:xss(0)>x</math>",
    "<math><maction actiontype=statusline xlink:href=javascript:xss(0)>x",
    "<math><mtext><img src=x onerror=xss(0)></mtext></math>",
    "<math><annotation-xml encoding=text/html><img src=x onerror=xss(0)>",
    "<math><mi xlink:href='data:x,<script>xss(0)</script>'>x</mi>",
]

# Out of the value of an attribute, or out of an element that holds a text only.
_CLOSED = [
    *(
        f"{way}<img src=x onerror=xss(0)>"
        for way in (
            *(
                '"',
                "'",
                ">",
                '">',
                "'>",
                "`>",
                '" >',
                '"/>',
                "'/>",
                "-->",
                "--!>",
                "]]>",
                "*/",
                "?>",
                "%>",
                "}}",
                '\\">',
                "\\'>",
            ),
            *(
                f"</{name}>"
                for name in ("textarea", "title", "style", "script", "noscript", "select", "option", "button", "a")
            ),
            *(
                f"</{name}>"
                for name in ("pre", "code", "template", "iframe", "xmp", "noembed", "svg", "math", "table", "td", "dl")
            ),
            *(
                '</textarea x="',
                "</script\n>",
                "</SCRIPT >",
                "</style/x>",
                '"></a>',
                "</title ",
                "</p></div></main>",
                "</html>",
            ),
        )
    ),
    *(
        f"{quote} {attribute}{quote}"
        for quote in ('"', "'")
        for attribute in (
            *("onfocus=xss(0) autofocus x=", "onmouseover=xss(0) x=", "style=animation:x onanimationstart=xss(0) x="),
            *("href=javascript:xss(0) x=", "formaction=javascript:xss(0) x=", "accesskey=x onclick=xss(0) x="),
            *("hx-on:load=xss(0) x=", "hx-get=//127.0.0.1:9/ hx-trigger=load x=", "data-copy=x onbeforecopy=xss(0) x="),
        )
    ),
    " onfocus=xss(0) autofocus tabindex=1 x=",
    "x onerror=xss(0) src=x",
    '\\" onfocus=xss(0) autofocus x=\\"',
]

TEXTS: tuple[str, ...] = tuple(
    dict.fromkeys(
        [
            *_SCRIPTS,
            *_HANDLED,
            *_SPELLED,
            *_FOREIGN,
            *_CLOSED,
            *ADDRESSES,
            *TEMPLATES,
            *DATA,
            *MUTATED,
            *CHARACTERS,
        ]
    )
)
# One for places that hold few: out of texts, attributes, comments and scripts at once.
POLYGLOTS = (
    "javascript:/*--></title></style></textarea></script><svg onload=xss(0)>",
    "\"'`><img src=x onerror=xss(0)>{{7*7}}",
    "' onfocus=xss(0) autofocus x='\" onfocus=xss(0) x=\"",
)
# For what is dear to make: a key, a tenant.
FEW = TEXTS[::4]
CHUNK_TEXTS, CHUNK_BYTES = 16, 900


def chunks(texts: tuple[str, ...] = TEXTS) -> list[tuple[str, ...]]:
    """The texts in groups that fit into one job's tags, one message and one answer."""
    found: list[list[str]] = [[]]
    for text in texts:
        if len(found[-1]) == CHUNK_TEXTS or len("\n".join([*found[-1], text]).encode()) > CHUNK_BYTES:
            found.append([])
        found[-1].append(text)
    return [tuple(chunk) for chunk in found]
