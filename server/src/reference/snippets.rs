//! An example as programs ask for it.
//!
//! Pure. Uses what each language's users have anyway.

/// The request for this URL in four languages: the language, and the code.
///
/// Escapes what would end a string in one of them; the URL of a mirror may have quotes.
pub(super) fn snippets(url: &str) -> [(&'static str, String); 4] {
    let url = url.replace('\'', "%27").replace('"', "%22");
    let url = url.replace('\\', "%5C");
    [
        ("curl", format!("curl --include '{url}'")),
        (
            "JavaScript",
            format!(
                "const answer = await fetch('{url}');\n\
                 console.log(answer.status, await answer.text());"
            ),
        ),
        (
            "Python",
            format!(
                "from urllib.request import urlopen\n\n\
                 with urlopen('{url}') as answer:\n    print(answer.status, answer.read().decode())"
            ),
        ),
        (
            "Rust",
            format!(
                "let answer = reqwest::get(\"{url}\").await?;\n\
                 println!(\"{{}} {{}}\", answer.status(), answer.text().await?);"
            ),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_url_stays_within_its_string() {
        for (language, snippet) in snippets("http://host.example/it's\"; rm -r ~ \\") {
            let url = "http://host.example/it%27s%22; rm -r ~ %5C";
            assert!(snippet.contains(url), "{language}: {snippet}");
        }
    }
}
