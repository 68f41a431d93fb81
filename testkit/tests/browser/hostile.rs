//! A catalogue in which every text is hostile. For each text, every collection has one record with
//! the text in every field, as a field's name and as an id.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use testkit::sample::COLLECTIONS;

/// What a script in these texts does to reveal itself; the other way is to request a trap.
const RAN: &str = "window.ran=true";

/// Markup, scripts and styles instead of plain text. The tests replace `RUN` and `TRAP` with the
/// action of the attack.
const MARKUP: [(&str, &str); 43] = [
    ("script", "<script>RUN</script>"),
    ("script in capitals", "<ScRiPt >RUN</sCrIpT >"),
    ("script with NUL", "<scr\0ipt>RUN</scr\0ipt>"),
    ("script from elsewhere", "<script src=TRAP></script>"),
    (
        "attribute, double quotes",
        "\"><img src=x: onerror=\"RUN\">",
    ),
    ("attribute, single quotes", "'><img src=x: onerror='RUN'>"),
    (
        "attribute, no quotes",
        " onmouseover=RUN autofocus onfocus=RUN ",
    ),
    (
        "attribute, handler",
        "\" onfocus=\"RUN\" autofocus tabindex=\"1",
    ),
    ("end of script", "</script><script>RUN</script>"),
    ("end of title", "</title><script>RUN</script>"),
    (
        "end of style",
        "</style><style>*{background:url(TRAP)}</style>",
    ),
    (
        "end of textarea",
        "</textarea></noscript></template></xmp><script>RUN</script>",
    ),
    (
        "end of table",
        "</bdi></span></li></ul></td></tr></tbody></table></main><h1>RUN</h1>",
    ),
    ("comment", "<!--<script>RUN</script>"),
    ("end of comment", "--><script>RUN</script><!--"),
    (
        "CDATA",
        "<![CDATA[<script>RUN</script>]]><script>RUN</script>",
    ),
    (
        "doctype and processing instruction",
        "<!DOCTYPE html><?xml-stylesheet href=TRAP?>",
    ),
    (
        "plain text for ever",
        "<plaintext><textarea><title><noscript><template>",
    ),
    (
        "svg",
        "<svg onload=RUN><script>RUN</script><style><img src=x: onerror=RUN></style>",
    ),
    (
        "math",
        "<math><mtext><table><mglyph><style><img src=x: onerror=RUN>",
    ),
    (
        "frame",
        "<iframe src=TRAP srcdoc='<script>parent.RUN</script>'></iframe>",
    ),
    ("object", "<object data=TRAP></object><embed src=TRAP>"),
    ("base", "<base href=TRAP/>"),
    ("refresh", "<meta http-equiv=refresh content='0;url=TRAP'>"),
    ("stylesheet", "<link rel=stylesheet href=TRAP>"),
    (
        "form",
        "<form action=TRAP><button autofocus formaction=TRAP>x</button></form>",
    ),
    (
        "media",
        "<video><source onerror=RUN><audio src=x: onerror=RUN>",
    ),
    ("link", "<a href=\"javascript:RUN\">x</a>"),
    ("script URL", "javascript:RUN"),
    ("script URL with entities", "&#106;ava&Tab;script&colon;RUN"),
    ("data URL", "data:text/html,<script>RUN</script>"),
    (
        "entities",
        "&lt;script&gt;RUN&lt;/script&gt; &amp;lt; &quot; &#60; &#x3c &nbsp &notit;",
    ),
    ("UTF-7", "+ADw-script+AD4-RUN+ADw-/script+AD4-"),
    (
        "backslashes",
        "\\\" \\' \\u003cscript\\u003eRUN\\u003c/script\\u003e \\",
    ),
    (
        "end of a string in a script",
        "\";RUN;//';RUN;//`;RUN;//\n\r\nRUN//",
    ),
    ("template of a script", "`${RUN}` ${RUN} #{RUN}"),
    (
        "templates",
        "{{RUN}} {{constructor.constructor('RUN')()}} {% RUN %} <%= RUN %> {{{x}}}",
    ),
    ("formula", "=HYPERLINK(\"TRAP\",\"x\")"),
    ("style", "red;background:url(TRAP)"),
    (
        "style block",
        "}*{display:none!important;background:url(TRAP)}/*",
    ),
    (
        "style expression",
        "expression(RUN) \\65xpression(RUN) @import'TRAP';",
    ),
    ("function call", "RUN)//"),
    (
        "headers",
        "x\r\nContent-Type: text/html\r\n\r\n<script>RUN</script>",
    ),
];

