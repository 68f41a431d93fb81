//! The mirror's side: the query language alone, over the test catalogue, behind a minimal HTTP.

use std::{
    borrow::Cow,
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use serde_json::{Map, Value, json};
use server::query::{BadQuery, Plan, Selection};

use crate::node::beside;

/// Collections by name.
pub(crate) type Catalogue = Map<String, Value>;

/// The test catalogue.
pub(crate) fn catalogue() -> Catalogue {
    let text = fs::read_to_string(beside("catalogue.json")).expect("the catalogue");
    serde_json::from_str(&text).expect("JSON")
}

/// A listener that answers until the test ends.
pub(crate) struct Answerer {
    pub(crate) base: String,
}

impl Answerer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new((base.clone(), catalogue()));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || answer(stream, &shared.0, &shared.1));
            }
        });
        Self { base }
    }
}

fn answer(mut stream: TcpStream, base: &str, catalogue: &Catalogue) {
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    // The rest of the head has to be read, or closing resets the connection.
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let target = request.split(' ').nth(1).unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (status, headers, body) = respond(base, catalogue, path, query)
        .unwrap_or_else(|bad| (400, problem_headers(), problem(&bad)));
    let _ = write!(
        stream,
        "HTTP/1.1 {status} -\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
}

type Response = (u16, String, String);

fn respond(base: &str, all: &Catalogue, path: &str, query: &str) -> Result<Response, BadQuery> {
    let mut names = path.split('/').filter(|name| !name.is_empty());
    let (collection, id) = (names.next().unwrap_or_default(), names.next());
    let records = || objects(all.get(collection));
    let resolve = |link: &str| {
        let mut parts = link.rsplit('/');
        let (id, collection) = (parts.next()?, parts.next()?);
        objects(all.get(collection))
            .find(|record| record.get("id").is_some_and(|known| known == id))
    };
    let Some(id) = id else {
        let plan = Plan::parse(query)?;
        let Selection {
            records,
            total,
            links,
        } = plan.apply(records(), &resolve);
        let total = total.map(|total| format!("X-Total-Count: {total}\r\n"));
        let links =
            links.map(|links| format!("Link: {}\r\n", links.header(&format!("{base}{path}"))));
        let headers = total.unwrap_or_default() + &links.unwrap_or_default();
        return Ok(rendered(&plan, 200, &headers, &records));
    };
    let plan = Plan::parse_for_record(query)?;
    let record = records().find(|record| record.get("id").is_some_and(|known| known == id));
    Ok(match record.map(|record| plan.project(record, &resolve)) {
        Some(record) => rendered(&plan, 200, "", &record),
        None => rendered(
            &plan,
            404,
            "",
            &Cow::<Map<String, Value>>::Owned(Map::new()),
        ),
    })
}

fn objects(collection: Option<&Value>) -> impl Iterator<Item = &Map<String, Value>> {
    collection
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
}

fn rendered(plan: &Plan, status: u16, headers: &str, body: &impl serde::Serialize) -> Response {
    let body = serde_json::to_string_pretty(body).expect("JSON");
    let (kind, body) = match plan.callback() {
        None => ("application/json", body),
        Some(name) => {
            let body = body
                .replace('\u{2028}', "\\u2028")
                .replace('\u{2029}', "\\u2029");
            (
                "text/javascript",
                format!("/**/ typeof {name} === 'function' && {name}({body});"),
            )
        }
    };
    (
        status,
        format!("Content-Type: {kind}; charset=utf-8\r\n{headers}"),
        body,
    )
}

fn problem_headers() -> String {
    "Content-Type: application/problem+json\r\n".to_owned()
}

fn problem(bad: &BadQuery) -> String {
    json!({"status": 400, "parameter": bad.parameter(), "detail": bad.to_string()}).to_string()
}
