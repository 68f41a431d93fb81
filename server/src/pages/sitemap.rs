//! `/sitemap.xml` and `/robots.txt`: where search engines find the pages.

use std::fmt::Write as _;

use shared::catalogue::Collection;

use super::path;
use crate::render::{Body, RenderedCatalogue};

/// The most that a sitemap may list (<https://www.sitemaps.org/protocol.html>).
const MOST: usize = 50_000;

/// Every page of the catalogue, on a mirror that clients know under `base`.
pub(super) fn sitemap(base: &str, catalogue: &RenderedCatalogue) -> Body {
    let records = Collection::ALL.into_iter().flat_map(|collection| {
        let items = catalogue.collections[collection].items.iter();
        items.map(move |item| path(collection, item.id()))
    });
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n",
    );
    let base = base.replace('&', "&amp;").replace('<', "&lt;");
    for path in std::iter::once("/movies".to_owned())
        .chain(records)
        .take(MOST)
    {
        // An id is percent-encoded, so nothing in a path needs an escape in XML.
        writeln!(xml, "<url><loc>{base}{path}</loc></url>").expect("writes to memory");
    }
    xml.push_str("</urlset>\n");
    Body::uncompressed("application/xml", xml)
}

/// Where the sitemap is.
pub(crate) fn robots(base: &str) -> String {
    format!("User-agent: *\nAllow: /\n\nSitemap: {base}/sitemap.xml\n")
}