/// Letters with special effects.
const LETTERS: [(&str, &str); 13] = [
    (
        "separators of lines",
        "line\u{2028}RUN\u{2029}paragraph\u{85}next",
    ),
    ("NUL", "nul\0nul\0"),
    (
        "the age's marker",
        "\u{fdd0} \u{fdd0}<script>RUN</script>\u{fdd0}.",
    ),
    (
        "no characters",
        "\u{fdef}\u{fffe}\u{ffff}\u{1fffe}\u{10ffff}\u{feff}.",
    ),
    (
        "private and unassigned",
        "\u{e000}\u{f8ff}\u{e0001}\u{e007f}\u{100000}",
    ),
    ("override", "\u{202e}drawkcab <RUN>"),
    (
        "overrides",
        "\u{202a}\u{202b}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}x",
    ),
    (
        "ends of isolation",
        "\u{2069}\u{2069}\u{202c}\u{202c}\u{202e}x\u{2069}\u{202e}y",
    ),
    ("Hebrew", "\u{5d4}\u{5d8}\u{5d9}\u{5e8}\u{5d4} 1"),
    ("Arabic", "\u{627}\u{644}\u{642}\u{644}\u{639}\u{629} 1"),
    (
        "emoji",
        "\u{1f469}\u{200d}\u{1f467} \u{1f1ef}\u{1f1f5} \u{1f44d}\u{1f3ff} \u{fe0f}\u{20e3}.",
    ),
    ("names of scripts", "constructor.prototype.__proto__"),
    (
        "half a pair, spelt out",
        "\\ud800 \\udfff &#xd800; \u{fffd}",
    ),
];

/// Too much of one thing.
fn floods() -> [(&'static str, String); 8] {
    let controls = ('\u{1}'..='\u{9f}').filter(|letter| letter.is_control());
    let accents = "z\u{300}\u{301}\u{302}\u{310}\u{316}\u{317}\u{489}";
    let unbroken = "\u{a0}\u{2060}no\u{a0}\u{2011}break\u{feff}";
    let wide = "\u{12031}\u{a9c5}\u{2e3b}\u{a9c5}";
    [
        ("controls", controls.chain(['.']).collect()),
        ("accents", accents.repeat(40)),
        ("accents from the start", "\u{301}".repeat(1_000) + "a"),
        ("a long word", "W".repeat(5_000)),
        ("a long number", format!("1.{}", "9".repeat(5_000))),
        ("many short words", "\u{ad}a\u{200b}".repeat(1_000) + "."),
        ("no space to break at", unbroken.repeat(100) + "."),
        ("wide and tall", wide.repeat(3)),
    ]
}

/// The hostile texts, by what they try. `trap` is a URL that nothing may ever request.
pub(crate) fn texts(trap: &str) -> BTreeMap<&'static str, String> {
    let fixed = MARKUP.into_iter().chain(LETTERS);
    let set = |text: &str| text.replace("RUN", RAN).replace("TRAP", trap);
    let fixed = fixed.map(|(what, text)| (what, set(text)));
    fixed.chain(floods()).collect()
}

/// The link to a film.
fn link(id: &str) -> String {
    format!("https://ghibliapi.vercel.app/films/{id}")
}

/// A catalogue with a record of each collection for each text, in order. For films: one with the
/// text in every field, then an older one whose id is the text. The oldest film is honest.
pub(crate) fn catalogue(texts: &BTreeMap<&'static str, String>) -> Value {
    let mut collections = Map::new();
    for collection in COLLECTIONS {
        let mut records = Vec::new();
        for (place, text) in texts.values().enumerate() {
            records.push(record(collection, place, text));
            if collection == "films" {
                records.push(json!({"id": text, "release_date": "1999"}));
            }
        }
        collections.insert(collection.to_owned(), records.into());
    }
    let films = collections["films"].as_array_mut().unwrap();
    films.push(json!({"id": "honest", "title": "Honest", "release_date": "1986"}));
    Value::Object(collections)
}

fn record(collection: &str, place: usize, text: &str) -> Value {
    let mut record = json!({"id": text});
    let fields: &[&str] = match collection {
        "films" => &[
            "title",
            "image",
            "movie_banner",
            "description",
            "release_date",
            "running_time",
            "url",
            "rt_score",
            "producer",
        ],
        "people" => &[
            "name",
            "gender",
            "age",
            "eye_color",
            "hair_color",
            "species",
            "url",
        ],
        "locations" => &["name", "climate", "terrain", "surface_water", "url"],
        "species" => &["name", "classification", "eye_colors", "hair_colors", "url"],
        _ => &[
            "name",
            "description",
            "vehicle_class",
            "length",
            "pilot",
            "url",
        ],
    };
    for field in fields {
        record[*field] = text.into();
    }
    // The text in lists, below other texts, and as names.
    record[text] = json!({text: [text, {"deeper": text}]});
    let film = format!("film-{place}");
    if collection == "films" {
        record["id"] = film.into();
        record["original_title"] = format!("{text} ~").into();
        record["director"] = json!([text, text]);
        record["people"] = json!([text, link("")]);
    } else {
        record["films"] = json!([link(&film), text]);
    }
    record
}
