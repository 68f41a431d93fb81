//! Where the mirror differs from the original server on purpose, with a test for each difference.
//!
//! For everything else, the transcripts, the oracle and `mirror.rs` check that both are equal.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use serde_json::{Value, json};
use testkit::catalogue;
use testkit::client::{Connection, Response, get, request};
use testkit::mirror::Mirror;
use testkit::process::RunningServer;
use testkit::sample::{self, COLLECTIONS, Film};

const CASTLE: &str = "2baf70d1-42bb-4437-b551-e5fed5a87abe";

async fn ask(server: &RunningServer, method: &str, path: &str) -> Response {
    let url = format!("{}{path}", server.url());
    request(method.parse().unwrap(), &url, &[]).await
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[tokio::test]
async fn a_query_that_makes_the_upstream_fail_gets_a_problem_that_names_the_parameter() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    let queries = [
        ("limit=-1", "limit"),
        ("limit=abc", "limit"),
        ("limit=1.5", "limit"),
        ("limit=1&limit=2", "limit"),
        ("fields=id&fields=title", "fields"),
        ("q=a&q=b", "q"),
        ("title_like=(", "title_like"),
        ("title_like=[", "title_like"),
        ("title_like=a**", "title_like"),
    ];
    let paths = [
        "/films".to_owned(),
        "/Films/".to_owned(),
        "/people".to_owned(),
        format!("/films/{CASTLE}/people"),
    ];
    let mut asked: Vec<(String, &str)> = Vec::new();
    for (query, parameter) in queries {
        asked.extend(
            paths
                .iter()
                .map(|path| (format!("{path}?{query}"), parameter)),
        );
    }
    asked.push((format!("/films/{CASTLE}?fields=id&fields=title"), "fields"));
    // Bad escapes: no digits, too few digits, no escape, and bytes that are not text.
    for id in ["%zz", "%2", "%", "a%2gb", "%ff"] {
        asked.push((format!("/films/{id}"), "id"));
        asked.push((format!("/films/{id}/people"), "id"));
    }
    for (path, parameter) in asked {
        let answer = ask(&server, "GET", &path).await;
        assert_eq!(answer.status, 400, "{path}");
        let kind = answer.header("content-type");
        assert_eq!(kind, Some("application/problem+json"), "{path}");
        let problem = answer.json();
        assert_eq!(problem["parameter"], parameter, "{path}");
        assert_eq!(problem["status"], 400, "{path}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.starts_with(&format!("`{parameter}`")),
            "{path}: {detail}"
        );
    }
}

/// The upstream fails on a fraction only when it cuts something off, so the mistake shows late.
#[tokio::test]
async fn a_fraction_as_limit_is_always_refused() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    for query in [
        "limit=1.5",
        "limit=1.5&title=No such film",
        "limit=1.5&title=Ponyo",
        "limit=22.5",
        "limit=250.5",
    ] {
        let path = format!("/films?{}", query.replace(' ', "+"));
        let answer = ask(&server, "GET", &path).await;
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.json()["parameter"], "limit", "{query}");
    }
}

/// The upstream makes a link by replacing this page's number in the query. After `_page=0`, which
/// is the first page, it finds no number, and the next page is always the same page.
#[tokio::test]
async fn a_link_to_another_page_works_or_is_absent() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    let first = ask(&server, "GET", "/films?_page=1&fields=id").await.json();
    for (query, relations) in [
        ("_page=1", &["first", "next", "last"][..]),
        ("_page=2", &["first", "prev", "next", "last"]),
        ("_page=3", &["first", "prev", "last"]),
        ("_page=1.5", &["first", "next", "last"]),
        ("_page=1&_limit=0", &["first", "next", "last"]),
        ("_page=0", &["first"]),
        ("_page=-1", &["first"]),
        ("_page=01", &["first"]),
        ("_page=abc", &["first"]),
        ("_page=%31", &["first"]),
        ("_page=0&_limit=5", &["first"]),
        // The number occurs in another parameter.
        ("homepage=1&_page=1", &["first"]),
        ("_page=99", &[]),
        ("_page=-1&_limit=30", &[]),
        ("_page=1&_limit=-5", &["first", "next"]),
    ] {
        let answer = ask(&server, "GET", &format!("/films?{query}&fields=id")).await;
        let header = answer.header("link").unwrap();
        let links = header.split(", ").filter(|link| !link.is_empty());
        let links: Vec<_> = links
            .map(|link| link.split_once(">; rel=").unwrap())
            .map(|(url, relation)| (relation.trim_matches('"'), url.trim_start_matches('<')))
            .collect();
        let found: Vec<_> = links.iter().map(|(relation, _)| *relation).collect();
        assert_eq!(found, relations, "{query}: {header}");
        if query.contains("_limit") {
            continue;
        }
        for (relation, url) in links {
            let page = get(url).await.json();
            let shows_first = page == first;
            let may_show_first = match relation {
                "first" => true,
                "prev" => query == "_page=2",
                _ => false,
            };
            assert_eq!(shows_first, may_show_first, "{query}: {relation}");
        }
    }
}

