//! Where links in the data lead (`LINKS`, `PUBLIC_URL`).

use serde_json::{Value, json};
use testkit::mirror::Mirror;
use testkit::sample::{self, COLLECTIONS, Film, Person};
use testkit::{catalogue, client};

use crate::get_with;

/// Every text in a value.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        _ => vec![],
    }
}

#[tokio::test]
async fn links_lead_to_the_mirror_from_every_known_name_of_the_upstream() {
    let mut data = sample::catalogue();
    let left_alone = json!([
        "htps://ghibliapi.vercel.app/films/1",
        "https://image.tmdb.org/t/p/original/1.jpg",
        "https://image.tmdb.org/films/1",
        "https://imdb.example/people/1",
        "https://ghibliapi.dev/images/1.jpg",
        "https://ghibliapi.vercel.app.example/films/1",
        "https://example.org/?from=https://ghibliapi.vercel.app/films/1",
        "seen at https://ghibliapi.vercel.app/films/1 once",
        "",
        "TODO",
    ]);
    let mirror = Mirror::empty(data.clone());
    let own = mirror.upstream.url();
    let spellings = json!([
        "https://ghibliapi.vercel.app/films/1",
        "http://ghibliapi.vercel.app/films/1",
        "https://ghibliapi.herokuapp.com/films/1",
        "HTTPS://GhibliAPI.Vercel.App/films/1",
        "https://ghibliapi.vercel.app:443/films/1",
        "http://ghibliapi.herokuapp.com:80/films/1",
        format!("{own}/films/1"),
        "https://ghibliapi.dev/films/1",
        "http://www.ghibliapi.dev/films/1",
        "https://ghibli.rest/films/1",
    ]);
    let placeholders = json!([
        "https://ghibliapi.vercel.app/people/",
        format!("{own}/people/")
    ]);
    let film = Film::new("Links")
        .with("spellings", spellings)
        .with("placeholders", placeholders)
        .with(
            "nested",
            json!({"deep": [{"url": "https://ghibliapi.vercel.app/films/1"}]}),
        )
        .with("bare", "https://ghibliapi.vercel.app")
        .with("image", "https://ghibliapi.dev/films/1.jpg")
        .with("movie_banner", "https://ghibliapi.vercel.app/films/1")
        .with("left_alone", left_alone.clone());
    let id = film.id();
    data["films"] = json!([Value::from(film)]);
    mirror.upstream.edit(|catalogue| *catalogue = data);
    mirror.sync().await;

    for base in [
        "https://ghibli.example",
        "https://api.example/v1/ghibli",
        "http://h:8080/",
    ] {
        let server = mirror.server(&[("PUBLIC_URL", base)]).await;
        let base = base.trim_end_matches('/');
        let film = get_with(&server, &format!("/films/{id}"), &[]).await.json();
        let spellings = film["spellings"].as_array().unwrap();
        for (index, spelling) in spellings.iter().enumerate() {
            assert_eq!(*spelling, format!("{base}/films/1"), "spelling {index}");
        }
        let placeholder = format!("{base}/people/");
        assert_eq!(film["placeholders"], json!([placeholder, placeholder]));
        assert_eq!(film["nested"]["deep"][0]["url"], format!("{base}/films/1"));
        assert_eq!(film["bare"], base);
        assert_eq!(film["left_alone"], left_alone);
        assert_eq!(film["image"], "https://ghibliapi.dev/films/1.jpg");
        assert_eq!(film["movie_banner"], "https://ghibliapi.vercel.app/films/1");
        assert_eq!(film["url"], format!("{base}/films/{id}"));
        let page = get_with(&server, "/films?_page=1&_limit=1", &[]).await;
        let link = page.header("link").unwrap();
        assert!(
            link.is_empty() || link.contains(&format!("<{base}/films?")),
            "{link}"
        );
    }

    let server = mirror.server(&[("LINKS", "upstream")]).await;
    let verbatim = get_with(&server, &format!("/films/{id}"), &[]).await.json();
    assert_eq!(verbatim, mirror.upstream.catalogue()["films"][0]);
}

