"""How it looks, in Arabic and English: complete pages without script, from right or left."""

from collections.abc import Sequence
from html import escape

from visits.records import Clinic

TEXTS = {
    "ar": {
        "dir": "rtl",
        "home": "/",
        "other": '<a href="/en/" lang="en" hreflang="en">English</a>',
        "brand": "وزارة الصحة",
        "country": "جمهورية العراق",
        "title": "زيارات المراكز الصحية",
        "intro": "كم زائراً استقبل كل مركز اليوم، ومنذ البدء. يسجّل موظف الاستقبال كل زيارة بنقرة واحدة.",
        "clinic": "المركز",
        "today": "اليوم",
        "total": "المجموع",
        "all": "كل المراكز",
        "record": "سجّل زيارة",
        "recorded": "سُجّلت الزيارة.",
        "example": "تطبيق نموذجي يأتي مع منصة إدوبا، وأرقامه للعرض فقط.",
        "missing": "لا توجد صفحة هنا",
        "away": "قاعدة البيانات لا تجيب الآن. لم يضع شيء؛ حاول ثانية بعد دقيقة.",
        "refused": "لم تُسجّل الزيارة. ارجع إلى الصفحة واختر مركزاً.",
        "skip": "انتقل إلى المحتوى",
        "back": "العودة إلى المراكز",
    },
    "en": {
        "dir": "ltr",
        "home": "/en/",
        "other": '<a href="/" lang="ar" hreflang="ar">العربية</a>',
        "brand": "Ministry of Health",
        "country": "Republic of Iraq",
        "title": "Visits to health centres",
        "intro": "How many people came to each centre today, and since the beginning. The reception"
        " records each visit with one press.",
        "clinic": "Centre",
        "today": "Today",
        "total": "In all",
        "all": "All centres",
        "record": "Record a visit",
        "recorded": "The visit is recorded.",
        "example": "An example that comes with Edubba; its numbers are for show.",
        "missing": "There is no page here",
        "away": "The database does not answer now. Nothing is lost; try again in a minute.",
        "refused": "No visit was recorded. Go back to the page and choose a centre.",
        "skip": "Skip to the content",
        "back": "Back to the centres",
    },
}
_PAGE = """<!doctype html>
<html lang="{lang}" dir="{dir}">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>{title} – {brand}</title>
  <link rel="icon" href="/static/emblem.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/static/clinics.css">
</head>
<body>
  <a class="skip" href="#main">{skip}</a>
  <header class="masthead">
    <div class="wrap">
      <a class="brand" href="{home}"><img src="/static/emblem.svg" alt="" width="42" height="42">
        <span>{brand}<small>{country}</small></span></a>
      <nav>{other}</nav>
    </div>
  </header>
  <main id="main" class="wrap">
{main}
  </main>
  <footer class="footer"><p class="wrap">{example}</p></footer>
</body>
</html>
"""
_TABLE = """    <h1>{title}</h1>
    <p class="intro">{intro}</p>
    {said}
    <table>
      <thead><tr><th scope="col">{clinic}</th><th scope="col">{today}</th><th scope="col">{total}</th><td></td></tr></thead>
      <tbody>
{rows}
      </tbody>
      <tfoot><tr><th scope="row">{all}</th><td data-label="{today}">{sum_today}</td><td data-label="{total}">{sum_total}</td><td></td></tr></tfoot>
    </table>"""
_ROW = """        <tr{mark}><th scope="row">{name}</th><td data-label="{today}">{count_today}</td><td data-label="{total}">{count_total}</td>
          <td><form method="post" action="{home}visits"><button name="clinic" value="{id}" aria-label="{record}: {name}">{record}</button></form></td></tr>"""


def show_clinics(lang: str, clinics: Sequence[Clinic], recorded: int | None) -> str:
    """Return the page with all clinics; the one of a visit just recorded is marked."""
    texts = TEXTS[lang]
    rows = [
        _ROW.format(
            **texts,
            id=clinic.id,
            name=escape(clinic.name_ar if lang == "ar" else clinic.name_en),
            count_today=clinic.today,
            count_total=clinic.total,
            mark=' class="new"' if clinic.id == recorded else "",
        )
        for clinic in clinics
    ]
    is_known = recorded in {clinic.id for clinic in clinics}
    said = f'<p class="said" role="status">{texts["recorded"]}</p>' if is_known else ""
    main = _TABLE.format(
        **texts,
        said=said,
        rows="\n".join(rows),
        sum_today=sum(clinic.today for clinic in clinics),
        sum_total=sum(clinic.total for clinic in clinics),
    )
    return _PAGE.format(**texts, lang=lang, main=main)


def show_trouble(lang: str, kind: str) -> str:
    """Return a page that says what is wrong and where to go on."""
    texts = TEXTS[lang]
    main = f'    <h1>{texts[kind]}</h1>\n    <p><a href="{texts["home"]}">{texts["back"]}</a></p>'
    return _PAGE.format(**texts, lang=lang, main=main)
