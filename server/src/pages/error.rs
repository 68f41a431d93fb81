//! The page that a person gets in place of an error in JSON.

use askama::Template;
use http::StatusCode;

#[derive(Template)]
#[template(path = "error.html")]
struct Page<'a> {
    prefix: &'a str,
    status: u16,
    heading: &'a str,
    detail: &'a str,
}

/// Renders the page of an error, with what the server says about it.
pub(crate) fn error(prefix: &str, status: StatusCode, detail: Option<&str>) -> String {
    let (heading, otherwise) = match status {
        StatusCode::NOT_FOUND => (
            "There is nothing here",
            "No page has this address. Perhaps it is mistyped, or the record has another id now.",
        ),
        StatusCode::BAD_REQUEST => ("The server does not understand this", ""),
        StatusCode::SERVICE_UNAVAILABLE => ("Not ready yet", "Please try again in a moment."),
        other => (other.canonical_reason().unwrap_or("Error"), ""),
    };
    let page = Page {
        prefix,
        status: status.as_u16(),
        heading,
        detail: detail.unwrap_or(otherwise),
    };
    page.render().expect("templates write to memory")
}