/// The upstream may move again, and its data may still name its old host.
#[tokio::test]
async fn links_lead_to_the_mirror_from_any_name_in_a_records_own_url() {
    for name in ["https://moved.example", "http://host.example:8000/api/v2"] {
        let mut data = sample::catalogue();
        let film = Film::new("Moved");
        let person = Person::new("Mover");
        let (film_id, person_id) = (film.id(), person.id());
        let film = film
            .with("url", format!("{name}/films/{film_id}"))
            .with("people", json!([format!("{name}/people/{person_id}")]))
            .with("species", json!([format!("{name}/species/")]))
            .with("site", "https://moved.example/about")
            .with("image", format!("{name}/films/{film_id}"));
        let person = person
            .with("url", format!("{name}/people/{person_id}"))
            // Here the data uses another old name.
            .with(
                "films",
                json!([format!("https://ghibliapi.dev/films/{film_id}")]),
            );
        data["films"] = json!([Value::from(film)]);
        data["people"] = json!([Value::from(person)]);
        let mirror = Mirror::of(data).await;
        let base = "https://ghibli.example";
        let server = mirror.server(&[("PUBLIC_URL", base)]).await;
        let path = format!("/films/{film_id}");
        let film = get_with(&server, &path, &[]).await.json();
        assert_eq!(film["url"], format!("{base}{path}"));
        assert_eq!(
            film["people"],
            json!([format!("{base}/people/{person_id}")])
        );
        assert_eq!(film["species"], json!([format!("{base}/species/")]));
        assert_eq!(film["site"], "https://moved.example/about");
        assert_eq!(film["image"], format!("{name}{path}"));

        // Under any name, the records belong together, seen from both sides.
        let person = json!("Mover");
        let people = get_with(&server, &format!("{path}/people"), &[]).await;
        assert_eq!(people.json()[0]["name"], person);
        let films = format!("/people/{person_id}?_embed=films");
        let films = get_with(&server, &films, &[]).await.json();
        assert_eq!(films["films"][0]["title"], "Moved");
        let embedded = get_with(&server, &format!("{path}?_embed=people"), &[]).await;
        assert_eq!(embedded.json()["people"][0]["name"], person);
    }
}

#[tokio::test]
async fn no_body_leads_to_the_upstream() {
    let mirror = Mirror::of(catalogue()).await;
    // Without PUBLIC_URL, links lead to the address on which the server listens.
    let server = mirror.server(&[]).await;
    let mut followed = std::collections::BTreeSet::new();
    for path in COLLECTIONS
        .map(|name| format!("/{name}"))
        .into_iter()
        .chain(["/db".to_owned()])
    {
        let answer = get_with(&server, &path, &[]).await;
        let body = answer.json();
        for text in texts(&body)
            .into_iter()
            .filter(|text| text.contains("ghibliapi"))
        {
            assert!(text.starts_with("htps://"), "{path}: {text}");
        }
        let links = texts(&body)
            .into_iter()
            .filter(|text| text.starts_with(&server.url()));
        followed.extend(links.map(str::to_owned));
        let images = texts(&body)
            .into_iter()
            .filter(|text| text.contains(".jpg"));
        assert!(
            images
                .into_iter()
                .all(|image| !image.contains(&server.address))
        );
    }
    for path in [
        "/docs",
        "/openapi.json",
        "/style.css",
        "/films?_embed=people",
    ] {
        let text = get_with(&server, path, &[]).await.text();
        assert!(!text.contains("https://ghibliapi"), "{path}");
    }
    // The page names its source, but all its links lead to the mirror.
    let page = get_with(&server, "/movies", &[]).await.text();
    assert!(!page.contains("href=\"http"), "{page:.200}");

    // Every link in the data works, except links that never led anywhere.
    let mut connection = client::Connection::new();
    let mut found = 0;
    for link in followed {
        let answer = connection.get(&link).await.unwrap();
        assert!(answer.status == 200 || link.ends_with('/'), "{link}");
        found += usize::from(answer.status == 200);
    }
    assert!(found > 100, "only {found} links");
}
