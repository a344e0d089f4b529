/// The page's style. System fonts only: the page makes no request.
let reportStyle = """
    :root{--paper:#fff;--ink:#1c2230;--soft:#5d6675;--line:#e3e6ec;--panel:#f6f7f9;--ours:#2563c9;--other:#b4bccb;\
    --right:#2563c9;--wrong:#d9622b;--warn:#fff6e5;--warnline:#e5a93b;color-scheme:light dark}
    @media (prefers-color-scheme:dark){:root{--paper:#12151c;--ink:#e6e9f0;--soft:#98a2b3;--line:#2a303c;\
    --panel:#1a1f29;\
    --ours:#5b95f0;--other:#4a5468;--right:#4f8df0;--wrong:#e8793f;--warn:#2c2413;--warnline:#b5842b}}
    *{box-sizing:border-box}
    body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,\
    "Helvetica Neue",Arial,sans-serif;-webkit-text-size-adjust:100%}
    main{max-width:1120px;margin:0 auto;padding:48px 28px 80px}
    header{padding-bottom:28px;border-bottom:1px solid var(--line)}
    .brand{margin:0 0 6px;color:var(--soft);font-size:14px;letter-spacing:.02em;overflow-wrap:anywhere}
    h1{margin:0;font-size:30px;line-height:1.25;font-weight:650;letter-spacing:-.01em;overflow-wrap:anywhere}
    h2{margin:0 0 6px;font-size:20px;font-weight:640;letter-spacing:-.005em}
    section{padding:36px 0 4px}
    .note{margin:0 0 16px;color:var(--soft);max-width:46em;font-size:15px}
    .headline{margin:22px 0 14px;display:flex;align-items:baseline;gap:14px;flex-wrap:wrap}
    .headline strong{font-size:60px;line-height:1;font-weight:680;letter-spacing:-.03em;color:var(--ours);\
    font-variant-numeric:tabular-nums}
    .headline span{font-size:18px;color:var(--soft)}
    .facts{list-style:none;margin:14px 0 0;padding:0;display:flex;flex-wrap:wrap;gap:6px 26px;color:var(--soft);\
    font-size:15px}
    .facts b{color:var(--ink);font-weight:620;font-variant-numeric:tabular-nums}
    .facts.tall{flex-direction:column;gap:14px;margin-top:30px}.facts.tall b{display:block;font-size:24px}
    section>.facts{margin:6px 0 18px}
    .warnings{margin-top:28px;padding:14px 20px;background:var(--warn);border-left:4px solid var(--warnline);\
    border-radius:4px}
    .warnings h2{font-size:16px}.warnings ul{margin:0;padding-left:20px}
    .bars{display:grid;gap:10px}
    .row{display:grid;grid-template-columns:minmax(150px,290px) 1fr 76px;gap:16px;align-items:center}
    .row b{text-align:right;font-variant-numeric:tabular-nums;font-weight:560}
    .track{height:22px;background:var(--panel);border-radius:4px;overflow:hidden}
    .track div{height:100%;background:var(--other);border-radius:4px}
    .ours .track div{background:var(--ours)}.ours span,.ours b{font-weight:680}
    .recipe{display:grid;grid-template-columns:max-content 1fr;gap:8px 24px;margin:10px 0 0}
    .recipe dt{color:var(--soft)}.recipe dd{margin:0}.recipe b{font-weight:600}.recipe dd span{color:var(--soft)}
    .recipe dd span::before{content:"– "}
    svg{display:block;width:100%;height:auto}
    svg text{font-family:inherit;font-size:12px;fill:var(--soft);font-variant-numeric:tabular-nums}
    svg .name{fill:var(--ink);font-size:12.5px}svg .count{fill:var(--ink)}svg .count.strong{fill:#fff;font-weight:600}
    .grid{stroke:var(--line)}.axis{stroke:var(--soft)}.curve{fill:none;stroke-width:2;stroke-linejoin:round}
    .probe:hover{opacity:.45}
    .empty{fill:var(--panel)}.right{fill:var(--right)}.wrong{fill:var(--wrong)}
    .bin{fill:var(--ours);fill-opacity:.8}.mark{stroke:var(--wrong);stroke-width:2.5}
    .diagonal{stroke:var(--soft);stroke-dasharray:5 5}
    .point{fill-opacity:.62}.labelled{stroke:var(--ink);stroke-width:2}
    .charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(340px,1fr));gap:24px 32px;margin-top:14px}
    figure{margin:0}figcaption{font-weight:600;font-size:15px;margin-bottom:6px}
    .legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;margin:8px 0 0;padding:0;font-size:14px;\
    color:var(--soft)}
    .legend i{display:inline-block;width:11px;height:11px;border-radius:50%;margin-right:7px}
    .side{display:flex;flex-wrap:wrap;gap:24px 48px;align-items:flex-start}.side>svg{flex:0 1 358px}
    .wide{flex:1 1 420px;min-width:0}.side>div:not(.wide){flex:0 1 300px}
    table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:15px}
    caption{text-align:left;font-weight:600;padding-bottom:6px}
    th{font-weight:500;color:var(--soft);text-align:left}
    td,th{padding:5px 18px 5px 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:break-word}\
    th{white-space:nowrap}
    .n{text-align:right;padding-right:0}.full{width:100%}.full td{width:22%}.pairs th{padding-right:32px}\
    .pairs td{overflow-wrap:anywhere}
    .meter b{font-weight:400}.meter i{display:block;height:4px;margin-top:2px;background:var(--ours);\
    border-radius:2px;\
    opacity:.75}
    .meter{max-width:170px}
    .samples{display:grid;grid-template-columns:repeat(auto-fill,minmax(84px,1fr));gap:14px}
    .samples img{width:100%;aspect-ratio:1;object-fit:contain;image-rendering:pixelated;background:var(--panel);\
    border-radius:5px;\
    display:block}
    .samples figcaption{font-weight:400;font-size:12.5px;color:var(--soft);margin-top:4px;overflow-wrap:anywhere}
    pre{background:var(--panel);padding:16px 20px;border-radius:6px;overflow-x:auto;font:13.5px/1.5 ui-monospace,\
    SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace}
    @media (max-width:640px){main{padding:28px 16px 48px}.row{grid-template-columns:1fr 64px;gap:4px 12px}\
    .row span{grid-column:1/-1}.headline strong{font-size:46px}.recipe{grid-template-columns:1fr;gap:2px}\
    .recipe dd{margin-bottom:10px}.charts{grid-template-columns:1fr}}
    @media print{:root{color-scheme:light}body{font-size:11pt;-webkit-print-color-adjust:exact;\
    print-color-adjust:exact}\
    main{max-width:none;padding:0}section{padding-top:20px}figure,tr,.row,.side{break-inside:avoid}\
    h2{break-after:avoid}\
    pre{white-space:pre-wrap}}
    """