#[tokio::test]
async fn writing_is_refused_and_changes_nothing() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    let before = ask(&server, "GET", "/db").await.body;
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for path in ["/films", &format!("/films/{CASTLE}"), "/db", "/nope"] {
            let answer = ask(&server, method, path).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
            assert_eq!(answer.json()["status"], 405);
        }
    }
    assert_eq!(ask(&server, "GET", "/db").await.body, before);
}

#[tokio::test]
async fn numbers_and_their_text_are_equal() {
    let titles = async |server: &RunningServer, query: &str| -> Vec<String> {
        let films = ask(server, "GET", &format!("/films?{query}")).await.json();
        let title = |film: &Value| film["title"].as_str().unwrap().to_owned();
        list(&films).iter().map(title).collect()
    };
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    assert_eq!(
        titles(&server, "release_date=1986").await,
        ["Castle in the Sky"]
    );
    assert_eq!(titles(&server, "release_date_ne=1986").await.len(), 21);
    let best = titles(&server, "rt_score=95").await;
    assert!(best.contains(&"Castle in the Sky".to_owned()));
    let others = titles(&server, "rt_score_ne=95").await;
    assert_eq!(best.len() + others.len(), 22);
    assert!(others.iter().all(|title| !best.contains(title)));

    // Older data of the upstream had numbers here.
    let as_text = Film::new("Text").released("1986");
    let as_number = Film::new("Number").with("release_date", 1986);
    let mut numbers = sample::catalogue();
    numbers["films"] = json!([Value::from(as_text), Value::from(as_number)]);
    let mirror = Mirror::of(numbers).await;
    let server = mirror.server(&[]).await;
    assert_eq!(
        titles(&server, "release_date=1986").await,
        ["Text", "Number"]
    );
    assert_eq!(titles(&server, "release_date_ne=1986").await, [""; 0]);
}

/// Whether a record links to another, in any field except its own `url`.
fn links(from: &Value, collection: &str, id: &str) -> bool {
    let end = format!("/{collection}/{id}");
    let leads = |value: &Value| value.as_str().is_some_and(|link| link.ends_with(&end));
    let mut fields = from.as_object().unwrap().iter();
    fields.any(|(name, value)| name != "url" && (leads(value) || list(value).iter().any(leads)))
}

