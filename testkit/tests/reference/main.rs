//! The reference is true: the tests request every path and every example from running servers, and
//! compare all answers with it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod answer;
mod schema;
mod visit;

use serde_json::Value;
use testkit::catalogue;
use testkit::client::{get, request};
use testkit::mirror::Mirror;
use testkit::process::{RunningServer, Server};
use testkit::sample::COLLECTIONS;

use answer::Seen;
use visit::{parameters, visits};

async fn document(server: &RunningServer) -> Value {
    get(&format!("{}/openapi.json", server.url())).await.json()
}

/// An id of each collection.
async fn ids(server: &RunningServer) -> Vec<(String, String)> {
    let mut ids = Vec::new();
    for collection in COLLECTIONS {
        let records = get(&format!("{}/{collection}", server.url())).await.json();
        let id = records[0]["id"].as_str().unwrap().to_owned();
        ids.push((collection.to_owned(), id));
    }
    ids
}

#[tokio::test]
async fn every_path_and_example_answers_as_the_reference_says() {
    let mirror = Mirror::of(catalogue()).await;
    // Feeds are compressed once they list a few films.
    for number in 1..5 {
        mirror.upstream.release(&format!("Film {number}"));
    }
    mirror.sync().await;
    let server = mirror.server(&[("SERVER_TIMING", "true")]).await;
    let document = document(&server).await;
    assert_eq!(document["servers"][0]["url"], server.url());
    let mut seen = Seen::new(&document);

    let ask = async |method: &str, url: &str, header: Option<(&str, &str)>| {
        let headers: Vec<_> = [("accept-encoding", "gzip")]
            .into_iter()
            .chain(header)
            .collect();
        let url = format!("{}{url}", server.url());
        request(method.parse().unwrap(), &url, &headers).await
    };

    for visit in visits(&document, &ids(&server).await) {
        let header = visit.header.as_ref();
        let header = header.map(|(name, value)| (name.as_str(), value.as_str()));
        let answer = ask("GET", &visit.url, header).await;
        assert!(answer.status < 400, "{visit:?}: {}", answer.status);
        seen.answer(&visit.path, &visit.url, &answer);
        if let Some(other) = &visit.differs_from {
            let other = ask("GET", other, None).await;
            assert_ne!(answer.body, other.body, "{visit:?} changes nothing");
            let is_empty = answer.body == "[]" && !visit.url.ends_with("?limit=0");
            assert!(!is_empty, "{visit:?} finds nothing");
        }
    }

    // The failing answers.
    for (path, at) in document["paths"].as_object().unwrap() {
        for (status, _) in at["get"]["responses"].as_object().unwrap() {
            let name = ["{id}", "{collection}"]
                .into_iter()
                .find(|name| path.contains(name));
            let url = match status.as_str() {
                "404" => path.replace(name.unwrap(), "unknown"),
                "400" => format!("{path}?fields=id&fields=title&since=x&view=x"),
                _ => continue,
            };
            let url = url
                .replace("{collection}", "films")
                .replace("{related}", "people");
            let url = url.replace("{id}", &ids(&server).await[0].1);
            seen.answer(path, &url, &ask("GET", &url, None).await);
        }
    }
    for (name, response) in document["components"]["responses"].as_object().unwrap() {
        for example in answer::examples(response) {
            let method = example["x-method"].as_str().unwrap_or("GET");
            let url = example["x-request"].as_str().unwrap();
            let answer = ask(method, url, None).await;
            assert_eq!(answer.json(), example["value"], "{method} {url}");
            seen.response(name, &format!("{method} {url}"), &answer);
        }
    }

    // A server that has loaded nothing yet.
    let empty = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", empty.path().display());
    let unready = Server::new(&cache).start().await;
    for (path, at) in document["paths"].as_object().unwrap() {
        let url = path.replace("{collection}", "films").replace("{id}", "x");
        let url = url.replace("{related}", "people");
        let answer = get(&format!("{}{url}", unready.url())).await;
        let documented = at["get"]["responses"]["503"].is_object();
        assert_eq!(answer.status == 503, documented, "{url}");
        seen.answer(path, &url, &answer);
    }

    let count = seen.finish();
    println!("{count} answers are as the reference says");
}

#[tokio::test]
async fn every_path_has_the_same_methods() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    let document = document(&server).await;
    for path in document["paths"].as_object().unwrap().keys() {
        let url = format!("{}{path}", server.url()).replace(['{', '}'], "");
        for (method, status) in [("OPTIONS", 204), ("POST", 405), ("DELETE", 405)] {
            let answer = request(method.parse().unwrap(), &url, &[]).await;
            assert_eq!(answer.status, status, "{method} {url}");
            assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
        }
    }
}

#[tokio::test]
async fn schemas_have_the_fields_of_the_data_and_no_others() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    let document = document(&server).await;
    let schemas = &document["components"]["schemas"];
    let data = get(&format!("{}/db", server.url())).await.json();
    let wrong = schema::errors(&document, &schemas["Database"], &data);
    assert!(wrong.is_empty(), "{wrong:?}");
    for (collection, list) in schemas["Database"]["properties"].as_object().unwrap() {
        let record = visit::resolve(&document, &list["items"]);
        let mut described: Vec<_> = record["properties"].as_object().unwrap().keys().collect();
        let records = data[collection].as_array().unwrap().iter();
        let mut held: Vec<_> = records
            .flat_map(|one| one.as_object().unwrap().keys())
            .collect();
        described.sort();
        held.sort();
        held.dedup();
        assert_eq!(described, held, "{collection}");
    }
}

#[tokio::test]
async fn examples_of_parameters_fit_their_schemas() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    let document = document(&server).await;
    for (path, at) in document["paths"].as_object().unwrap() {
        for parameter in parameters(&document, at) {
            let examples = parameter["examples"].as_object().into_iter().flatten();
            let values = examples.map(|(_, example)| &example["value"]);
            let values: Vec<_> = values.chain(parameter.get("example")).collect();
            assert!(!values.is_empty(), "{path}: {parameter} has no example");
            for value in values {
                let wrong = schema::errors(&document, &parameter["schema"], value);
                assert!(wrong.is_empty(), "{path}: {parameter}: {wrong:?}");
            }
        }
    }
}

/// Every link on the page resolves, and the page needs nothing from another host.
#[tokio::test]
async fn the_page_shows_the_whole_document_and_every_link_on_it_works() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    let document = document(&server).await;
    let answer = get(&format!("{}/docs", server.url())).await;
    assert!(answer.header("content-security-policy").is_some());
    let page = answer.text();
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("GET {path}</code>")), "{path}");
    }
    let components = &document["components"];
    for parameter in components["parameters"].as_object().unwrap().values() {
        let name = parameter["name"].as_str().unwrap();
        assert!(page.contains(&format!("<h3><code>{name}</code>")), "{name}");
    }
    for name in components["headers"].as_object().unwrap().keys() {
        assert!(
            page.contains(&format!("<dt><code>{name}</code></dt>")),
            "{name}"
        );
    }
    assert!(
        page.matches("<script").count() == 1
            && !page.contains("src=")
            && !page.contains("://ghibli")
    );
    let mut links = 0;
    for rest in page.split("href=\"").skip(1) {
        let link = rest.split('"').next().unwrap().replace("&#38;", "&");
        if let Some(anchor) = link.strip_prefix('#') {
            assert!(page.contains(&format!("id=\"{anchor}\"")), "{link}");
        } else {
            let status = get(&format!("{}{link}", server.url())).await.status;
            assert!(status < 400, "{link}: {status}");
        }
        links += 1;
    }
    assert!(links > 60, "only {links} links");
}
