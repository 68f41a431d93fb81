//! The stand-in upstream answers as the real one does, and changes when a test changes it.

use http::Method;
use serde_json::json;
use testkit::client::{Connection, get, request, try_get};
use testkit::sample::{self, Film, Person};
use testkit::upstream::Upstream;

fn titles(films: &serde_json::Value) -> Vec<String> {
    let films = films.as_array().expect("a list of films");
    films
        .iter()
        .map(|film| film["title"].as_str().expect("a title").to_owned())
        .collect()
}

#[tokio::test]
async fn collections_records_and_the_database_are_served() {
    let upstream = Upstream::start(sample::catalogue());
    let url = upstream.url();
    let film = Film::totoro();

    for path in ["/films", "/films/", "/Films", "/films?limit=1"] {
        let films = get(&format!("{url}{path}")).await;
        assert_eq!(films.status, 200, "{path}");
        assert_eq!(films.json(), sample::catalogue()["films"], "{path}");
        assert!(films.text().starts_with("[\n  {\n    \"id\": \""), "{path}");
        assert_eq!(
            films.header("content-type"),
            Some("application/json; charset=utf-8")
        );
        assert_eq!(films.header("cache-control"), Some("no-cache"));
        assert_eq!(films.header("vary"), Some("Origin, Accept-Encoding"));
    }
    for path in ["", "/"] {
        let found = get(&format!("{url}/films/{}{path}", film.id())).await;
        assert_eq!(found.json(), serde_json::Value::from(&film));
    }
    assert_eq!(get(&format!("{url}/db")).await.json(), sample::catalogue());
    for path in [
        "/films/unknown",
        "/unknown",
        "//films",
        "/",
        "/films/unknown/people",
    ] {
        let nothing = get(&format!("{url}{path}")).await;
        assert_eq!(
            (nothing.status, nothing.text().as_str()),
            (404, "{}"),
            "{path}"
        );
        assert_eq!(
            nothing.header("etag"),
            Some("W/\"2-vyGp6PvFo4RvsFtPoIWeCReyIC8\"")
        );
    }
}

#[tokio::test]
async fn known_validators_cost_no_body() {
    let upstream = Upstream::start(sample::catalogue());
    let url = format!("{}/films", upstream.url());
    let etag = get(&url)
        .await
        .header("etag")
        .expect("a validator")
        .to_owned();
    let before = upstream.counts();

    let strong = etag.trim_start_matches("W/").to_owned();
    let listed = format!("\"other\", {etag}");
    for validator in [etag.as_str(), &strong, &listed, "*"] {
        let answer = request(Method::GET, &url, &[("If-None-Match", validator)]).await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{validator}");
        assert_eq!(answer.header("etag"), Some(etag.as_str()));
        assert_eq!(answer.header("content-type"), None);
    }
    let after = upstream.counts();
    assert_eq!(after.requests - before.requests, 4);
    assert_eq!(after.conditional - before.conditional, 4);
    assert_eq!(after.not_modified - before.not_modified, 4);
    assert_eq!(after.body_bytes, before.body_bytes);

    let forced = [
        ("If-None-Match", etag.as_str()),
        ("Cache-Control", "no-cache"),
    ];
    assert_eq!(request(Method::GET, &url, &forced).await.status, 200);

    upstream.release("Another Film");
    let answer = request(Method::GET, &url, &[("If-None-Match", &etag)]).await;
    assert_eq!(answer.status, 200);
    assert_ne!(answer.header("etag"), Some(etag.as_str()));
}

#[tokio::test]
async fn the_catalogue_changes_while_it_is_served() {
    let upstream = Upstream::start(sample::Catalogue::new().film(Film::totoro()));
    let url = format!("{}/films", upstream.url());

    let released = upstream.release("Ponyo");
    let again = upstream.release("Ponyo");
    assert_ne!(released, again);
    let films = get(&url).await.json();
    assert_eq!(titles(&films), ["My Neighbor Totoro", "Ponyo", "Ponyo"]);
    let keys = |film: &serde_json::Value| -> Vec<String> {
        film.as_object()
            .expect("a record")
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(keys(&films[1]), keys(&films[0]), "a release is complete");

    let withdrawn = upstream.withdraw("films", &again);
    upstream.change("films", &released, "rt_score", "91");
    let films = get(&url).await.json();
    assert_eq!(titles(&films), ["My Neighbor Totoro", "Ponyo"]);
    assert_eq!(films[1]["rt_score"], "91");

    upstream.add("films", withdrawn);
    upstream.add("people", Person::new("Mei").in_film(&Film::totoro()));
    assert_eq!(titles(&get(&url).await.json()).len(), 3);
    assert_eq!(upstream.catalogue()["people"][0]["name"], "Mei");

    upstream.replace("films", vec![Film::new("Only Yesterday").into()]);
    upstream.edit(|catalogue| catalogue["films"][0]["rt_score"] = json!(100));
    let films = get(&url).await.json();
    assert_eq!(titles(&films), ["Only Yesterday"]);
    assert_eq!(films[0]["rt_score"], 100);
}

#[tokio::test]
async fn requests_are_recorded_and_can_be_awaited() {
    let upstream = Upstream::start(sample::catalogue());
    let url = upstream.url();
    let mut connection = Connection::new();
    for path in ["/films", "/people?limit=2"] {
        connection
            .get(&format!("{url}{path}"))
            .await
            .expect("an answer");
    }
    request(
        Method::GET,
        &format!("{url}/db"),
        &[("If-None-Match", "\"x\""), ("A", "b")],
    )
    .await;

    let counts = upstream
        .wait_for("three requests", |counts| counts.requests == 3)
        .await;
    assert_eq!(
        (counts.connections, counts.conditional, counts.not_modified),
        (2, 1, 0)
    );
    let seen = upstream.requests();
    let paths: Vec<_> = seen.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(paths, ["/films", "/people?limit=2", "/db"]);
    assert_eq!(seen[2].if_none_match.as_deref(), Some("\"x\""));
    assert_eq!(
        (seen[2].method.as_str(), &seen[2].headers["a"]),
        ("GET", &"b".parse().unwrap())
    );

    let waiting = upstream.wait_for("a fourth request", |counts| counts.requests == 4);
    let ((), counts) = tokio::join!(
        async { drop(get(&format!("{url}/species")).await) },
        waiting
    );
    assert_eq!(counts.requests, 4);
}

#[tokio::test]
async fn it_goes_down_and_comes_back_on_its_port() {
    let upstream = Upstream::start(sample::catalogue());
    let url = format!("{}/films", upstream.url());
    let mut kept = Connection::new();
    kept.get(&url).await.expect("up");

    upstream.go_down();
    assert!(kept.get(&url).await.is_err(), "open connections are closed");
    assert!(try_get(&url).await.is_err(), "new ones are refused");

    upstream.come_back();
    assert_eq!(kept.get(&url).await.expect("up again").status, 200);
    assert_eq!(upstream.counts().requests, 2);
}