#[tokio::test]
async fn sub_collections_hold_what_belongs_to_the_record_from_both_sides() {
    let data = catalogue();
    let mirror = Mirror::of(data.clone()).await;
    let server = mirror.server(&[("LINKS", "upstream")]).await;
    let mut connection = Connection::new();
    let (mut pairs, mut from_the_other_side) = (0, 0);
    for from in COLLECTIONS {
        for record in list(&data[from]) {
            let id = record["id"].as_str().unwrap();
            for to in COLLECTIONS {
                let others = list(&data[to]).iter().filter(|other| {
                    let own = links(record, to, other["id"].as_str().unwrap());
                    from_the_other_side += usize::from(!own && links(other, from, id));
                    own || links(other, from, id)
                });
                let expected: Vec<_> = others.cloned().collect();
                pairs += expected.len();
                let url = format!("{}/{from}/{id}/{to}", server.url());
                let answer = connection.get(&url).await.unwrap();
                assert_eq!(answer.status, 200, "{url}");
                assert_eq!(answer.json(), Value::Array(expected), "{url}");
            }
        }
    }
    assert!(
        pairs > 200 && from_the_other_side > 50,
        "{pairs}, {from_the_other_side}"
    );

    let selected = format!("/films/{CASTLE}/people?gender=Male&fields=name&_page=1&_limit=2");
    let answer = ask(&server, "GET", &selected).await;
    assert_eq!(list(&answer.json()).len(), 2);
    assert!(answer.header("x-total-count").is_some());
    let link = answer.header("link").unwrap();
    assert!(
        link.contains(&format!("/films/{CASTLE}/people?gender=Male")),
        "{link}"
    );

    for from in COLLECTIONS {
        for to in COLLECTIONS {
            for path in [format!("/{from}/unknown/{to}"), format!("/{from}//{to}")] {
                let answer = ask(&server, "GET", &path).await;
                assert_eq!(
                    (answer.status, &answer.body[..]),
                    (404, &b"{}"[..]),
                    "{path}"
                );
            }
        }
    }
    let unknown = ask(&server, "GET", &format!("/films/{CASTLE}/actors")).await;
    assert_eq!((unknown.status, &unknown.body[..]), (404, &b"{}"[..]));
}

/// The record behind a link.
fn target(data: &Value, link: &Value) -> Option<Value> {
    let (rest, id) = link.as_str()?.rsplit_once('/')?;
    let (_, collection) = rest.rsplit_once('/')?;
    let mut records = list(&data[collection]).iter();
    records.find(|record| record["id"] == id).cloned()
}

#[tokio::test]
async fn embedding_replaces_links_by_records_and_drops_placeholders() {
    let data = catalogue();
    let mirror = Mirror::of(data.clone()).await;
    let server = mirror.server(&[("LINKS", "upstream")]).await;
    let relations = [
        ("films", "people"),
        ("films", "species"),
        ("films", "locations"),
        ("films", "vehicles"),
        ("people", "films"),
        ("people", "species"),
        ("locations", "residents"),
        ("locations", "films"),
        ("species", "people"),
        ("species", "films"),
        ("vehicles", "pilot"),
        ("vehicles", "films"),
    ];
    let (mut embedded, mut dropped) = (0, 0);
    for (collection, field) in relations {
        let mut expected = data[collection].clone();
        for record in expected.as_array_mut().unwrap() {
            record[field] = match &record[field] {
                Value::Array(links) => {
                    let records: Vec<_> = links
                        .iter()
                        .filter_map(|link| target(&data, link))
                        .collect();
                    embedded += records.len();
                    dropped += links.len() - records.len();
                    records.into()
                }
                link => target(&data, link).unwrap_or(Value::Null),
            };
        }
        for parameter in ["_embed", "_expand"] {
            let path = format!("/{collection}?{parameter}={field}");
            assert_eq!(ask(&server, "GET", &path).await.json(), expected, "{path}");
            let id = expected[0]["id"].as_str().unwrap();
            let path = format!("/{collection}/{id}?{parameter}={field}");
            assert_eq!(
                ask(&server, "GET", &path).await.json(),
                expected[0],
                "{path}"
            );
        }
    }
    assert!(embedded > 100 && dropped > 50, "{embedded}, {dropped}");

    let both = format!("/films/{CASTLE}?_embed=people&_expand=species&fields=title,people,species");
    let film = ask(&server, "GET", &both).await.json();
    assert!(film["people"][0]["name"].is_string() && film["species"][0]["name"].is_string());
    assert_eq!(film.as_object().unwrap().len(), 3);
    // Not a relation: the mirror ignores it, and deletes nothing.
    let path = format!("/films/{CASTLE}?_embed=title");
    let plain = ask(&server, "GET", &format!("/films/{CASTLE}"))
        .await
        .json();
    assert_eq!(ask(&server, "GET", &path).await.json(), plain);
}

