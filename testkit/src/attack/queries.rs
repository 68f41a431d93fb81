//! The most expensive queries that the server allows: patterns on the longest texts, the largest
//! answers, the most names. We found them by trial; please add any worse query here.

/// The queries' names and their targets.
pub fn expensive() -> Vec<(&'static str, String)> {
    // A match can begin at every place in the text, and can end at a thousand places.
    let pattern = "description_like=%5B+-Z%5D%7B1,1000%7D!";
    let names: Vec<_> = (0..800).map(|number| format!("{number:x}=")).collect();
    vec![
        ("costly patterns", format!("/films?{pattern}&{pattern}")),
        (
            "records in place of links",
            "/people?_embed=films&_embed=species&q=a".to_owned(),
        ),
        (
            "queries of 800 names",
            format!("/films?{}", names.join("&")),
        ),
        (
            "sorting by a long path",
            format!("/films?_sort={}]", "[".repeat(4_000)),
        ),
    ]
}