#[tokio::test]
async fn every_origin_may_read_every_answer_without_credentials() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    for (method, path, status) in [
        ("GET", "/films", 200),
        ("HEAD", "/films", 200),
        ("GET", "/films?limit=1", 200),
        ("GET", "/films/unknown", 404),
        ("GET", "/nope", 404),
        ("GET", "/films?limit=abc", 400),
        ("GET", "/films/%zz", 400),
        ("GET", "/", 302),
        ("GET", "/movies", 200),
        ("GET", "/docs", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/style.css", 200),
        ("POST", "/films", 405),
        ("OPTIONS", "/films", 204),
    ] {
        let headers = [("origin", "https://app.example"), ("cookie", "a=b")];
        let url = format!("{}{path}", server.url());
        let answer = request(method.parse().unwrap(), &url, &headers).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("*"),
            "{path}"
        );
        assert_eq!(
            answer.header("access-control-allow-credentials"),
            None,
            "{path}"
        );
        assert_eq!(answer.header("set-cookie"), None, "{path}");
    }
}

#[tokio::test]
async fn the_root_leads_to_the_films_and_the_reference_has_a_place_of_its_own() {
    let mirror = Mirror::of(catalogue()).await;
    for (base, prefix) in [
        (None, ""),
        (Some("https://ghibli.example"), ""),
        (Some("https://api.example/ghibli/"), "/ghibli"),
    ] {
        let environment = base.map(|base| ("PUBLIC_URL", base));
        let server = mirror.server(environment.as_slice()).await;
        let root = ask(&server, "GET", "/").await;
        assert_eq!(root.status, 302);
        assert_eq!(root.header("location"), Some(&*format!("{prefix}/movies")));
        for page in ["/movies", "/docs"] {
            let page = get(&format!("{}{page}", server.url())).await;
            assert_eq!(
                page.header("content-type"),
                Some("text/html; charset=utf-8")
            );
            let html = page.text();
            for needed in ["/style.css", "/icon.svg"] {
                assert!(
                    html.contains(&format!("href=\"{prefix}{needed}\"")),
                    "{needed}"
                );
            }
            let links = html.split("href=\"").skip(1);
            for link in links.filter(|link| !link.starts_with('#')) {
                assert!(link.starts_with(&format!("{prefix}/")), "{link:.60}");
            }
        }
        let document = ask(&server, "GET", "/openapi.json").await.json();
        let address = base.map_or(server.url(), |base| base.trim_end_matches('/').to_owned());
        assert_eq!(
            document["servers"],
            json!([{"url": address, "description": "This mirror"}])
        );
    }
    let server = mirror.server(&[]).await;
    let movies = ask(&server, "GET", "/movies").await.text();
    assert!(movies.contains("href=\"/docs\""));
    let docs = ask(&server, "GET", "/docs").await.text();
    assert!(docs.contains("href=\"/movies\""));
}

#[tokio::test]
async fn a_browser_gets_a_page_where_there_is_nothing_and_a_program_what_it_always_got() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for (path, status, page) in [
        ("/nope", 404, true),
        ("/movies/unknown", 404, true),
        ("/movies/people/unknown", 404, true),
        ("/movies?sort=colour", 400, true),
        ("/films/unknown", 404, false),
        ("/films?limit=abc", 400, false),
        ("/changes?since=x", 400, false),
    ] {
        let url = format!("{}{path}", server.url());
        let plain = get(&url).await;
        assert_eq!(plain.status, status, "{path}");
        assert!(
            plain.header("content-type").unwrap().contains("json"),
            "{path}"
        );
        if status == 404 {
            assert_eq!(plain.text(), "{}", "{path}");
        }
        for accept in ["*/*", "application/json, text/html"] {
            let other = request(http::Method::GET, &url, &[("accept", accept)]).await;
            assert_eq!(other.body, plain.body, "{path} {accept}");
        }
        let shown = request(http::Method::GET, &url, &[("accept", browser)]).await;
        assert_eq!(shown.status, status, "{path}");
        if page {
            let text = shown.text();
            assert!(
                text.contains("<h1>") && text.contains("href=\"/movies\""),
                "{path}"
            );
            assert!(shown.header("content-security-policy").is_some(), "{path}");
            for answer in [&plain, &shown] {
                assert_eq!(
                    answer.header("vary"),
                    Some("Accept-Encoding, Accept"),
                    "{path}"
                );
            }
        } else {
            assert_eq!(shown.body, plain.body, "{path}");
        }
    }
}
